"""What a declaration can have wrong, each told with its place and its mend."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from backfill_core.dates import DateSet, Span
from backfill_core.errors import InvalidProject, UnreadableTable
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import CalendarDays, EveryDay, Monthly, Schedule, Season, Weekly, calendar_days
from backfill_core.model.expectations import (
    Allowed,
    AtMost,
    CalendarKeys,
    KeysOf,
    MatchingKeys,
    NotNull,
    Positive,
    Rows,
    UniqueKey,
)
from backfill_core.model.http import Http
from backfill_core.model.needs import Need, any_of
from backfill_core.model.processor import Gate, Layer, Output, Processor
from backfill_core.model.runs import SOURCE, Service, Sql
from backfill_core.model.table import Files, Table
from backfill_core.model.windows import SEASON_TO_DATE, Window, calendar_dates, days, last_games
from backfill_core.observe import missing_tables
from backfill_core.planning.fits import window_problems
from backfill_core.queries.asking import question_about, questions_about
from backfill_core.testing import MemoryWarehouse

GAMES = Schedule("games", files="*.csv", date="d", key="k", season="s", type="t", expected=("002",))
FEED = Processor("feed", layer="raw", calendar="games", writes=Files("{date}.csv"), complete_when=Rows(), run=SOURCE)
LINES = Processor(
    "lines",
    layer="raw",
    calendar="games",
    writes=Table("box.lines", date="day", key=("player",)),
    complete_when=Rows(),
    run=SOURCE,
)
TOLD = Table("box.sums", date="day", key=("team",), updated="at", hash="content")
SUMS = replace(LINES, name="sums", writes=Table("box.sums", date="day", key=("team", "player")))
EXTRA = Output(Table("box.extra", date="day", key=("team",)), complete_when=Rows())
OTHER = replace(LINES, name="told", writes=replace(TOLD, name="box.told"))


def built(*values: Any) -> Pipeline:
    found = (Layer("raw"), GAMES, EveryDay("daily"), FEED, LINES, OTHER, *values)
    return Pipeline.build([Declared(value, "plugins/box.py", 7) for value in found], runtime="local")


def problems(*values: Any) -> list[str]:
    with pytest.raises(InvalidProject) as caught:
        built(*values)
    assert all(problem.where == "plugins/box.py:7" for problem in caught.value.problems)
    return [problem.what for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"rules": (NotNull("n", share=1.2),)}, 'processor "sums" has a share of 1.2. Shares go from above 0 to 1'),
        ({"rules": (UniqueKey(share=0),)}, "has a share of 0."),
        ({"rules": (MatchingKeys("lines", column="player", share=-1),)}, "has a share of -1."),
        ({"complete_when": KeysOf("lines", column="player", share=2)}, "has a share of 2."),
        ({"needs": (Need("lines", share=0),)}, "has a share of 0."),
        ({"needs": (Need("lines", window=days(0)),)}, "has a window of 0 days, which holds nothing"),
        ({"needs": (Need("lines", window=last_games(0, per="team", within=5)),)}, "has a window of last 0 games a team"),
        ({"needs": (Need("lines", window=7),)}, "has window=7, which is no window"),
        ({"needs": (any_of("lines", "lines"),)}, "has a need of lines or lines. Name each processor once"),
        ({"needs": (any_of(),)}, "has a need of nothing"),
        ({"complete_when": ()}, "expects nothing"),
        ({"complete_when": Rows(at_least=0)}, "expects rows with at_least=0, which no date could lack"),
        ({"complete_when": Rows(exactly=-1)}, "expects rows with exactly=-1"),
        ({"complete_when": CalendarKeys("k", at_least=0)}, "expects rows with at_least=0"),
        ({"complete_when": (Rows(), AtMost(0, of="lines"))}, "which no row could keep. Give it more than 0"),
        ({"complete_when": KeysOf("sums", window=days(3))}, "its own keys, of which the first would never come"),
        ({"complete_when": KeysOf("lines", at_least=-1)}, "at_least is 0 or more"),
        ({"warmup": days(-1)}, "has warmup=-1 days. It takes days(n)"),
        ({"writes": Table("box.sums", date="day", key=("team", "player"), settles_after=days(-2))}, "has settles_after=-2 days"),
        ({"writes": Table("sums", date="day", key=("team", "player"))}, 'writes a table called "sums". Call it dataset.table'),
        ({"writes": Table("a.b.c", date="day", key=("team", "player"))}, 'writes a table called "a.b.c"'),
        ({"run": Sql("a.sql", attempts=0)}, "has attempts=0. It is 1 or more"),
        ({"run": {"local": Sql("a.sql", timeout=0)}}, "has timeout=0. It is more than 0; leave it out for no limit"),
        ({"run": Sql("a.sql", service=Service("s", per_minute=-1))}, "has per_minute=-1. It is more than 0"),
        ({"run": Sql("a.sql", service=Service("s", in_flight=0))}, "has in_flight=0. It is 1 or more"),
        ({"run": Http("https://x.example", in_order=True)}, "has in_order=True, and goes with no others. Name their call"),
        (
            {"run": Http("https://l4.test/x", together="all", max_dates=3)},
            "a call that several share has one date. Take away what",
        ),
        (
            {"run": Http("https://l4.test/x", together="all", by_month=True)},
            "a call that several share has one date. Take away what",
        ),
        ({"run": Sql("a.sql", together="all")}, 'has together="all", but Sql writes one table a call. Take it away'),
        ({"rules": (NotNull("n"), NotNull("n", share=0.5))}, 'declares "n not null" twice. Keep one'),
        ({"rules": (Allowed("n", values=()),)}, "allows n no value"),
        ({"rules": (Allowed("n", values=(1, "x")),)}, "allows n values of several types"),
        ({"rules": (MatchingKeys("feed"),)}, "reads keys of feed"),
        ({"rules": (MatchingKeys("lines", column="player", columns=("team",)),)}, "with column and columns"),
        ({"rules": (MatchingKeys("lines", column="player", theirs=("a", "b")),)}, "of 1 columns, and theirs are 2"),
        ({"rules": (Positive("n", among="team in feed"),)}, 'judges rows among "team in feed", but feed writes no table'),
        ({"complete_when": KeysOf("feed", column="player")}, "reads keys of feed"),
        ({"complete_when": KeysOf("lines", window=days(3), also_in="lines", column="player")}, "also_in takes keys of the same"),
        ({"complete_when": KeysOf("lines", column="team", also_in="lines")}, "that table's key has no column of it"),
        ({"calendar": "daily", "complete_when": CalendarKeys("game")}, 'expects keys of calendar "daily", which has none'),
        ({"writes": Table("box.sums", date="day"), "rules": (UniqueKey(),)}, "but its table names no key"),
        ({"writes": Table("box.sums", date="day"), "complete_when": KeysOf("lines")}, "but its table names no key"),
        ({"writes": Files("x.csv"), "rules": (UniqueKey(),)}, 'writes files, of which "unique key" cannot be asked'),
        ({"writes": Table("box.sums", date="d", date_type="STRING", format="%d.%m.%Y")}, "which do not sort"),
        ({"writes": Table("box.sums", date="d", date_type="TIMESTAMP", zone="Mars/Olympus")}, "which is not known"),
        ({"writes": TOLD, "needs": (Need("lines", hash="made"),)}, 'hash="made", but lines does not tell when its rows were'),
        ({"writes": TOLD, "needs": (Need("feed", hash="made"),)}, 'hash="made", but feed does not tell when its rows were'),
        ({"writes": TOLD, "needs": (Need("sums", window=days(2), hash="team"),)}, 'hash="team", a column that is taken'),
        ({"needs": (Need("told", hash="made"),)}, "but does not tell when its rows were written"),
        (
            {"writes": TOLD, "needs": (Need("told", hash="made"), Need("told", window=days(2), hash="made"))},
            'hash="made", a column that is taken',
        ),
        ({"also": (EXTRA,), "run": Sql("x.sql")}, "fills several tables, and an Sql file fills one"),
        ({"also": (EXTRA,), "run": {"gcp": Sql("x.sql"), "local": SOURCE}}, "fills several tables, and an Sql file fills one"),
        ({"also": (replace(EXTRA, rules=(NotNull("n", share=2),)),)}, 'processor "sums", table extra, has a share of 2.'),
        (
            {"also": (replace(EXTRA, complete_when=CalendarKeys("k")),), "calendar": "daily"},
            "table extra, expects keys of calendar",
        ),
        ({"also": (replace(EXTRA, complete_when=KeysOf("nobody")),)}, '"nobody", which nothing declares'),
        ({"also": (EXTRA, EXTRA)}, 'processor "sums" fills box.extra twice. Take one away'),
        (
            {"also": (replace(EXTRA, table=replace(EXTRA.table, name="box.more")), EXTRA), "writes": EXTRA.table},
            'processor "sums" fills box.extra twice. Take one away',
        ),
        (
            {"also": (EXTRA, replace(EXTRA, table=replace(EXTRA.table, name="x.extra")))},
            '"extra" means a table of "sums" already',
        ),
        ({"also": (replace(EXTRA, table=replace(EXTRA.table, name="x.lines")),)}, 'but "lines" means a table of "lines" already'),
        ({"writes": Files("x.csv"), "also": (EXTRA,)}, "leaves files, and fills tables also"),
    ],
)
def test_a_processor(changed: dict[str, Any], told: str) -> None:
    (problem,) = problems(replace(SUMS, **changed))
    assert told in problem


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Weekly("odd", weekday=7), 'calendar "odd" expects nothing: weekday 7 never comes. Monday is 0, Sunday 6'),
        (Monthly("odd", day=0), 'calendar "odd" expects nothing: day 0 never comes. Days go from 1 to 31'),
        (replace(GAMES, name="odd", expected=()), 'calendar "odd" expects nothing: name a type in expected=(…)'),
        (
            replace(GAMES, name="odd", tables={"local": "lines"}),
            'calendar "odd" names a table for runtime "local". Only gcp reads one; others read files',
        ),
        (
            Layer("odd", gates=(Gate("g", measure="lines", key="player", at_least=80),)),
            'gate "g" has a share of 80. Shares go from above 0 to 1',
        ),
    ],
)
def test_calendars_and_gates(value: Any, told: str) -> None:
    assert problems(value) == [told]


FILLED = "which a run fills: that says nothing of what is expected"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("lnes", 'calendar "odd" names processor "lnes", which nothing declares. Did you mean "lines"?'),
        ("feed", 'calendar "odd" is read from "feed", which writes no table'),
        ("sums", f'calendar "odd" is read from "sums", {FILLED}. Let others fill it: run={{"gcp": SOURCE}}'),
    ],
)
def test_a_calendar_is_read_from_a_table_that_others_fill(named: str, told: str) -> None:
    filled = replace(SUMS, run={"gcp": Sql("sums.sql")})
    odd = replace(GAMES, name="odd", tables={"gcp": named})
    values = [Declared(value, "plugins/box.py", 7) for value in (Layer("raw"), GAMES, FEED, LINES, filled, odd)]
    with pytest.raises(InvalidProject) as caught:
        Pipeline.build(values, runtime="gcp")
    assert [problem.what for problem in caught.value.problems] == [told]


def known(*spans: tuple[date, date]) -> dict[str, CalendarDays]:
    seasons = tuple(Season(f"s{place}", Span(*span)) for place, span in enumerate(spans))
    expected = DateSet.from_json([f"{first}..{last}" for first, last in spans])
    games = CalendarDays(name="games", expected=expected, seasons=seasons)
    return {"games": games, "daily": CalendarDays(name="daily", expected=expected)}


TWO = ((date(2022, 10, 1), date(2022, 12, 31)), (date(2023, 10, 1), date(2023, 10, 5)))


@pytest.mark.parametrize(
    ("window", "seasons", "longest"),
    [
        (days(92), TWO, 92),
        (days(91), TWO, None),
        (calendar_dates(400), TWO, 92),
        (last_games(5, per="team", within=92), TWO, 92),
        (SEASON_TO_DATE, TWO, None),
        (days(364), TWO[1:], None),  # it may have just begun
        (days(400), TWO[1:], 365),
        (days(400), (), None),
    ],
)
def test_windows_that_no_season_is_long_enough_for(window: Window, seasons: Any, longest: int | None) -> None:
    calendars = known(*seasons) if seasons else {"games": known(TWO[0])["daily"]}
    for changed in (
        {"needs": (Need("lines", window=window),)},
        {"complete_when": KeysOf("lines", column="player", window=window)},
    ):
        found = window_problems(built(replace(SUMS, **changed)), calendars)
        told = (
            f'plugins/box.py:7: processor "sums" has a window of {window}, which never fits the seasons of calendar games: '
            f"they last {longest} days at most. Shorten it, or take SEASON_TO_DATE"
        )
        assert list(map(str, found)) == ([told] if longest else [])


SPAN = Span(date(2022, 10, 1), date(2022, 10, 9))
COLUMNS = {"day": "DATE", "player": "STRING", "team": "STRING", "n": "INT64"}


@pytest.mark.parametrize(
    ("changed", "table", "column"),
    [
        ({"rules": (Allowed("shirt", values=(1,)),)}, "sums", "shirt"),
        ({"rules": (NotNull("n", among="shirt"),)}, "sums", "shirt"),
        ({"rules": (Positive("n", among="shirt in lines"),)}, "sums", "shirt"),
        ({"rules": (MatchingKeys("lines", column="shirt"),)}, "lines", "shirt"),
        ({"rules": (MatchingKeys("lines", column="team", theirs=("shirt",)),)}, "lines", "shirt"),
        ({"complete_when": KeysOf("lines", column="n")}, "lines", "n"),
        ({"writes": replace(SUMS.writes, hash="shirt")}, "sums", "shirt"),
        ({"writes": replace(SUMS.writes, only={"shirt": "x"})}, "sums", "shirt"),
    ],
)
def test_columns_that_the_live_table_lacks(changed: dict[str, Any], table: str, column: str) -> None:
    pipeline, warehouse = built(replace(SUMS, **changed)), MemoryWarehouse()
    warehouse.declare("box.sums", COLUMNS)
    warehouse.declare("box.lines", {name: kind for name, kind in COLUMNS.items() if name != "n"})
    asked = [question_about(pipeline, pipeline.processors[name], known(TWO[0]), SPAN) for name in ("lines", "sums")]
    with pytest.raises(UnreadableTable, match=rf'^box.{table} cannot be read: it has no column "{column}".*plugins/box.py:7$'):
        missing_tables(pipeline, warehouse, asked)


@pytest.mark.parametrize(("kind", "fits"), [("DATE", False), ("TIMESTAMP WITH TIME ZONE", True), ("VARCHAR", False)])
def test_a_date_column_of_another_type_than_declared(kind: str, fits: bool) -> None:
    pipeline, warehouse = built(replace(SUMS, writes=replace(SUMS.writes, date_type="TIMESTAMP"))), MemoryWarehouse()
    warehouse.declare("box.sums", COLUMNS | {"day": kind})
    asked = [question_about(pipeline, pipeline.processors["sums"], known(TWO[0]), SPAN)]
    if fits:
        assert missing_tables(pipeline, warehouse, asked) == frozenset()
        return
    with pytest.raises(UnreadableTable, match=f'its date column "day" is {kind}, and declared as TIMESTAMP'):
        missing_tables(pipeline, warehouse, asked)


def test_a_monthly_calendar_takes_the_last_day_of_a_shorter_month() -> None:
    spring = Span(date(2024, 1, 15), date(2024, 5, 31))
    ends = calendar_days(Monthly("ends", day=31), spring)
    assert [str(day) for day in ends.expected] == ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]
    firsts = calendar_days(Monthly("firsts", since=date(2024, 3, 2)), spring)
    assert [str(day) for day in firsts.expected] == ["2024-04-01", "2024-05-01"]


def test_a_need_of_several_tables_tells_no_one_hash() -> None:
    two = replace(OTHER, name="two", writes=replace(TOLD, name="box.two"), also=(EXTRA,))
    (problem,) = problems(two, replace(SUMS, writes=TOLD, needs=(Need("two", hash="made"),)))
    assert problem == 'processor "sums" has a need with hash="made", but two fills several tables: no one hash tells them'


def test_a_further_tables_columns_are_looked_for_too() -> None:
    pipeline, warehouse = built(replace(SUMS, also=(replace(EXTRA, rules=(NotNull("points"),)),))), MemoryWarehouse()
    warehouse.declare("box.extra", {"day": "DATE", "team": "STRING"})
    asked = questions_about(pipeline, pipeline.processors["sums"], known(TWO[0]), SPAN)
    assert list(asked) == ["sums", "extra"]
    with pytest.raises(UnreadableTable, match=r'box\.extra .*: it has no column "points", which processor "sums" names'):
        missing_tables(pipeline, warehouse, asked.values())


@pytest.mark.parametrize(
    ("live", "hint"),
    [("opponent_team", ""), ("opponent_score2", ' Did you mean "opponent_score2"?'), ("opponent_scores", "")],
)
def test_only_a_slip_of_the_pen_is_taken_for_a_column_that_lacks(live: str, hint: str) -> None:
    rules = (NotNull("opponent_score"), NotNull("opponent_scores"))
    pipeline, warehouse = built(replace(SUMS, rules=rules)), MemoryWarehouse()
    warehouse.declare("box.sums", COLUMNS | {live: "INT64", "opponent_scores": "INT64"})
    asked = [question_about(pipeline, pipeline.processors["sums"], known(TWO[0]), SPAN)]
    with pytest.raises(UnreadableTable, match=re.escape(f'no column "opponent_score", which processor "sums" names.{hint} See')):
        missing_tables(pipeline, warehouse, asked)


def test_a_table_that_one_processor_fills_first_and_another_also_needs_a_slice_for_each() -> None:
    two = replace(LINES, name="two", writes=Table("box.two", date="day"), also=(replace(EXTRA, table=SUMS.writes),))
    told = problems(SUMS, two)
    assert "sums and two both write box.sums. Give each table its own only={column: value}" in told
