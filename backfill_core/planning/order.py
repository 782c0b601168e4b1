"""Which planned dates come first."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet, union
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.plan import Order
from backfill_core.planning.judge import window_map


def first_dates(pipeline: Pipeline, coverage: Coverage, planned: Mapping[str, DateSet], order: Order, count: int) -> DateSet:
    """The ``count`` planned dates that come first in an order."""
    numbers = union(planned.values()).numbers()
    match order:
        case Order.OLDEST:
            chosen = numbers[:count]
        case Order.NEWEST:
            chosen = numbers[-count:] if count else []
        case Order.UNBLOCKING:
            freed = unblocks(pipeline, coverage, planned)
            chosen = sorted(numbers, key=lambda number: (-freed.get(number, 0), number))[:count]
    return DateSet.from_numbers(sorted(chosen))


def unblocks(pipeline: Pipeline, coverage: Coverage, planned: Mapping[str, DateSet]) -> dict[int, int]:
    """How many planned units wait, directly, for the planned units of each date."""
    freed: dict[int, int] = {}
    for name, dates in planned.items():
        for edge in pipeline.edges_into[name]:
            if edge.kind is not EdgeKind.HARD:
                continue
            window = window_map(pipeline, edge, coverage.calendars)
            for upstream in edge.upstreams:
                for number in planned.get(upstream, DateSet()).numbers():
                    waiting = len(window.dependents(DateSet.from_numbers([number])) & dates)
                    freed[number] = freed.get(number, 0) + waiting
    return freed
