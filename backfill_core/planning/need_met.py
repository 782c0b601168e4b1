"""Whether what a date needs is there. The rule of DESIGN 5, for whole sets of dates."""

from __future__ import annotations

from dataclasses import dataclass

from backfill_core.dates import DateSet
from backfill_core.model.windows import SameDate
from backfill_core.planning.windows import Counter, WindowMap


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedVerdict:
    """How one need stands, for every date asked: a partition into met and unmet, and the met that lack something."""

    met: DateSet
    unmet: DateSet
    #: Met on less than all it wanted, or on nothing where the same date was wanted.
    degraded: DateSet


def need_met(days: DateSet, window: WindowMap, share: float, *, expected: DateSet, good: DateSet) -> NeedVerdict:
    """Judges one need.

    Its dates are those of the window on which the upstream is expected. None: met, degraded if the window is the same
    date. Otherwise met when the good ones (complete or stale) reach ``share`` of them.
    """
    there = good & expected
    if isinstance(window.window, SameDate):
        met = days - (expected - there)
        return NeedVerdict(met=met, unmet=days - met, degraded=met - expected)
    # Only days whose window holds something that is not there need counting: in most plans, few.
    touched = days & window.dependents(expected - there)
    if not touched:
        return NeedVerdict(met=days, unmet=DateSet(), degraded=DateSet())
    numbers = touched.numbers()
    bounds = window.bounds(numbers)
    # Windows never fall: nothing before the first one or after the last is counted, which tells where one date is judged.
    reach = DateSet.between(bounds[0][0], bounds[-1][1])
    wanted, found = Counter(expected & reach), Counter(there & reach)
    met_days, degraded = [], []
    for day, (first, last) in zip(numbers, bounds, strict=True):
        want, have = wanted.between(first, last), found.between(first, last)
        if reaches(have, want, share):
            met_days.append(day)
            if have < want:
                degraded.append(day)
    met = DateSet.from_numbers(met_days) | (days - touched)
    return NeedVerdict(met=met, unmet=days - met, degraded=DateSet.from_numbers(degraded))


def reaches(have: int, want: int, share: float) -> bool:
    """Whether ``have`` of ``want`` is at least ``share``. A hair is forgiven, so that 0.9 of 10 is 9."""
    return have >= want * share - 1e-9
