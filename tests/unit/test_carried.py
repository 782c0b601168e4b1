"""How much of a layer has come into the next, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from backfill_core.coverage import Coverage, DateFacts, Findings, ProcessorCoverage
from backfill_core.dates import DateSet, Span, day_number
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import CalendarDays, EveryDay
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import SOURCE
from backfill_core.model.table import Table
from backfill_core.planning.carried import Carried, carried

FIRST = date(2025, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]
GAMES = {"wanted": ("ab", "cd", "ef"), "l3": ("ab", "cx", ""), "l4": ("b", "de", "f"), "other": ("a", "", "")}


def pipeline() -> Pipeline:
    """L4 after L3, and a layer beside them whose measure is of another key."""
    layers = [
        Layer("l3", measured_by=("l3", "game")),
        Layer("other", measured_by=("other", "team")),
        Layer("l4", after=("l3", "other"), measured_by=("l4", "game")),
        Layer("l5", after=("other",), measured_by=("l5", "game")),
    ]
    made = [
        Processor(
            name, layer=name, calendar="daily", writes=Table(f"t.{name}", date="d", key=()), complete_when=Rows(), run=SOURCE
        )
        for name in ("l3", "other", "l4", "l5")
    ]
    return Pipeline.build([Declared(value, "all.py", 1) for value in (*layers, *made, EveryDay("daily"))], "local")


def keys(games: tuple[str, ...]) -> Mapping[int, Mapping[str, int]]:
    return {day_number(day): dict.fromkeys(found, 1) for day, found in zip(DAYS, games, strict=True)}


def coverage() -> Coverage:
    asked = DateSet.of(*DAYS)
    covered = {
        name: ProcessorCoverage(
            name=name,
            findings=Findings(asked=asked),
            states={},
            facts=DateFacts(keys={"game": keys(GAMES.get(name, ("", "", ""))), "team": {}}),
        )
        for name in ("l3", "other", "l4", "l5")
    }
    wanted = {day: frozenset(found) for day, found in keys(GAMES["wanted"]).items()}
    days = CalendarDays(name="daily", expected=asked, key="game", keys=wanted)
    calendars = dict.fromkeys(covered, "daily")
    return Coverage(span=Span(DAYS[0], DAYS[-1]), processors=covered, calendars={"daily": days}, calendar_of=calendars)


def test_keys_are_compared_date_by_date_and_those_that_nobody_wants_do_not_count() -> None:
    graph, seen, span = pipeline(), coverage(), DateSet.of(*DAYS)
    # L3 holds a and b, then c (x is no game of the calendar's); L4 has b of them; f is in L4 alone.
    assert carried(graph, seen, graph.layer("l4"), span) == Carried("l3", held=3, carried=1)
    assert carried(graph, seen, graph.layer("l4"), DateSet.of(DAYS[1])) == Carried("l3", held=1, carried=0)


def test_layers_that_count_other_keys_or_come_from_elsewhere_are_not_compared() -> None:
    graph, seen, span = pipeline(), coverage(), DateSet.of(*DAYS)
    assert carried(graph, seen, graph.layer("l3"), span) is None
    assert carried(graph, seen, graph.layer("l5"), span) is None
