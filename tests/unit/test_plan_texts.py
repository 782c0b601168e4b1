"""A plan as text stays short, however much is wrong."""

from __future__ import annotations

from datetime import date, timedelta

from backfill_core.dates import DateSet
from backfill_core.plan import Blocked, RootCause
from backfill_core.reports.plan_texts import blocked_lines

FIRST = date(2024, 5, 1)


def days(count: int) -> DateSet:
    return DateSet.of(*(FIRST + timedelta(days=n) for n in range(count)))


def blocked(victim: str, count: int, root: str) -> Blocked:
    return Blocked(
        processor=victim, dates=days(count), because=(RootCause(processor=root, dates=days(count), why="no landing file"),)
    )


def test_the_dearest_causes_are_told_and_the_rest_is_counted() -> None:
    lines = blocked_lines(tuple(blocked(f"p{n}", 1 + n, f"f{n}") for n in range(20)))
    assert len(lines) == 8
    assert lines[0] == "  f19 2024-05-01..2024-05-20: no landing file -> blocks 20 units of 1 processor"
    assert lines[-1] == "  and 13 more causes, which block no more. See all: --format json"
    assert len(blocked_lines(tuple(blocked(f"p{n}", 1 + n, f"f{n}") for n in range(8)))) == 8, "one more is told, not counted"


def test_causes_of_which_any_would_do_stand_together_and_many_of_them_are_counted() -> None:
    both = blocked_lines((blocked("p", 3, "a"), blocked("p", 3, "b")))
    assert both == ["  a and b 2024-05-01..2024-05-03: no landing file -> blocks 3 units of 1 processor"]
    (many,) = blocked_lines(tuple(blocked("p", 3, f"f{n}") for n in range(9)))
    assert many.startswith("  f0 and f1 and 7 more 2024-05-01")
