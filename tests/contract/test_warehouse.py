"""What every warehouse must answer: each number literal, then DuckDB and plain rows against each other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import WAREHOUSES, DuckDBStore, Held, MemoryStore, Row

from backfill_core.coverage import DateFacts, KeysFound
from backfill_core.dates import ONE_DAY, DateSet, Span, day_number
from backfill_core.errors import UnreadableTable
from backfill_core.model.table import Table
from backfill_core.queries.named import row_words
from backfill_core.queries.question import (
    BreakingQuestion,
    ColumnCheck,
    KeyComparison,
    KeyMatch,
    KeysQuestion,
    OffendingQuery,
    OffendingQuestion,
    TableQuestion,
)

LINES = {
    "day": "DATE",
    "player": "STRING",
    "team": "STRING",
    "points": "INT64",
    "active": "BOOL",
    "source": "STRING",
    "written": "TIMESTAMP",
}
TABLE = Table("box.lines", date="day", key=("player",), updated="written")
OTHER = Table("box.roster", date="day", key=("player",))
THIRD = Table("box.picked", date="day", key=("player",))
SPAN = Span(date(2024, 10, 22), date(2024, 10, 26))


def n(day: int, month: int = 10) -> int:
    """Day number of a day of 2024."""
    return day_number(date(2024, month, day))


def line(day: int, player: str | None, team: str | None = None, **more: Any) -> dict[str, Any]:
    return {"day": date(2024, 10, day), "player": player, "team": team, **more}


def at(hour: int, micro: int = 0) -> datetime:
    return datetime(2024, 10, 27, hour, 0, 0, micro, tzinfo=UTC)


def question(table: Table = TABLE, span: Span = SPAN, **asked: Any) -> TableQuestion:
    return TableQuestion(processor="lines", table=table, span=span, **asked)


@pytest.fixture(params=WAREHOUSES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Held]:
    opened: Held = request.param(tmp_path)
    yield opened
    opened.warehouse.close()


def test_rows_and_distinct_keys_of_the_days_in_the_span(store: Held) -> None:
    rows = [line(day, "ann") for day in (21, 22, 24, 24, 26, 27)] + [line(24, "bob"), line(24, None), line(22, "ann", "x")]
    store.put("box.lines", LINES, [*rows, {"day": None, "player": "cy"}])
    facts = store.warehouse.observe(question())
    assert facts.exists
    assert facts.rows == {n(22): 2, n(24): 4, n(26): 1}
    assert facts.distinct == {n(22): 1, n(24): 2, n(26): 1}
    assert (facts.oldest, facts.newest, facts.keys, facts.checks, facts.shares) == ({}, {}, {}, {}, {})


@pytest.mark.parametrize(
    ("key", "distinct"),
    [
        ((), 6),
        (("day",), 6),
        (("player",), 2),
        (("day", "player"), 2),
        (("player", "team"), 5),
        (("team", "points", "player"), 5),
    ],
)
def test_distinct_keys_of_none_one_and_several_columns(store: Held, key: tuple[str, ...], distinct: int) -> None:
    pairs = [("ann", "x"), ("ann", "x"), ("ann", "y"), ("ann", None), (None, None), ("bob", "x")]
    store.put("box.lines", LINES, [line(22, player, team) for player, team in pairs])
    facts = store.warehouse.observe(question(Table("box.lines", date="day", key=key)))
    assert facts.rows == {n(22): 6}
    assert facts.distinct == {n(22): distinct}


#: What would end a string, an identifier, a statement or a comment, in either engine.
ANY_NAME = "a\"b'c`d; DROP TABLE lines; --/*"


def test_any_name_and_any_value_is_taken_as_it_is(store: Held) -> None:
    store.put("box.lines", LINES, [line(22, "stays")])
    columns = {f"day {ANY_NAME}": "DATE", ANY_NAME: "STRING", f"of {ANY_NAME}": "STRING", f"n {ANY_NAME}": "INT64"}
    table = Table(f"box.{ANY_NAME}", date=f"day {ANY_NAME}", key=(ANY_NAME,), only={f"of {ANY_NAME}": ANY_NAME})
    rows = [(22, "ann", ANY_NAME, 1), (22, ANY_NAME, ANY_NAME, None), (23, "bob", "another", 1)]
    store.put(table.name, columns, [dict(zip(columns, (date(2024, 10, day), *more), strict=True)) for day, *more in rows])
    other = Table("box.roster", date="day", key=("player",))
    store.put("box.roster", LINES, [line(22, ANY_NAME), line(22, "cy")])
    asked = question(
        table,
        keys=(ANY_NAME,),
        checks=(
            ColumnCheck(name=ANY_NAME, column=f"n {ANY_NAME}"),
            ColumnCheck(name=f"value {ANY_NAME}", column=ANY_NAME, values=(ANY_NAME,)),
        ),
        comparisons=(KeyComparison(name=ANY_NAME, own=(ANY_NAME,), theirs=("player",), other=other),),
    )
    facts = store.warehouse.observe(asked)
    assert facts.keys == {ANY_NAME: {n(22): {"ann": 1, ANY_NAME: 1}}}
    assert facts.checks == {ANY_NAME: {n(22): (1, 2)}, f"value {ANY_NAME}": {n(22): (1, 2)}}
    assert facts.shares == {ANY_NAME: {n(22): (1, 2, 1)}}
    assert store.warehouse.observe(question()).rows == {n(22): 1}


def test_oldest_and_newest_are_micros_of_the_rows_that_tell(store: Held) -> None:
    stamps = {22: [at(3), at(1, 7), None, at(2)], 23: [None], 24: [at(5)]}
    store.put("box.lines", LINES, [line(day, "ann", written=stamp) for day, found in stamps.items() for stamp in found])
    facts = store.warehouse.observe(question())
    midnight = 1_729_987_200_000_000
    assert facts.oldest == {n(22): midnight + 3_600_000_007, n(24): midnight + 5 * 3_600_000_000}
    assert facts.newest == {n(22): midnight + 3 * 3_600_000_000, n(24): midnight + 5 * 3_600_000_000}
    assert store.warehouse.observe(question(replace(TABLE, updated=None))).newest == {}


def test_keys_are_listed_as_text_with_their_rows(store: Held) -> None:
    rows = [line(22, "ann", points=3), line(22, "ann", points=3), line(22, "bob", points=None), line(23, None, active=True)]
    store.put("box.lines", LINES, rows)
    keys = store.warehouse.observe(question(keys=("player", "points", "active", "day"))).keys
    assert keys == {
        "player": {n(22): {"ann": 2, "bob": 1}, n(23): {}},
        "points": {n(22): {"3": 2}, n(23): {}},
        "active": {n(22): {}, n(23): {"true": 1}},
        "day": {n(22): {"2024-10-22": 3}, n(23): {"2024-10-23": 1}},
    }


def test_checks_count_good_rows_of_those_a_column_picks(store: Held) -> None:
    values = [(5, True), (0, True), (-1, True), (None, True), (7, False), (None, False), (9, None)]
    rows = [line(22, f"p{place}", points=points, active=active) for place, (points, active) in enumerate(values)]
    store.put("box.lines", LINES, [*rows, line(23, "ann", points=None, active=False)])
    kinds = [("null", False, None), ("above", True, None), ("null in", False, "active"), ("above in", True, "active")]
    checks = tuple(ColumnCheck(name=name, column="points", positive=positive, among=among) for name, positive, among in kinds)
    assert store.warehouse.observe(question(checks=checks)).checks == {
        "null": {n(22): (5, 7), n(23): (0, 1)},
        "above": {n(22): (3, 7), n(23): (0, 1)},
        "null in": {n(22): (3, 4), n(23): (0, 0)},
        "above in": {n(22): (1, 4), n(23): (0, 0)},
    }


def test_checks_among_the_keys_another_table_holds_on_the_date(store: Held) -> None:
    teams = Table("box.teams", date="on", key=("on", "club", "player"), only={"source": "api"})
    kinds = {"on": "DATE", "club": "STRING", "player": "STRING", "source": "STRING"}
    clubs = [(22, "x", "api"), (22, "x", "api"), (22, "y", "web"), (23, "y", "api"), (24, None, "api")]
    store.put("box.teams", kinds, [{"on": date(2024, 10, day), "club": club, "source": source} for day, club, source in clubs])
    rows = [line(22, "a", "x", points=1), line(22, "b", "x", points=0), line(22, "c", "y", points=1), line(22, "d", points=1)]
    store.put("box.lines", LINES, [*rows, line(23, "a", "x", points=1), line(23, "c", "y"), line(24, "d", points=1)])
    among = {"column": "points", "among": "team", "among_table": teams}
    checks = (ColumnCheck(name="> 0", positive=True, **among), ColumnCheck(name="not null", positive=False, **among))
    facts = store.warehouse.observe(question(checks=checks))
    assert facts.checks == {
        "> 0": {n(22): (1, 2), n(23): (0, 1)},
        "not null": {n(22): (2, 2), n(23): (0, 1)},
    }
    assert facts.rows == {n(22): 4, n(23): 2, n(24): 1}


def test_allowed_values_are_counted_and_no_value_is_none_of_them(store: Held) -> None:
    teams = [("x", True), ("y", True), ("z", True), (None, True), ("x", False), ("x", None)]
    store.put("box.lines", LINES, [line(22, f"p{n}", team, active=active, points=n) for n, (team, active) in enumerate(teams)])
    checks = (
        ColumnCheck(name="team", column="team", values=("x", "y")),
        ColumnCheck(name="active team", column="team", values=("x", "it's"), among="active"),
        ColumnCheck(name="points", column="points", values=(0, 5)),
        ColumnCheck(name="flag", column="active", values=(True,)),
    )
    assert store.warehouse.observe(question(checks=checks)).checks == {
        "team": {n(22): (4, 6)},
        "active team": {n(22): (1, 4)},
        "points": {n(22): (2, 6)},
        "flag": {n(22): (4, 6)},
    }


def test_rows_whose_key_another_table_holds_on_the_date(store: Held) -> None:
    rows = [line(22, "ann", "x"), line(22, "ann", "x"), line(22, "bob", "y"), line(22, None), line(23, "cy"), line(24, "ann")]
    store.put("box.lines", LINES, [{**row, "active": row["day"].day != 24} for row in rows])
    others = [("ann", "x"), ("ann", "x"), ("ann", "y"), ("bob", "x"), (None, None)]
    store.put("box.roster", LINES, [line(22, player, team) for player, team in others] + [line(24, "cy", source="web")])
    store.put("box.picked", LINES, [line(22, "x"), line(24, "y")])
    one = KeyMatch(own=("player",), theirs=("player",), other=OTHER)
    checks = (
        ColumnCheck(name="one", match=one),
        ColumnCheck(name="two", match=KeyMatch(own=("player", "team"), theirs=("player", "team"), other=OTHER)),
        ColumnCheck(name="crossed", match=KeyMatch(own=("team",), theirs=("team",), other=OTHER)),
        ColumnCheck(name="active", match=one, among="active"),
        ColumnCheck(name="among", match=one, among="team", among_table=THIRD),
    )
    asked = store.warehouse.asked
    assert store.warehouse.observe(question(checks=checks)).checks == {
        "one": {n(22): (3, 4), n(23): (0, 1), n(24): (0, 1)},
        "two": {n(22): (2, 4), n(23): (0, 1), n(24): (0, 1)},
        "crossed": {n(22): (3, 4), n(23): (0, 1), n(24): (0, 1)},
        "active": {n(22): (3, 4), n(23): (0, 1)},
        "among": {n(22): (2, 2)},
    }
    assert store.warehouse.asked - asked == 2


def test_one_hash_a_day_whatever_the_order_of_its_rows(store: Held) -> None:
    hashed = replace(TABLE, hash="source")
    rows = [line(22, "ann", source="b"), line(22, "bob", source="a"), line(22, "cy", source="a"), line(23, "ann", source="a")]
    store.put("box.lines", LINES, [*rows, line(24, "ann", source="a"), line(24, "bob")])
    first = store.warehouse.observe(question(hashed)).hashes
    same = {n(22): hashlib.md5(b"a,a,b").hexdigest(), n(23): hashlib.md5(b"a").hexdigest()}
    assert first == same, "a date with a row that has none has none"
    store.put("box.lines", LINES, reversed(rows))
    assert store.warehouse.observe(question(hashed)).hashes == first
    store.put("box.lines", LINES, [*rows, line(22, "dee", source="a")])
    assert store.warehouse.observe(question(hashed)).hashes != first
    assert store.warehouse.observe(question()).hashes == {}


STAMPED = {"at": "TIMESTAMP", "day": "STRING", "player": "STRING", "team": "STRING"}


def test_rows_belong_to_the_day_in_the_tables_zone(store: Held) -> None:
    """New York is four hours behind in October, and five from the 3rd of November on."""
    stamps = [(22, 3, 59), (22, 4, 0), (23, 3, 59), (27, 3, 59), (27, 4, 0)]
    late = [datetime(2024, 11, 4, 4, 59, tzinfo=UTC), datetime(2024, 11, 4, 5, 0, tzinfo=UTC)]
    instants = [datetime(2024, 10, day, hour, minute, tzinfo=UTC) for day, hour, minute in stamps] + late
    store.put("box.lines", STAMPED, [{"at": instant, "player": f"p{place}"} for place, instant in enumerate(instants)])
    table = Table("box.lines", date="at", date_type="TIMESTAMP", zone="America/New_York", key=("player",))
    assert store.warehouse.observe(question(table)).rows == {n(22): 2, n(26): 1}
    assert store.warehouse.observe(question(replace(table, zone="UTC"))).rows == {n(22): 2, n(23): 1}
    autumn = Span(date(2024, 11, 3), date(2024, 11, 4))
    assert store.warehouse.observe(question(table, autumn, keys=("player",))).keys == {
        "player": {n(3, 11): {"p5": 1}, n(4, 11): {"p6": 1}}
    }


@pytest.mark.parametrize("shape", ["%Y-%m-%d", "%Y%m%d", "d=%Y/%m/%d"])
def test_days_written_as_text(store: Held, shape: str) -> None:
    table = Table("box.lines", date="day", date_type="STRING", format=shape, key=("player",))
    days = [date(2024, 10, day) for day in (21, 22, 22, 26, 27)]
    rows = [{"day": day.strftime(shape), "player": f"p{place}", "team": "x"} for place, day in enumerate(days)]
    store.put("box.lines", STAMPED, rows)
    store.put("box.roster", LINES, [line(22, "p1"), line(22, "p9"), line(26, "p3")])
    pair = KeyComparison(name="c", own=("player",), theirs=("player",), other=OTHER)
    back = replace(pair, name="back", reaches=((n(22), n(24)),), days=DateSet.of(date(2024, 10, 24)))
    facts = store.warehouse.observe(question(table, keys=("player",), comparisons=(pair, back)))
    assert facts.rows == {n(22): 2, n(26): 1}
    assert facts.keys == {"player": {n(22): {"p1": 1, "p2": 1}, n(26): {"p3": 1}}}
    assert answered(facts, (pair, back)).shares == {
        "c": {n(22): (1, 2, 1), n(26): (1, 1, 0)},
        "back": {n(24): (0, 2, 0)},
    }


def test_only_the_rows_of_a_slice_are_seen(store: Held) -> None:
    rows = [line(22, "ann", source="api"), line(22, "bob", source="web"), line(22, "cy"), line(23, "ann", source="web")]
    store.put("box.lines", LINES, [{**row, "points": 1} for row in rows])
    store.put("box.roster", LINES, [line(22, "ann"), line(22, "bob"), line(23, "ann")])
    facts = store.warehouse.observe(
        question(
            replace(TABLE, only={"source": "api"}),
            keys=("player",),
            checks=(ColumnCheck(name="points", column="points", positive=True),),
            comparisons=(KeyComparison(name="roster", own=("player",), theirs=("player",), other=OTHER),),
        )
    )
    assert facts.rows == facts.distinct == {n(22): 1}
    assert facts.keys == {"player": {n(22): {"ann": 1}}}
    assert facts.checks == {"points": {n(22): (1, 1)}}
    assert facts.shares == {"roster": {n(22): (1, 2, 0), n(23): (0, 1, 0)}}
    both = store.warehouse.observe(question(replace(TABLE, only={"source": "web", "player": "bob"})))
    assert both.rows == {n(22): 1}


def shares(
    store: Held, rows: list[Row], others: list[Row], thirds: tuple[Row, ...] = (), *, absent: bool = False, **asked: Any
) -> Any:
    """What one comparison comes to, over rows put in."""
    store.put("box.lines", LINES, rows)
    store.put("box.roster", LINES, others)
    store.put("box.picked", LINES, thirds)
    pair = KeyComparison(**{"name": "c", "own": ("player",), "theirs": ("player",), "other": OTHER, **asked})
    return answered(store.warehouse.observe(question(absent=absent, comparisons=(pair,))), (pair,)).shares["c"]


def answered(facts: DateFacts, pairs: Iterable[KeyComparison]) -> DateFacts:
    """The facts less the days that a comparison with days before the date was not to answer for."""
    asked = {pair.name: set(pair.days.numbers()) for pair in pairs if pair.looks_back}
    kept = {
        name: {day: counts for day, counts in found.items() if name not in asked or day in asked[name]}
        for name, found in facts.shares.items()
    }
    return replace(facts, shares=kept)


def test_keys_of_the_same_date(store: Held) -> None:
    own = [line(22, "ann"), line(22, "ann", "x"), line(22, "dee"), line(24, "ann"), line(27, "ann"), line(25, None)]
    other = [line(22, "ann"), line(22, "ann", "y"), line(22, "bob"), line(23, "ann"), line(21, "ann"), line(25, None)]
    wanted = {n(22): (1, 2, 1), n(23): (0, 1, 0), n(24): (0, 0, 1), n(25): (0, 1, 1)}
    assert shares(store, own, other) == wanted


def test_keys_of_several_columns_and_of_other_names(store: Held) -> None:
    own = [line(22, "ann", "x"), line(22, "bob", "y"), line(22, "cy", None)]
    other = [line(22, "x", "ann"), line(22, "x", "bob"), line(22, None, "cy")]
    both = {"own": ("player", "team"), "theirs": ("team", "player")}
    assert shares(store, own, other, **both) == {n(22): (1, 3, 2)}
    assert shares(store, own, other, own=("team",), theirs=("player",)) == {n(22): (1, 2, 2)}


def test_keys_of_the_other_tables_slice(store: Held) -> None:
    other = [line(22, "ann", source="api"), line(22, "bob", source="web"), line(23, "bob", source="web")]
    api = replace(OTHER, only={"source": "api"})
    assert shares(store, [line(22, "bob")], other, other=api) == {n(22): (0, 1, 1)}


def test_keys_that_a_third_table_holds_on_the_date_too(store: Held) -> None:
    own = [line(22, "ann"), line(22, "bob"), line(23, "cy")]
    other = [line(22, "ann", "x"), line(22, "bob", "x"), line(22, "cy", "y"), line(23, "ann", "x")]
    third = (
        line(22, "ann", "x", source="api"),
        line(22, "cy", "x", source="api"),
        line(23, "bob", "x", source="api"),
        line(22, "bob", "x", source="web"),
    )
    api = replace(THIRD, only={"source": "api"})
    picked = {"third": api, "third_columns": ("player",)}
    assert shares(store, own, other, third, **picked) == {n(22): (1, 2, 1), n(23): (0, 0, 1)}
    wide = {"own": ("player", "team"), "theirs": ("player", "team"), "third": THIRD, "third_columns": ("team",)}
    assert shares(store, own, other, third, **wide) == {n(22): (0, 2, 2), n(23): (0, 1, 1)}


#: The season before began on the 1st, this one on the 23rd.
SEASONS = (Span(date(2024, 10, 1), date(2024, 10, 22)), Span(date(2024, 10, 23), date(2024, 10, 26)))
ROSTER = [
    *(line(day, "ann") for day in (20, 22, 22, 24, 25, 26)),
    *(line(day, "bob") for day in (19, 21, 22)),
    *(line(day, "cy") for day in (23, 26, 27)),
    line(30, "dee"),
]


def test_keys_on_enough_dates_this_season_before_the_date(store: Held) -> None:
    own = [line(22, "bob"), line(25, "cy"), line(26, "ann"), line(26, "cy")]
    assert shares(store, own, ROSTER, at_least=1, seasons=SEASONS) == {
        n(22): (1, 2, 0),  # ann was there on the 20th, bob on the 19th
        n(25): (0, 1, 1),  # ann on the 24th; cy is not there on the 25th
        n(26): (2, 2, 0),
    }
    assert shares(store, own, ROSTER, at_least=2, seasons=SEASONS) == {
        n(22): (1, 1, 0),
        n(25): (0, 0, 1),
        n(26): (1, 1, 1),  # ann on the 24th and 25th; cy only on the 23rd
    }
    assert shares(store, [], ROSTER, at_least=2, seasons=SEASONS[1:]) == {n(26): (0, 1, 0)}


def test_keys_of_the_season_before_the_date(store: Held) -> None:
    own = [line(22, "bob"), line(24, "cy"), line(24, "ann"), line(25, "eve")]
    days = DateSet.from_json(["2024-10-22..2024-10-24", "2024-10-26"])
    asked = {"to_date": True, "days": days, "seasons": SEASONS}
    assert shares(store, own, ROSTER, **asked) == {
        n(22): (1, 2, 0),
        n(24): (1, 1, 1),  # ann on the 24th itself does not count; the 23rd wants nothing: a season has just begun
        n(26): (0, 2, 0),
    }
    assert shares(store, own, ROSTER, at_least=2, **asked) == {
        n(22): (1, 1, 0),
        n(24): (0, 0, 2),
        n(26): (0, 1, 0),
    }
    assert shares(store, own, ROSTER, **{**asked, "days": DateSet()}) == {}


def test_keys_of_a_window_before_the_date(store: Held) -> None:
    own = [line(22, "bob"), line(24, "cy"), line(24, "ann"), line(26, "eve")]
    days = DateSet.from_json(["2024-10-22..2024-10-24", "2024-10-26"])
    # Two days before the date: the 20th and 21st for the 22nd, and so on.
    reaches = ((n(20), n(22)), (n(21), n(23)), (n(22), n(24)), (n(23), n(24)), (n(24), n(26)), (n(25), n(26)))
    asked = {"days": days, "reaches": reaches}
    assert shares(store, own, ROSTER, **asked) == {
        n(22): (1, 2, 0),
        n(23): (0, 2, 0),
        n(24): (2, 3, 0),
        n(26): (0, 1, 1),
    }
    assert shares(store, own, ROSTER, at_least=2, **asked) == {
        n(22): (0, 0, 1),
        n(23): (0, 1, 0),  # bob on the 21st and 22nd
        n(24): (0, 0, 2),
        n(26): (0, 1, 1),  # ann on the 24th and 25th
    }
    assert shares(store, own, ROSTER, at_least=3, **asked).keys() == {n(22), n(24), n(26)}


def test_a_season_reads_only_the_other_tables_slice(store: Held) -> None:
    other = [line(22, "ann", source="api"), line(22, "bob", source="web"), line(23, "ann", source="web")]
    asked = {"other": replace(OTHER, only={"source": "api"}), "seasons": (SPAN,)}
    assert shares(store, [], other, to_date=True, days=DateSet.of(date(2024, 10, 24)), **asked) == {n(24): (0, 1, 0)}
    assert shares(store, [], other, at_least=1, **asked) == {}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"at_least": 1, "seasons": (Span(date(2024, 10, 1), date(2024, 10, 26)),)},
        {"to_date": True, "days": DateSet.of(date(2024, 10, 23)), "seasons": (SPAN,)},
        {"reaches": ((n(21), n(23)), (n(22), n(23))), "days": DateSet.of(date(2024, 10, 23))},
    ],
)
def test_of_an_absent_table_only_what_others_want_is_told(store: Held, asked: dict[str, Any]) -> None:
    other = [line(21, "ann"), line(22, "ann"), line(22, "bob"), line(23, "ann")]
    wanted: dict[str, Any] = {
        "": {n(22): (0, 2, 0), n(23): (0, 1, 0)},
        "at_least": {n(22): (0, 1, 0), n(23): (0, 1, 0)},
        "to_date": {n(23): (0, 2, 0)},
        "reaches": {n(23): (0, 2, 0)},
    }
    assert shares(store, [line(22, "ann")], other, absent=True, **asked) == wanted[next(iter(asked), "")]
    missing = replace(TABLE, name="box.nowhere")
    facts = store.warehouse.observe(question(missing, absent=True, keys=("player",)))
    assert (facts.exists, facts.rows, facts.keys) == (False, {}, {"player": {}})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"table": replace(TABLE, name="box.nowhere")}, "nowhere"),
        ({"table": replace(TABLE, key=("shirt",))}, ""),
        ({"keys": ("shirt",)}, ""),
        ({"checks": (ColumnCheck(name="c", column="shirt", positive=False),)}, ""),
        (
            {"checks": (ColumnCheck(name="c", column="points", positive=True, among="team", among_table=OTHER),)},
            "roster",
        ),
        ({"comparisons": (KeyComparison(name="c", own=("player",), theirs=("player",), other=OTHER),)}, "roster"),
        ({"checks": (ColumnCheck(name="c", match=KeyMatch(own=("player",), theirs=("player",), other=OTHER)),)}, "roster"),
        ({"checks": (ColumnCheck(name="c", column="shirt", values=(1,)),)}, ""),
        ({"table": replace(TABLE, hash="shirt")}, ""),
    ],
)
def test_what_is_not_there_cannot_be_read(store: Held, asked: dict[str, Any], told: str) -> None:
    store.put("box.lines", LINES, [line(22, "ann")])
    with pytest.raises(UnreadableTable, match=rf"^box\.(lines|nowhere) cannot be read: .*{told}"):
        store.warehouse.observe(question(**asked))


def test_the_schema_has_the_tables_of_those_datasets(store: Held) -> None:
    store.put("box.lines", LINES)
    store.put("box.roster", {"day": "DATE"})
    store.put("score.lines", {"points": "INT64"})
    found = store.warehouse.schema(["box"])
    assert {name: list(columns) for name, columns in found.items()} == {"box.lines": list(LINES), "box.roster": ["day"]}
    assert store.warehouse.schema(["box", "score", "nowhere"]).keys() == {"box.lines", "box.roster", "score.lines"}
    assert store.warehouse.schema([]) == {}


def test_several_questions_are_answered_in_order_and_all_queries_counted(store: Held) -> None:
    store.put("box.lines", LINES, [line(22, "ann", "x", points=1)])
    store.put("box.roster", LINES, [line(23, "ann")])
    among = ColumnCheck(name="among", column="points", positive=True, among="player", among_table=OTHER)
    plain = ColumnCheck(name="plain", column="points", positive=True)
    pair = KeyComparison(name="c", own=("player",), theirs=("player",), other=OTHER)
    asked = [
        question(checks=(plain, among), comparisons=(pair,), keys=("player",)),  # 2 queries: its own, and one for the pair
        question(OTHER),  # 1
        question(absent=True, comparisons=(pair,)),  # 1
    ]
    before = store.warehouse.asked
    answers = store.warehouse.observe_all(asked)
    assert store.warehouse.asked - before == 4
    assert [facts.rows for facts in answers] == [{n(22): 1}, {n(23): 1}, {}]
    assert answers == [store.warehouse.observe(each) for each in asked]
    assert store.warehouse.asked - before == 8
    store.warehouse.schema(["box"])
    assert store.warehouse.asked - before == 9
    assert store.warehouse.observe_all([]) == []


def differing(store: Held, pair: KeyComparison, day: int, limit: int = 9, *, absent: bool = False) -> KeysFound:
    asked = KeysQuestion(processor="lines", table=TABLE, day=date(2024, 10, day), pair=pair, absent=absent)
    return store.warehouse.differing_keys(asked, limit)


def test_keys_that_lack_and_keys_beyond_are_named_ascending(store: Held) -> None:
    store.put("box.lines", LINES, [line(22, who) for who in ("ann", "dee", "dee", None)] + [line(23, "bob")])
    store.put("box.roster", LINES, [line(22, who) for who in ("cy", "bob", "ann", "bob", None, "al")])
    pair = KeyComparison(name="c", own=("player",), theirs=("player",), other=OTHER)
    before = store.warehouse.asked
    assert differing(store, pair, 22) == KeysFound(
        absent=4, surplus=2, first_absent=(("al",), ("bob",), ("cy",), (None,)), first_surplus=(("dee",), (None,))
    )
    assert store.warehouse.asked - before == 1
    assert differing(store, pair, 22, 1) == KeysFound(absent=4, surplus=2, first_absent=(("al",),), first_surplus=(("dee",),))
    assert differing(store, pair, 23) == KeysFound(absent=0, surplus=1, first_surplus=(("bob",),))
    assert differing(store, pair, 24) == KeysFound(absent=0, surplus=0)
    lacking = differing(store, pair, 22, absent=True)
    assert (lacking.absent, lacking.surplus, lacking.first_absent[0]) == (5, 0, ("al",))


def test_keys_of_several_columns_and_kinds_are_named_as_text(store: Held) -> None:
    store.put("box.lines", LINES, [line(22, "ann", points=3), line(22, "bob", points=10)])
    store.put("box.roster", LINES, [line(22, "ann", points=4), line(22, "ann", points=10), line(22, None, points=10)])
    pair = KeyComparison(name="c", own=("points", "player"), theirs=("points", "player"), other=OTHER)
    assert differing(store, pair, 22) == KeysFound(
        absent=3,
        surplus=2,
        first_absent=(("10", "ann"), ("10", None), ("4", "ann")),
        first_surplus=(("10", "bob"), ("3", "ann")),
    )


def test_keys_of_a_window_before_the_day_are_named(store: Held) -> None:
    store.put("box.lines", LINES, [line(24, "ann"), line(24, "eve")])
    store.put("box.roster", LINES, [line(21, "al"), line(22, "ann"), line(22, "bob"), line(23, "bob"), line(24, "dee")])
    pair = KeyComparison(
        name="c",
        own=("player",),
        theirs=("player",),
        other=OTHER,
        days=DateSet.of(date(2024, 10, 24)),
        reaches=((n(22), n(24)), (n(23), n(24))),
    )
    assert differing(store, pair, 24) == KeysFound(absent=1, surplus=1, first_absent=(("bob",),), first_surplus=(("eve",),))
    to_date = replace(pair, reaches=(), to_date=True, seasons=(Span(date(2024, 10, 20), date(2024, 10, 30)),))
    assert differing(store, to_date, 24).first_absent == (("al",), ("bob",))
    assert differing(store, replace(to_date, at_least=2), 24).first_absent == (("bob",),)


def test_keys_of_a_table_that_cannot_be_read_are_not_named(store: Held) -> None:
    store.put("box.lines", LINES)
    pair = KeyComparison(name="c", own=("player",), theirs=("player",), other=OTHER)
    with pytest.raises(UnreadableTable, match=r"^box\.lines cannot be read: .*roster"):
        differing(store, pair, 22)


def breaking(store: Held, check: ColumnCheck | None, day: int, limit: int = 9) -> KeysFound:
    return store.warehouse.differing_keys(
        BreakingQuestion(processor="lines", table=TABLE, day=date(2024, 10, day), check=check), limit
    )


def test_keys_of_rows_that_break_a_rule_are_named_ascending(store: Held) -> None:
    rows = [line(22, "dee", points=None), line(22, "bob", points=0), line(22, "ann", points=3), line(22, None, points=-1)]
    store.put("box.lines", LINES, [*rows, line(22, "dee", points=5), line(23, "eve", points=0)])
    store.put("box.roster", LINES, [line(22, "dee"), line(22, "ann")])
    positive = ColumnCheck(name="c", column="points", positive=True)
    before = store.warehouse.asked
    assert breaking(store, positive, 22) == KeysFound(absent=0, surplus=3, first_surplus=(("bob",), ("dee",), (None,)))
    assert store.warehouse.asked - before == 1
    assert breaking(store, positive, 22, 1) == KeysFound(absent=0, surplus=3, first_surplus=(("bob",),))
    assert breaking(store, replace(positive, positive=False), 22).first_surplus == (("dee",),)
    assert breaking(store, replace(positive, positive=False, values=(3, 5)), 22).first_surplus == (("bob",), ("dee",), (None,))
    among = replace(positive, among="player", among_table=OTHER)
    assert breaking(store, among, 22) == KeysFound(absent=0, surplus=1, first_surplus=(("dee",),))
    match = ColumnCheck(name="c", match=KeyMatch(own=("player",), theirs=("player",), other=OTHER))
    assert breaking(store, match, 22) == KeysFound(absent=0, surplus=2, first_surplus=(("bob",), (None,)))
    # Rows of one key; a row without one has none of its own.
    assert breaking(store, None, 22) == KeysFound(absent=0, surplus=2, first_surplus=(("dee",), (None,)))
    assert breaking(store, None, 24) == KeysFound(absent=0, surplus=0)


RULE = OffendingQuery(name="no bob", file="no_bob.sql", tables={"lines": TABLE})


def test_offending_rows_are_counted_by_date_in_duckdb(tmp_path: Path) -> None:
    text = "SELECT day, player FROM {lines} WHERE player = 'bob' AND day BETWEEN @date_from AND @date_to"
    (tmp_path / "no_bob.sql").write_text(text, encoding="utf-8")
    store = DuckDBStore(tmp_path)
    store.put("box.lines", LINES, [line(day, player) for day in (22, 22, 23, 27) for player in ("ann", "bob")])
    assert store.warehouse.observe(question(offending=(RULE,))).checks == {"no bob": {n(22): (0, 2), n(23): (0, 1)}}
    found = store.warehouse.differing_keys(
        OffendingQuestion(processor="lines", table=TABLE, day=date(2024, 10, 22), rule=RULE), 1
    )
    assert (found.absent, found.surplus) == (0, 2)
    ((row,),) = found.first_surplus
    assert json.loads(row or "") == {"day": "2024-10-22", "player": "bob"}
    store.warehouse.close()


def test_a_row_of_a_rule_is_told_by_its_tables_key_and_little_more() -> None:
    table = Table("box.lines", date="day", key=("game", "player"))
    few = {"day": "2024-10-22", "player": None, "points": 3}
    assert row_words(json.dumps(few), table) == "(player NULL, points 3)"
    many = {f"c{place}": place for place in range(9)} | {"day": "2024-10-22", "game": "g1"}
    assert row_words(json.dumps(many), table) == "(c0 0, c1 1, c2 2, c3 3, game g1)"
    assert row_words(json.dumps({"day": "2024-10-22"}), table) == ""


def test_offending_rows_cannot_be_asked_in_memory(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path)
    store.put("box.lines", LINES)
    with pytest.raises(UnreadableTable, match="rule no bob is written in SQL, which a warehouse in memory cannot be asked"):
        store.warehouse.observe(question(offending=(RULE,)))


def test_what_all_rows_of_a_day_were_computed_from(store: Held) -> None:
    made = ((1, "x"), (1, "x"), (2, "x"), (2, "y"), (3, "x"), (3, None))
    rows = [{"day": date(2024, 10, day), "made": text} for day, text in made]
    store.put("box.lines", {"day": "DATE", "made": "STRING"}, rows)
    span = Span(date(2024, 10, 1), date(2024, 10, 3))
    asked = TableQuestion(processor="own", table=Table("box.lines", date="day"), span=span, made_from=("made",))
    assert store.warehouse.observe(asked).made_from == {"made": {n(1): "x"}}, "days whose rows differ, or say nothing"


FIRST = date(2024, 10, 1)
DAYS = st.integers(0, 11).map(lambda days: FIRST + days * ONE_DAY)
COLUMNS = {
    "day": "DATE",
    "a": "STRING",
    "b": "STRING",
    "n": "INT64",
    "flag": "BOOL",
    "source": "STRING",
    "written": "TIMESTAMP",
    "ts": "TIMESTAMP",
    "text": "STRING",
}
#: A time on a day in New York.
MOMENTS = st.tuples(DAYS, st.integers(0, 23)).map(
    lambda found: datetime(found[0].year, found[0].month, found[0].day, found[1], tzinfo=ZoneInfo("America/New_York"))
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "day": st.one_of(DAYS, DAYS, DAYS, st.none()),
            "a": st.sampled_from(["x", "y", "z", None]),
            "b": st.sampled_from(["x", "y", None]),
            "n": st.sampled_from([-1, 0, 1, 20, None]),
            "flag": st.sampled_from([True, False, None]),
            "source": st.sampled_from(["api", "api", "web", None]),
            "ts": st.one_of(MOMENTS, MOMENTS, st.none()),
            "text": st.one_of(DAYS.map(lambda day: day.strftime("%Y%m%d")), st.none()),
            "written": st.one_of(st.none(), st.integers(0, 10**12).map(lambda micro: datetime.fromtimestamp(micro / 1e6, UTC))),
        }
    ),
    max_size=25,
)
KEYS = st.sampled_from([("a",), ("b", "day"), ("a", "b"), ("day", "b", "a")])
ONLY = st.sampled_from([{}, {}, {"source": "api"}, {"source": "web", "b": "x"}])


@st.composite
def tables(draw: st.DrawFn, name: str) -> Table:
    dates = st.sampled_from(
        [
            {"date": "day"},
            {"date": "day"},
            {"date": "ts", "date_type": "TIMESTAMP", "zone": "America/New_York"},
            {"date": "text", "date_type": "STRING", "format": "%Y%m%d"},
        ]
    )
    updated, hashed = draw(st.sampled_from(["written", None])), draw(st.sampled_from(["source", None]))
    return Table(name, key=draw(KEYS), only=draw(ONLY), updated=updated, hash=hashed, **draw(dates))


@st.composite
def comparisons(draw: st.DrawFn, name: str, span: Span) -> KeyComparison:
    """As the engine makes them: seasons go on until the next begins, and only those that touch the span are named."""
    own, theirs = draw(st.sampled_from([(("a",), ("a",)), (("a",), ("b",)), (("a", "b"), ("a", "b")), (("b", "a"), ("a", "b"))]))
    other, form = draw(tables("q.other")), draw(st.sampled_from(["date", "third", "at least", "to date", "window"]))
    plain = KeyComparison(name=name, own=own, theirs=theirs, other=other)
    if form == "date":
        return plain
    if form == "third":
        columns = draw(st.sampled_from([own, own[:1], own[-1:]]))
        return replace(plain, third=draw(tables("q.third")), third_columns=columns)
    starts = sorted(draw(st.sets(DAYS.filter(lambda day: day <= span.first), max_size=2)) | draw(st.sets(DAYS, max_size=2)))
    starts = starts if starts and starts[0] <= span.last else [span.first]
    ends = [later - ONE_DAY for later in starts[1:]] + [max(span.last, starts[-1])]
    seasons = tuple(Span(*ends_) for ends_ in zip(starts, ends, strict=True) if ends_[0] <= span.last and ends_[1] >= span.first)
    if form == "at least":
        return replace(plain, at_least=draw(st.integers(1, 3)), seasons=seasons)
    days = DateSet.of(*draw(st.sets(DAYS))) & DateSet.of_span(span)
    if form == "window":
        count, least = draw(st.integers(1, 6)), draw(st.integers(0, 3))
        numbers = range(day_number(FIRST) - 6, day_number(FIRST) + 12)
        held = {on: [day for day in days.numbers() if on < day <= on + count] for on in numbers}
        reaches = tuple((on, max(found)) for on, found in held.items() if found)
        return replace(plain, at_least=least, days=days, reaches=reaches) if reaches else plain
    return replace(plain, to_date=True, at_least=draw(st.integers(0, 2)), days=days, seasons=seasons)


@st.composite
def checks(draw: st.DrawFn, name: str) -> ColumnCheck:
    positive, values = draw(st.sampled_from([(True, ()), (False, ()), (False, (1, 20))]))
    column = "n" if positive or values else draw(st.sampled_from(["a", "n", "written"]))
    among, table = draw(
        st.one_of(
            st.just((None, None)),
            st.just(("flag", None)),
            # Text is compared with the other table's first key, which must be text too.
            st.tuples(st.sampled_from(["a", "b"]), tables("q.other").filter(lambda table: table.key_on_date[0] != "day")),
        )
    )
    if draw(st.integers(0, 3)) == 0:
        own, theirs = draw(st.sampled_from([(("a",), ("b",)), (("a", "b"), ("a", "b"))]))
        match = KeyMatch(own=own, theirs=theirs, other=draw(tables("q.other")))
        return ColumnCheck(name=name, match=match, among=among, among_table=table)
    return ColumnCheck(name=name, column=column, positive=positive, values=values, among=among, among_table=table)


@st.composite
def questions(draw: st.DrawFn) -> TableQuestion:
    first = draw(DAYS)
    span = Span(first, first + draw(st.integers(0, 8)) * ONE_DAY)
    table = replace(draw(tables("q.own")), key=draw(st.one_of(KEYS, st.sampled_from([(), ("day",)]))))
    absent = draw(st.booleans()) and draw(st.booleans())
    return TableQuestion(
        processor="own",
        table=table,
        span=span,
        absent=absent,
        keys=tuple(draw(st.lists(st.sampled_from(["a", "n", "flag", "day"]), unique=True, max_size=2))),
        made_from=tuple(draw(st.lists(st.sampled_from(["a", "source", "n"]), unique=True, max_size=2))),
        checks=() if absent else tuple(draw(checks(f"check {place}")) for place in range(draw(st.integers(0, 2)))),
        comparisons=tuple(draw(comparisons(f"pair {place}", span)) for place in range(draw(st.integers(0, 3)))),
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Held, Held]]:
    both = DuckDBStore(tmp_path_factory.mktemp("duckdb")), MemoryStore(tmp_path_factory.mktemp("memory"))
    yield both
    for each in both:
        each.warehouse.close()


@settings(deadline=None, max_examples=100)
@given(own=ROWS, other=ROWS, third=ROWS, asked=st.lists(questions(), min_size=2, max_size=4))
def test_duckdb_and_plain_rows_agree(
    pair: tuple[Held, Held], own: list[Row], other: list[Row], third: list[Row], asked: list[TableQuestion]
) -> None:
    for store in pair:
        for name, rows in (("q.own", own), ("q.other", other), ("q.third", third)):
            store.put(name, COLUMNS, rows)
    duckdb, memory = (store.warehouse.observe_all(asked) for store in pair)
    for each, theirs, ours in zip(asked, duckdb, memory, strict=True):
        assert answered(theirs, each.comparisons) == ours, each


@st.composite
def keys_questions(draw: st.DrawFn) -> KeysQuestion:
    """As the engine makes them: of a day that the comparison answers for."""
    day = draw(DAYS)
    made = comparisons("pair", Span(day, day)).filter(lambda pair: not pair.looks_back or day in pair.days)
    return KeysQuestion(
        processor="own", table=draw(tables("q.own")), day=day, pair=draw(made), absent=draw(st.integers(0, 3)) == 0
    )


@settings(deadline=None, max_examples=100)
@given(own=ROWS, other=ROWS, third=ROWS, asked=st.lists(keys_questions(), min_size=2, max_size=4), limit=st.integers(1, 3))
def test_named_keys_are_those_that_are_counted(
    pair: tuple[Held, Held], own: list[Row], other: list[Row], third: list[Row], asked: list[KeysQuestion], limit: int
) -> None:
    for store in pair:
        for name, rows in (("q.own", own), ("q.other", other), ("q.third", third)):
            store.put(name, COLUMNS, rows)
    for each in asked:
        duckdb, memory = (store.warehouse.differing_keys(each, limit) for store in pair)
        assert duckdb == memory, each
        shares = pair[0].warehouse.observe(each.counted).shares["pair"]
        there, wanted, beyond = shares.get(day_number(each.day), (0, 0, 0))
        assert (duckdb.absent, duckdb.surplus) == (wanted - there, beyond)
        assert len(duckdb.first_absent) == min(limit, wanted - there)
        assert len(duckdb.first_surplus) == min(limit, beyond)


def test_every_cursor_of_a_file_counts_in_utc_wherever_the_machine_stands(tmp_path: Path) -> None:
    text = (
        "from pathlib import Path; from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse as W; "
        "from backfill_core.queries.sql import Names; w = W(Path('w.duckdb'), Names(), Path('.'), read_only=False); "
        "print(*w.cursor().execute(\"SELECT CAST(TIMESTAMPTZ '2024-10-22 02:00:00+00' AS DATE)\").fetchone())"
    )
    environment = {**os.environ, "TZ": "America/New_York"}
    came = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert came.stdout.strip() == "2024-10-22"
