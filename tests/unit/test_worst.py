"""A processor of three tables, each in its own condition on each date: the worst decides, and is named."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from backfill_core.coverage import DateFacts, State, together
from backfill_core.dates import DateSet, Span, day_number, day_of
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, calendar_days
from backfill_core.model.expectations import Rows, UniqueKey
from backfill_core.model.processor import Layer, Output, Processor
from backfill_core.model.runs import SOURCE
from backfill_core.model.table import Table
from backfill_core.model.windows import days
from backfill_core.planning.judge import judge_coverage
from backfill_core.planning.work import lacking

FIRST = day_number(date(2024, 5, 1))
LENGTH = 12
SPAN = Span(day_of(FIRST), day_of(FIRST + LENGTH - 1))
#: The last so many days may still come, in the second table.
SETTLES = 3
WANTED = {"first": 4, "second": 3, "third": 2}


def table(name: str) -> Table:
    return Table(f"x.{name}", date="day", key=("k",), settles_after=days(SETTLES) if name == "second" else None)


ALSO = tuple(Output(table(name), complete_when=Rows(at_least=WANTED[name]), rules=(UniqueKey(),)) for name in ("second", "third"))
ALL = Processor(
    "first",
    layer="raw",
    calendar="daily",
    writes=table("first"),
    complete_when=Rows(at_least=WANTED["first"]),
    rules=(UniqueKey(),),
    run=SOURCE,
    also=ALSO,
)
PIPELINE = Pipeline.build([Declared(value, "t.py") for value in (EveryDay("daily"), Layer("raw"), ALL)], "local")
CONDITIONS = st.lists(st.sampled_from(["good", "good", "missing", "partial", "invalid"]), min_size=LENGTH, max_size=LENGTH)
ORDER = ("missing", "partial", "invalid")
REASONS = {"missing": "missing", "partial": "partial 1/{}", "invalid": "invalid: unique key"}


def facts(name: str, conditions: list[str]) -> DateFacts:
    count = {"good": WANTED[name], "missing": 0, "partial": 1, "invalid": WANTED[name]}
    rows = {FIRST + n: count[each] for n, each in enumerate(conditions) if each != "missing"}
    return DateFacts(
        rows=rows,
        distinct={FIRST + n: rows[FIRST + n] - (each == "invalid") for n, each in enumerate(conditions) if each != "missing"},
    )


@settings(deadline=None, max_examples=100)
@given(conditions=st.fixed_dictionaries(dict.fromkeys(WANTED, CONDITIONS)))
def test_the_worst_table_decides(conditions: dict[str, list[str]]) -> None:
    held = {name: facts(name, each) for name, each in conditions.items()}
    found = {"first": together(held.pop("first"), held)}
    calendars = {"daily": calendar_days(EveryDay("daily"), SPAN)}
    coverage = judge_coverage(PIPELINE, calendars, found, {"first": SPAN}, span=SPAN, today=SPAN.last)
    expected: dict[int, str] = {}
    reasons: dict[int, str] = {}
    for n in range(LENGTH):
        day = FIRST + n
        here = {name: conditions[name][n] for name in WANTED}
        worst = next((what for what in ORDER if what in here.values()), "complete")
        if worst in ("missing", "partial") and n > LENGTH - 1 - SETTLES:
            expected[day] = "pending"
            continue
        expected[day] = worst
        if worst != "complete":
            where = next(name for name, what in here.items() if what == worst)
            reasons[day] = REASONS[worst].format(WANTED[where]) + (f" in {where}" if where != "first" else "")
    covered = coverage.processors["first"]
    assert {day: str(state) for state, dates in covered.states.items() for day in dates.numbers()} == expected
    work = covered.of(State.MISSING, State.PARTIAL, State.INVALID)
    assert {day: why for why, dates in lacking(covered, work).items() for day in dates.numbers()} == reasons


def test_rows_of_a_further_table_where_nothing_is_expected_are_surplus() -> None:
    outside = Span(day_of(FIRST - 1), SPAN.last)
    calendars = {"daily": calendar_days(EveryDay("daily", since=SPAN.first), outside)}
    days_held = dict.fromkeys([FIRST - 1, FIRST], 9)
    each = DateFacts(rows=days_held, distinct=days_held)
    found = {"first": together(DateFacts(rows={FIRST: 9}, distinct={FIRST: 9}), {"second": each, "third": each})}
    coverage = judge_coverage(PIPELINE, calendars, found, {"first": outside}, span=outside, today=SPAN.last)
    assert coverage.processors["first"].findings.surplus == DateSet.from_numbers([FIRST - 1])
