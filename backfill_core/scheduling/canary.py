"""A few dates that go first, so that what is wrong with all of them shows before all of them have run."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from backfill_core.dates import DateSet, union
from backfill_core.scheduling.work import Work


def spread_dates(dates: DateSet, count: int) -> DateSet:
    """So many of the dates, the first and the last among them, evenly apart."""
    numbers = dates.numbers()
    if count >= len(numbers):
        return dates
    if count == 1:
        return DateSet.from_numbers(numbers[len(numbers) // 2 : len(numbers) // 2 + 1])
    return DateSet.from_numbers([numbers[place * (len(numbers) - 1) // (count - 1)] for place in range(count)])


def canary_units(works: Sequence[Work], count: int) -> dict[str, DateSet]:
    """The units of each processor that go first in its layer.

    They are those of ``count`` dates a layer that wait for no other unit of the layer than such units themselves. ``works`` come
    after what they wait for.
    """
    layers: dict[str, list[Work]] = {}
    for work in works:
        layers.setdefault(work.layer, []).append(work)
    chosen: dict[str, DateSet] = {}
    for members in layers.values():
        dates = spread_dates(union(work.dates for work in members), count)
        planned = {work.name: work.dates.numbers() for work in members}
        for work in members:
            chosen[work.name] = _alone(work, dates, planned, chosen)
    return chosen


def _alone(work: Work, dates: DateSet, planned: Mapping[str, list[int]], chosen: Mapping[str, DateSet]) -> DateSet:
    """Those of the dates on which a processor waits only for units that are chosen."""
    days, mine = planned[work.name], DateSet()
    for day in (dates & work.dates).numbers():
        place = bisect_left(days, day)
        held = [wait for wait in work.waits if wait.upstream in planned]
        if all(
            _between(planned[wait.upstream], wait.firsts[place], wait.lasts[place])
            <= (mine if wait.upstream == work.name else chosen.get(wait.upstream, DateSet()))
            for wait in held
        ):
            mine |= DateSet.from_numbers([day])
    return mine


def _between(days: list[int], first: int, last: int) -> DateSet:
    return DateSet.from_numbers(days[bisect_left(days, first) : bisect_right(days, last)])
