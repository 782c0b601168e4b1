"""What a cascade takes of a processor that was not chosen."""

from __future__ import annotations

from datetime import date

import pytest

from backfill_core.coverage import Coverage, DateFacts, State, together
from backfill_core.dates import DateSet, Span, day_number, day_of
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, calendar_days
from backfill_core.model.expectations import Rows
from backfill_core.model.needs import Need
from backfill_core.model.processor import Layer, Output, Processor
from backfill_core.model.runs import SOURCE, Python
from backfill_core.model.table import Table
from backfill_core.model.windows import days
from backfill_core.plan import Cascade, Request
from backfill_core.planning.judge import judge_coverage
from backfill_core.planning.make_plan import make_plan

SPAN = Span(date(2024, 10, 22), date(2024, 10, 25))
NUMBERS = [day_number(day) for day in DateSet.of_span(SPAN)]


def table(name: str, updated: str | None) -> Table:
    return Table(f"set.{name}", date="day", key=("game",), updated=updated)


def processor(name: str, *needs: str, updated: str | None = None, also: tuple[Table, ...] = ()) -> Processor:
    """One that wants a row a day, made from the day before of each of ``needs``; ``o`` is a source."""
    return Processor(
        name,
        layer="raw",
        calendar="daily",
        writes=table(name, updated),
        complete_when=Rows(),
        run=SOURCE if name == "o" else Python(print),
        needs=tuple(Need(each, window=days(1)) for each in needs),
        also=tuple(Output(each, complete_when=Rows()) for each in also),
    )


PIPELINE = Pipeline.build(
    [
        Declared(value, "t.py", 1)
        for value in (
            EveryDay("daily"),
            Layer("raw"),
            processor("o", updated="written"),
            processor("p", updated="written", also=(table("p2", None),)),
            processor("s", "o", "p", also=(table("s2", "written"),)),
            processor("t", "s", updated="written"),
        )
    ],
    "local",
)


def written(*at: int | None) -> DateFacts:
    """A row on each day of the span, written at such an instant; None: no row."""
    rows = {number: 1 for number, each in zip(NUMBERS, at, strict=True) if each is not None}
    instants = {number: each for number, each in zip(NUMBERS, at, strict=True) if each is not None}
    return DateFacts(rows=rows, distinct=rows, oldest=instants, newest=instants)


def silent(*at: int | None) -> DateFacts:
    """The same in a table that does not say when rows were written."""
    facts = written(*at)
    return DateFacts(rows=facts.rows, distinct=facts.distinct)


def judged() -> Coverage:
    """``p`` lacks a row of its second table on the 23rd.

    ``s`` says in its second table when it was written. On the 23rd it is older than what it reads of ``p``, on the 24th older
    than what it reads of both.
    """
    facts = {
        "o": written(1, 20, 1, 1),
        "p": together(written(11, 11, 1, 1), {"p2": silent(1, None, 1, 1)}),
        "s": together(silent(1, 1, 1, 1), {"s2": written(10, 10, 10, 30)}),
        "t": written(40, 40, 40, 40),
    }
    calendars = {"daily": calendar_days(EveryDay("daily"), SPAN)}
    reach = dict.fromkeys(PIPELINE.processors, SPAN)
    return judge_coverage(PIPELINE, calendars, facts, reach, span=SPAN, today=SPAN.last)


def planned(cascade: Cascade, *processors: str) -> dict[str, dict[str, list[int]]]:
    request = Request(
        target="local", span=SPAN, today=SPAN.last, through="raw", processors=processors, dates=None, cascade=cascade
    )
    plan = make_plan(PIPELINE, judged(), request)
    return {
        each.name: {why: [day_of(number).day for number in dates.numbers()] for why, dates in each.reasons.items()}
        for each in plan.planned().values()
    }


WORK = {"missing in p2": [23]}


@pytest.mark.parametrize(
    ("cascade", "taken"),
    [
        (Cascade.NONE, {}),
        (Cascade.DIRECT, {"s": {"stale: p is planned": [24]}}),
        (Cascade.ALL, {"s": {"stale: p is planned": [24]}, "t": {"stale: s is planned": [25]}}),
    ],
)
def test_of_a_processor_that_was_not_chosen_a_cascade_takes_what_the_plan_spoils_stale_before_or_not(
    cascade: Cascade, taken: dict[str, dict[str, list[int]]]
) -> None:
    assert [day.day for day in judged().processors["s"].states[State.STALE]] == [23, 24]
    assert planned(cascade, "p") == {"p": WORK, **taken}


def test_of_a_chosen_one_it_takes_all_that_is_stale() -> None:
    assert planned(Cascade.DIRECT, "p", "s") == {"p": WORK, "s": {"stale: o is newer": [24], "stale: p is newer": [23]}}
