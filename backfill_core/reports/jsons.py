"""The stable JSON shape of coverage. Plans and verdicts carry their own."""

from __future__ import annotations

from typing import Any

from backfill_core.coverage import Coverage, ProcessorCoverage, State
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.plan import Forecast
from backfill_core.planning.make_plan import forecast

SCHEMA = "backfill.coverage/1"


def coverage_json(pipeline: Pipeline, coverage: Coverage) -> dict[str, Any]:
    """What every layer and processor that can be run holds over the coverage's span."""
    return {
        "schema": SCHEMA,
        "span": [str(coverage.span.first), str(coverage.span.last)],
        "layers": [measure.to_json() for measure in measures(pipeline, coverage)],
        "processors": [
            processor_json(coverage.processors[name], DateSet.of_span(coverage.span)) | {"layer": processor.layer}
            for name, processor in pipeline.processors.items()
        ],
    }


def measures(pipeline: Pipeline, coverage: Coverage) -> list[Forecast]:
    """How far each measured layer is, with nothing planned."""
    return [
        forecast(coverage, layer.name, *layer.measured_by, DateSet())
        for layer in pipeline.layers
        if layer.measured_by and pipeline.runs_in(layer.name)
    ]


def processor_json(covered: ProcessorCoverage, span: DateSet) -> dict[str, Any]:
    return {
        "name": covered.name,
        "expected": len(covered.expected & span),
        "states": {str(state): (covered.states[state] & span).to_json() for state in State},
        "not_expected": {why: (days & span).to_json() for why, days in covered.why_not_expected().items() if days & span},
        "invalid": {rule: (days & span).to_json() for rule, days in sorted(covered.findings.broken.items()) if days & span},
        "surplus": (covered.findings.surplus & span).to_json(),
    }
