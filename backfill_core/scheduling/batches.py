"""How the units that are ready are grouped into calls."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import groupby

from backfill_core.dates import day_of

#: A call's dates lie within this many times as many days as it may have dates, so that it computes little in vain.
_SPREAD = 2


def date_runs(
    days: Sequence[int], most: int, *, share: int, by_month: bool = False, along: Sequence[int] = ()
) -> list[list[int]]:
    """Splits the day numbers that are ready, ascending, into calls of at most so many.

    ``share`` calls can go at the same time, so that the dates are spread over them rather than put into one. ``by_month``
    makes each call's dates those of one month, however many months there are to share out. ``along`` are days, ascending, of
    which no call leaves one out between two of its dates.
    """
    if by_month:
        months = [list(month) for _, month in groupby(days, key=_month)]
        return [run for month in months for run in date_runs(month, most, share=1, along=along)]
    most = min(most, max(1, -(-len(days) // max(1, share))))
    calls: list[list[int]] = []
    for number in days:
        near = bool(calls) and len(calls[-1]) < most and number - calls[-1][0] < most * _SPREAD
        if near and (not along or bisect_left(along, number) - bisect_left(along, calls[-1][-1]) == 1):
            calls[-1].append(number)
        else:
            calls.append([number])
    return calls


def _month(number: int) -> tuple[int, int]:
    day = day_of(number)
    return day.year, day.month
