"""An explanation says what coverage and plan say, for every unit of random worlds."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from test_planner_model import World, covered, examples, worlds

from backfill_core.coverage import Coverage, DateFacts, State
from backfill_core.dates import DateSet, Span, day_number
from backfill_core.graph import Declared, EdgeKind, Pipeline
from backfill_core.model.calendar import CalendarDays, Schedule
from backfill_core.model.expectations import CalendarKeys
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.plan import Plan, Request
from backfill_core.planning.explain import explain
from backfill_core.planning.explanation import Explanation, Standing
from backfill_core.planning.impact import spoiled
from backfill_core.planning.judge import judge_coverage
from backfill_core.planning.make_plan import make_plan


@examples(60, 1000)
@given(world=worlds())
def test_an_explanation_says_what_coverage_and_plan_say(world: World) -> None:
    coverage = covered(world, world.facts())
    plan = make_plan(world.pipeline, coverage, world.request)
    planned, blocked = {name: each.dates for name, each in plan.planned().items()}, plan.blocked_dates()
    for name, found in coverage.processors.items():
        for day in found.findings.asked:
            told = explain(world.pipeline, coverage, plan, Unit(name, day), {}, 3)
            one = DateSet.of(day)
            assert one <= found.states[told.state]
            standing = told.in_plan.standing
            if world.pipeline.runs(name):
                assert (standing in (Standing.PLANNED, Standing.WITHHELD)) == (one <= planned.get(name, DateSet()))
                assert (standing is Standing.BLOCKED) == (one <= blocked.get(name, DateSet()))
                assert (standing is Standing.BLOCKED) == bool(told.in_plan.causes)
            if not found.also:  # the numbers shown are those of the first table, and the worst one decides
                agrees_with_coverage(told)
            assert {table.name: table.state for table in told.also} == {
                short: next(state for state, dates in part.states.items() if day in dates) for short, part in found.also.items()
            }
            agrees_with_needs(told, coverage, plan)
            if one <= found.findings.stale.get(told.newer[0].upstream if told.newer else "", DateSet()):
                assert all(each.dates for each in told.newer)
            whole = spoiled(world.pipeline, coverage.calendars, coverage, name, one & found.expected)
            assert told.spoils == whole
            assert all(dates <= whole[other] for other, dates in told.spoils_directly.items())


def agrees_with_coverage(told: Explanation) -> None:
    """A state follows from the numbers that are shown for it."""
    enough = all(each.enough for each in told.expected)
    match told.state:
        case State.COMPLETE | State.STALE:
            assert enough and all(rule.holds for rule in told.rules)
            assert bool(told.newer) == (told.state is State.STALE)
        case State.INVALID:
            assert enough and not all(rule.holds for rule in told.rules)
        case State.PARTIAL:
            assert not enough and told.held.rows
        case State.MISSING:
            assert not told.held.rows
        case _:
            assert told.expected or told.state in (State.NOT_EXPECTED, State.PENDING)


def agrees_with_needs(told: Explanation, coverage: Coverage, plan: Plan) -> None:
    """What a need lacks is what is wanted and not there; a planned unit's hard needs are met, or filled first."""
    for need in told.needs:
        lacking = {day for lack in need.lacks for day in lack.dates}
        assert len(lacking) == need.wanted - need.there
        assert all(lack.dates <= coverage.processors[lack.processor].states[lack.state] for lack in need.lacks)
        if told.in_plan.standing is Standing.PLANNED and need.kind is EdgeKind.HARD:
            first = {day for lack in need.lacks for day in lack.planned}
            assert need.there + len(first) >= need.wanted * need.share - 1e-9
    assert plan.request.span.first <= plan.request.span.last


DAY = date(2024, 5, 3)
SCHEDULE = Schedule("daily", files="*.csv", date="day", key="game_id", season="season", type="type", expected=("played",))


def calendar_world(rows: dict[str, int], exactly: int | None) -> Explanation:
    """A day that wants games a, b and c, in a table that holds so many rows of each game."""
    number, one = day_number(DAY), DateSet.of(DAY)
    calendar = CalendarDays(name="daily", expected=one, key="game_id", keys={number: frozenset("abc")})
    processor = Processor(
        "games",
        layer="raw",
        calendar="daily",
        writes=Table("raw.games", date="day"),
        complete_when=CalendarKeys("game_id", at_least=2, exactly=exactly),
        run=Sql("games.sql"),
    )
    declared = [Declared(each, "here.py") for each in (SCHEDULE, Layer("raw"), processor)]
    pipeline = Pipeline.build(declared, "local")
    count = sum(rows.values())
    facts = DateFacts(rows={number: count} if count else {}, keys={"game_id": {number: rows}})
    span = Span(DAY, DAY)
    coverage = judge_coverage(pipeline, {"daily": calendar}, {"games": facts}, {"games": span}, span=span, today=date(2024, 6, 1))
    plan = make_plan(pipeline, coverage, Request(target="local", span=span, today=date(2024, 6, 1), through="raw"))
    return explain(pipeline, coverage, plan, Unit("games", DAY), {}, 2)


def test_games_that_lack_are_named_with_the_rows_they_have() -> None:
    (wants,) = calendar_world({"a": 3, "b": 1}, None).expected
    assert (wants.there, wants.wanted, wants.absent, wants.excess) == (1, 3, 2, 0)
    assert [(one.key, one.rows, one.wanted) for one in wants.first_absent] == [(("b",), 1, 2), (("c",), 0, 2)]


def test_games_beyond_the_calendar_and_games_on_too_many_rows_are_named() -> None:
    told = calendar_world({"a": 2, "b": 3, "c": 2, "x": 1, "y": 2, "z": 1}, 2)
    (wants,) = told.expected
    assert (told.state, wants.enough) == (State.INVALID, True)
    assert [(one.key, one.rows, one.wanted) for one in wants.first_excess] == [(("b",), 3, 2)]
    assert (wants.surplus, wants.first_surplus) == (3, (("x",), ("y",)))


def test_a_day_without_rows_lacks_every_game_up_to_the_limit() -> None:
    told = calendar_world({}, 2)
    (wants,) = told.expected
    assert (told.state, wants.there, wants.wanted, wants.absent) == (State.MISSING, 0, 6, 3)
    assert [one.key for one in wants.first_absent] == [("a",), ("b",)]
    assert (told.in_plan.standing, told.in_plan.why) == (Standing.PLANNED, "missing")
