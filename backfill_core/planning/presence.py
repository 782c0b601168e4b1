"""A graph judged by one thing alone: whether a date has rows or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from backfill_core.coverage import Coverage, ProcessorCoverage
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.planning.state import state


def by_presence(pipeline: Pipeline) -> Pipeline:
    """The same graph, in which any row makes a date complete: no keys, no rules, no gates. What reads what stays."""
    return replace(
        pipeline,
        layers=tuple(replace(layer, gates=()) for layer in pipeline.layers),
        processors={name: _by_presence(processor) for name, processor in pipeline.processors.items()},
    )


def _by_presence(processor: Processor) -> Processor:
    also = tuple(replace(output, complete_when=Rows(), rules=()) for output in processor.also)
    return replace(processor, complete_when=Rows(), rules=(), also=also)


def without_keys(calendars: Mapping[str, CalendarDays]) -> dict[str, CalendarDays]:
    """The calendars' dates alone: layers then are measured by dates that hold anything."""
    return {name: replace(days, key="", keys={}) for name, days in calendars.items()}


def untold(coverage: Coverage, names: Iterable[str]) -> Coverage:
    """The coverage with all of some processors' expected dates unknown: nobody can say whether they hold rows."""
    hidden = frozenset(names)
    return replace(
        coverage,
        processors={name: _untold(covered) if name in hidden else covered for name, covered in coverage.processors.items()},
    )


def _untold(covered: ProcessorCoverage) -> ProcessorCoverage:
    findings = replace(covered.findings, unknown=covered.findings.unknown | covered.expected, surplus=DateSet())
    return replace(covered, findings=findings, states=state(findings), counts={})
