"""How much of what an expectation wants is there: what states are decided by, and what explanations show."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.coverage import DateFacts
from backfill_core.dates import DateSet
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import AtMost, CalendarKeys, Expectation, KeysOf, Rows
from backfill_core.planning.need_met import reaches


def share_of(expectation: Expectation) -> float:
    """The share of what is wanted that is enough."""
    return expectation.share if isinstance(expectation, (CalendarKeys, KeysOf)) else 1.0


def is_enough(there: int, wanted: int, share: float) -> bool:
    """Whether a count is complete. Where nothing is known to be wanted, nothing ever is."""
    return wanted > 0 and reaches(there, wanted, share)


def measured(expectation: Expectation, facts: DateFacts, calendar: CalendarDays, days: DateSet) -> Mapping[int, tuple[int, int]]:
    """(there, wanted) by day, of ``days`` at least. A day that is left out wants nothing that is known."""
    match expectation:
        case CalendarKeys():
            return _calendar_keys(expectation, facts, calendar, days)
        case KeysOf():
            shares = facts.shares.get(str(expectation), {})
            return {day: (there, wanted) for day, (there, wanted, _) in shares.items()}
        case Rows(at_least=at_least, exactly=exactly):
            want = max(at_least if exactly is None else exactly, 1)
            return {day: (min(n, want) if exactly is not None else n, want) for day, n in facts.rows.items()}
        case AtMost():
            return {}


def rows_by_key(expectation: CalendarKeys, facts: DateFacts, calendar: CalendarDays, day: int) -> dict[str, int]:
    """How many rows each key that the calendar wants on a day has, of those that have any."""
    wanted = calendar.keys.get(day, frozenset())
    return {key: n for key, n in facts.keys.get(expectation.column, {}).get(day, {}).items() if key in wanted}


def _calendar_keys(
    expectation: CalendarKeys, facts: DateFacts, calendar: CalendarDays, days: DateSet
) -> dict[int, tuple[int, int]]:
    counts = {}
    for day in days.numbers():
        wanted = len(calendar.keys.get(day, ()))
        rows = rows_by_key(expectation, facts, calendar, day).values()
        if expectation.exactly:
            counts[day] = (sum(min(n, expectation.exactly) for n in rows), expectation.exactly * wanted)
        else:
            counts[day] = (sum(1 for n in rows if n >= expectation.at_least), wanted)
    return counts
