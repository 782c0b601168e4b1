"""How the units that are ready are grouped into calls."""

from __future__ import annotations

from backfill_core.dates import DateSet
from backfill_core.model.runs import Python, RunSpec, Source, Sql

#: A call's dates lie within this many times as many days as it may have dates, so that it computes little in vain.
_SPREAD = 2


def date_runs(dates: DateSet, spec: RunSpec, *, in_order: bool, share: int) -> list[DateSet]:
    """Splits ready dates into the calls that the spec allows, oldest first.

    ``in_order``: a processor that needs its own earlier dates has each date in a call of its own. ``share`` calls can go at
    the same time, so that the dates are spread over them rather than put into one.
    """
    most = 1 if in_order else min(_most(spec), max(1, -(-len(dates) // max(1, share))))
    calls: list[list[int]] = []
    for number in dates.numbers():
        if calls and len(calls[-1]) < most and number - calls[-1][0] < most * _SPREAD:
            calls[-1].append(number)
        else:
            calls.append([number])
    return [DateSet.from_numbers(call) for call in calls]


def _most(spec: RunSpec) -> int:
    match spec:
        case Sql(max_dates=most) | Python(max_dates=most):
            return most
        case Source():
            return 1
