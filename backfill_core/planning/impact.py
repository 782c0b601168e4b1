"""What a re-run spoils: windows mapped forward, from changed dates to the dates computed from them."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.planning.judge import window_map


def spoiled(
    pipeline: Pipeline,
    calendars: Mapping[str, CalendarDays],
    coverage: Coverage,
    processor: str,
    dates: DateSet,
    *,
    direct: bool = False,
) -> dict[str, DateSet]:
    """The dates, by processor in the graph's order, that a re-run of ``dates`` of ``processor`` makes stale.

    Only expected dates that hold rows: what holds none is missing, and is not spoiled. ``direct`` stops at what reads the
    processor itself; otherwise what is spoiled is taken to be re-run too. The processor's own later dates are among them
    where it reads itself; ``dates`` never are.
    """
    changed = {processor: dates}
    found: dict[str, DateSet] = {}
    for name in pipeline.processors:
        edges = [edge for edge in pipeline.edges_into[name] if edge.kind is not EdgeKind.READS]
        held = _held(coverage, name) - (dates if name == processor else DateSet())
        own = DateSet()
        while fresh := (_reached(pipeline, edges, calendars, changed) & held) - own:
            own |= fresh
            if direct:
                break
            changed[name] = changed.get(name, DateSet()) | fresh  # its own later dates may follow
        if own:
            found[name] = own
    return found


def _held(coverage: Coverage, name: str) -> DateSet:
    """Expected dates of a processor that hold rows."""
    covered = coverage.processors[name]
    return covered.expected & DateSet.from_numbers(list(covered.facts.rows))


def _reached(
    pipeline: Pipeline, edges: list[Edge], calendars: Mapping[str, CalendarDays], sources: Mapping[str, DateSet]
) -> DateSet:
    """The dates whose windows hold a changed date of what those edges read."""
    found = DateSet()
    for edge in edges:
        window = window_map(pipeline, edge, calendars)
        for upstream in edge.upstreams:
            found |= window.dependents(sources.get(upstream, DateSet()))
    return found
