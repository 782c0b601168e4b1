"""What a closed gate will hold up, before anything of it has been tried."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.coverage import ProcessorCoverage
from backfill_core.dates import DateSet, union
from backfill_core.gates import Verdict
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import KeysOf
from backfill_core.planning.judge import window_map
from backfill_core.planning.need_met import need_met


def withheld_by(
    verdict: Verdict,
    pipeline: Pipeline,
    calendars: Mapping[str, CalendarDays],
    covered: Mapping[str, ProcessorCoverage],
    waiting: Mapping[str, DateSet],
) -> dict[str, DateSet]:
    """Of the units that wait in later layers, those that the gate's failed dates hold up, directly or through others.

    All that waits is taken to succeed otherwise.
    """
    held: dict[str, DateSet] = {}
    for name, processor in pipeline.processors.items():
        dates = waiting.get(name, DateSet())
        if verdict.layer not in pipeline.before[processor.layer] or not dates:
            continue
        found = dates if verdict.closes_layer else DateSet()
        for edge in pipeline.edges_into[name]:
            if edge.kind is EdgeKind.HARD:
                found |= _missed(edge, dates - found, verdict, pipeline, calendars, covered, waiting, held)
        for upstream in key_sources(pipeline, name):
            if pipeline.processors[upstream].layer == verdict.layer:
                found |= dates & verdict.failed
            found |= dates & held.get(upstream, DateSet())
        if found:
            held[name] = found
    return held


def key_sources(pipeline: Pipeline, name: str) -> list[str]:
    """The processors whose keys of the same date a processor must hold: without a row of theirs it is never complete."""
    processor = pipeline.processors[name]
    return [
        expectation.processor
        for each in (processor, *processor.parts.values())
        for expectation in each.expectations
        if isinstance(expectation, KeysOf) and not expectation.looks_back
    ]


def _missed(
    edge: Edge,
    dates: DateSet,
    verdict: Verdict,
    pipeline: Pipeline,
    calendars: Mapping[str, CalendarDays],
    covered: Mapping[str, ProcessorCoverage],
    waiting: Mapping[str, DateSet],
    held: Mapping[str, DateSet],
) -> DateSet:
    """Dates whose need is met if all that waits succeeds, and is not once the gate's dates count as absent."""
    window = window_map(pipeline, edge, calendars)
    expected = union(covered[up].expected for up in edge.upstreams)
    hoped = {up: covered[up].good | waiting.get(up, DateSet()) for up in edge.upstreams}
    left = union(
        good - held.get(up, DateSet()) - (verdict.failed if pipeline.processors[up].layer == verdict.layer else DateSet())
        for up, good in hoped.items()
    )
    met = need_met(dates, window, edge.share, expected=expected, good=union(hoped.values())).met
    return need_met(met, window, edge.share, expected=expected, good=left).unmet
