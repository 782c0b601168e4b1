"""The stable JSON shape of coverage. Plans and verdicts carry their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backfill_core.coverage import Coverage, ProcessorCoverage, State
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.plan import Forecast
from backfill_core.planning.carried import Carried, carried
from backfill_core.planning.forecast import forecast

SCHEMA = "backfill.coverage/1"


def coverage_json(
    pipeline: Pipeline, coverage: Coverage, groups: Mapping[str, DateSet] | None = None, *, only: DateSet | None = None
) -> dict[str, Any]:
    """What every layer and processor holds over the coverage's span or ``only`` some dates of it, and layers in each group."""
    within = DateSet.of_span(coverage.span) if only is None else only
    return {
        "schema": SCHEMA,
        "span": [str(coverage.span.first), str(coverage.span.last)],
        "layers": [
            _measure_json(pipeline, measure)
            | {"over": over.to_json() if (over := carried_into(pipeline, coverage, measure)) else None}
            for measure in measures(pipeline, coverage, within)
        ],
        "processors": [
            processor_json(coverage.processors[name], within) | {"layer": processor.layer, "runs": pipeline.runs(name)}
            for name, processor in pipeline.processors.items()
        ],
        "groups": [
            {
                "title": title,
                "dates": dates.to_json(),
                "layers": [_measure_json(pipeline, measure) for measure in measures(pipeline, coverage, dates)],
            }
            for title, dates in (groups or {}).items()
        ],
    }


def _measure_json(pipeline: Pipeline, measure: Forecast) -> dict[str, Any]:
    return measure.to_json() | {"short": pipeline.layer(measure.layer).short}


def measures(pipeline: Pipeline, coverage: Coverage, dates: DateSet | None = None) -> list[Forecast]:
    """How far each measured layer is, with nothing planned; over the span, or over those dates of it."""
    span = DateSet.of_span(coverage.span) if dates is None else dates
    return [forecast(coverage, layer, DateSet(), span) for layer in pipeline.layers if layer.measured_by]


def carried_into(pipeline: Pipeline, coverage: Coverage, measure: Forecast) -> Carried | None:
    """How much of the layer before a measured one is in it, over the coverage's span."""
    return carried(pipeline, coverage, pipeline.layer(measure.layer), DateSet.of_span(coverage.span))


def processor_json(covered: ProcessorCoverage, span: DateSet) -> dict[str, Any]:
    return {
        "name": covered.name,
        "expected": len(covered.expected & span),
        "states": {str(state): (covered.states[state] & span).to_json() for state in State},
        "not_expected": {why: (days & span).to_json() for why, days in covered.why_not_expected().items() if days & span},
        "invalid": {rule: (days & span).to_json() for rule, days in sorted(covered.findings.broken.items()) if days & span},
        "surplus": (covered.findings.surplus & span).to_json(),
    }
