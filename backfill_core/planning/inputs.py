"""What a date was computed from: when the newest of it was written."""

from __future__ import annotations

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.planning.judge import window_map


def newest_inputs(pipeline: Pipeline, coverage: Coverage, processor: str, dates: DateSet) -> dict[int, int]:
    """By day number, the microseconds since 1970 at which the newest row in the date's windows was written."""
    newest: dict[int, int] = {}
    numbers = dates.numbers()
    for edge in pipeline.edges_into[processor]:
        if edge.kind is EdgeKind.READS:
            continue
        window = window_map(pipeline, edge, coverage.calendars)
        for upstream in edge.upstreams:
            written = coverage.processors[upstream].facts.newest
            for day, (first, last) in zip(numbers, window.bounds(numbers), strict=True):
                seen = [at for at in map(written.get, range(first, last + 1)) if at is not None]
                if seen:
                    newest[day] = max(*seen, newest.get(day, seen[0]))
    return newest
