"""What every runner of Python specs must do to its table, and say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from time import sleep
from typing import Any

import pytest
from stores import STORES, DuckDBStore, Row, Store

from backfill_core.coverage import NO_FACTS, DateFacts
from backfill_core.dates import DateSet, day_number
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Output, Processor
from backfill_core.model.runs import Python
from backfill_core.model.table import Files, Table
from backfill_core.model.units import Batch, Unit
from backfill_core.planning.contents import ContentColumn
from backfill_core.ports import BatchResult, Call, Runner
from backfill_core.queries.question import ColumnCheck, KeyComparison, TableQuestion

COLUMNS = {"day": "DATE", "player": "STRING", "points": "INT64", "source": "STRING"}
TABLE = Table("box.lines", date="day", key=("player",))
ROSTER = Table("box.roster", date="day", key=("player",))
FILES = Files("box/{date}.json")
DONE = Outcome(claim=Claim.DONE)


def n(day: int) -> int:
    return day_number(date(2024, 10, day))


def line(day: int, player: str, points: int | None = None, source: str | None = None) -> Row:
    return {"day": date(2024, 10, day), "player": player, "points": points, "source": source}


def failed(why: str) -> Outcome:
    return Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)


def units(**outcomes: Outcome) -> dict[Unit, Outcome]:
    """Outcomes by unit, from days written ``d22=…``."""
    return {Unit("lines", date(2024, 10, int(day[1:]))): outcome for day, outcome in outcomes.items()}


@dataclass
class Bench:
    """A store with a runner on it."""

    store: Store
    runner: Runner
    landing: Path
    tables: dict[str, Table] = field(default_factory=dict)

    def hold(self, *rows: Row) -> None:
        self.store.put("box.lines", COLUMNS, rows)

    def run(self, work: Callable[[Any, Any], Any], *days: int, table: Table = TABLE, **asked: Any) -> BatchResult:
        """Runs one batch of a function; ``asked`` is what its question asks beside the rows."""
        return self.runner.run(self.call(work, days, table, **asked))

    def call(
        self,
        work: Callable[[Any, Any], Any],
        days: Sequence[int],
        table: Table = TABLE,
        contents: tuple[ContentColumn, ...] = (),
        also: tuple[Table, ...] = (),
        **asked: Any,
    ) -> Call:
        outputs = tuple(Output(each, complete_when=Rows()) for each in also)
        spec, dates = Python(work), DateSet.of(*(date(2024, 10, day) for day in days))
        return Call(
            batch=Batch(number=1, processors=("lines",), dates=dates),
            processor=Processor("lines", layer="raw", calendar="nba", writes=table, run=spec, complete_when=Rows(), also=outputs),
            spec=spec,
            question=TableQuestion(processor="lines", table=table, span=dates.span, **asked),
            tables={"lines": table, **self.tables},
            sources={"feed": FILES},
            contents=contents,
            also={each.short: TableQuestion(processor="lines", table=each, span=dates.span) for each in also},
        )

    def there(self, table: str = "box.lines") -> set[tuple[Any, ...]]:
        """The rows, each as (day of the month, the other columns without nulls); no two are alike."""
        rows = self.store.rows(table)
        found = {(row["day"].day, *(v for c, v in row.items() if c != "day" and v is not None)) for row in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    store: Store = request.param(tmp_path)
    landing = tmp_path / "landing"
    (landing / "box").mkdir(parents=True)
    for day in (22, 24):
        (landing / "box" / f"2024-10-{day}.json").touch()
    files = {"feed": {date(2024, 10, day): str(landing / "box" / f"2024-10-{day}.json") for day in (22, 24)}}
    yield Bench(store, store.runner(landing, files), landing)
    store.warehouse.close()


def gives(*rows: Row) -> Callable[[Any, Any], Any]:
    return lambda _dates, _ctx: list(rows)


def facts(result: BatchResult) -> DateFacts:
    return result.facts["lines"]


NIGHTS = {
    # 03:59 in UTC is still the evening before in New York.
    "TIMESTAMP": [datetime(2024, 10, day, hour, 59, tzinfo=UTC) for day in (22, 23, 24) for hour in (3, 4)],
    "STRING": [f"202410{day}" for day in (21, 22, 22, 23, 23, 24)],
}


@pytest.mark.parametrize("kind", NIGHTS)
def test_dates_of_another_type_are_replaced_by_the_day_they_are(bench: Bench, kind: Any) -> None:
    table = Table("box.lines", date="at", date_type=kind, zone="America/New_York", format="%Y%m%d", key=("player",))
    nights = [{"at": night, "player": f"p{place}"} for place, night in enumerate(NIGHTS[kind])]
    columns = {"at": kind, "player": "STRING", "points": "INT64"}
    bench.store.put("box.lines", columns, [{**night, "points": 1} for night in nights])
    result = bench.run(gives(*({**night, "points": 2} for night in nights)), 22, 23, table=table)
    assert result.outcomes == units(d22=DONE, d23=DONE)
    assert facts(result).rows == {n(22): 2, n(23): 2}
    found = {row["player"]: row["points"] for row in bench.store.rows("box.lines")}
    assert found == {"p0": 1, "p1": 2, "p2": 2, "p3": 2, "p4": 2, "p5": 1}
    shrunk = bench.run(gives(*({**night, "points": 3} for night in nights[2:])), 22, 23, table=table)
    assert shrunk.outcomes == units(d22=failed("shrank, 2 keys -> 1; nothing was changed"), d23=DONE)


TOTALS = Table("box.totals", date="day", key=("team",))


def total(day: int, team: str) -> Row:
    return {"day": date(2024, 10, day), "team": team}


def test_several_tables_are_replaced_together(bench: Bench) -> None:
    bench.hold(line(22, "ann", 1), line(24, "ann", 1))
    bench.store.put("box.totals", {"day": "DATE", "team": "STRING"}, [total(22, "x"), total(22, "y"), total(23, "x")])
    lines = [line(22, "bob", 2), line(23, "bob", 2)]
    totals = [total(22, "x"), total(23, "x"), total(23, "y")]
    result = bench.run(lambda _dates, _ctx: {"totals": totals, "lines": lines}, 22, 23, also=(TOTALS,))
    assert result.outcomes == units(d22=failed("shrank, 2 keys -> 1 in totals; nothing was changed"), d23=DONE)
    assert bench.there() == {(22, "ann", 1), (24, "ann", 1), (23, "bob", 2)}
    assert bench.there("box.totals") == {(22, "x"), (22, "y"), (23, "x"), (23, "y")}
    assert (facts(result).rows, facts(result).also["totals"].rows) == ({n(22): 1, n(23): 1}, {n(22): 2, n(23): 2})


def test_a_table_without_rows_is_made_empty_and_one_that_cannot_be_read_changes_none(bench: Bench) -> None:
    bench.hold(line(22, "ann", 1))
    bench.store.put("box.totals", {"day": "DATE", "team": "STRING"}, [total(22, "x")])
    bare = replace(TOTALS, key=())
    result = bench.run(lambda _dates, _ctx: {"lines": [line(22, "bob", 1)], "totals": []}, 22, also=(bare,))
    assert (result.outcomes, bench.there(), bench.there("box.totals")) == (units(d22=DONE), {(22, "bob", 1)}, set())
    wrong = {"lines": [line(22, "cy", 1)], "totals": [{**total(22, "x"), "unknown": 1}]}
    (outcome,) = bench.run(lambda _dates, _ctx: wrong, 22, also=(bare,)).outcomes.values()
    assert outcome.claim is Claim.FAILED
    assert bench.there() == {(22, "bob", 1)}


@pytest.mark.parametrize("answer", [[], {"lines": []}, {"lines": [], "sums": []}])
def test_an_answer_that_does_not_name_every_table_is_a_failure(bench: Bench, answer: Any) -> None:
    why = 'it fills 2 tables, so that it must return {"lines": rows, "totals": rows}; [] where there are none'
    assert bench.run(lambda _dates, _ctx: answer, 22, also=(TOTALS,)).outcomes == units(d22=failed(why))


def test_tables_that_are_not_there_are_made_together(bench: Bench) -> None:
    answer = {"lines": [line(22, "ann", 1, "s")], "totals": [total(22, "x")]}
    assert bench.run(lambda _dates, _ctx: answer, 22, also=(TOTALS,)).outcomes == units(d22=DONE)
    assert (bench.there(), bench.there("box.totals")) == ({(22, "ann", 1, "s")}, {(22, "x")})


def test_rows_say_what_they_were_computed_from(bench: Bench) -> None:
    feed = Table("box.feed", date="day", hash="source")
    bench.tables["feed"] = feed
    bench.store.put("box.feed", COLUMNS, [line(22, "ann", source="x"), line(22, "bob", source="a"), line(23, "ann", source="y")])
    same = ContentColumn(column="made", upstreams=("feed",), bounds={day: (day, day) for day in (n(22), n(24))}, plain=True)
    back = ContentColumn(column="back", upstreams=("feed",), bounds={n(22): (n(22), n(21)), n(24): (n(22), n(23))}, plain=False)
    told = {**line(24, "bob", 1), "made": "mine"}
    rows = (line(22, "ann", 1), line(24, "ann", 1), told)
    bench.store.put("box.lines", {**COLUMNS, "made": "STRING", "back": "STRING"})
    result = bench.run(gives(*rows), 22, 24, contents=(same, back), made_from=("made", "back"))
    assert result.outcomes == units(d22=DONE, d24=DONE)
    both = hashlib.md5(b"a,x").hexdigest()
    assert facts(result).made_from["made"] == {n(22): both}, "the second date's rows say different things"
    texts = (f"feed 2024-10-22 {both}", f"feed 2024-10-23 {hashlib.md5(b'y').hexdigest()}")
    window = sum(int(hashlib.md5(text.encode()).hexdigest()[:12], 16) for text in texts)
    assert facts(result).made_from["back"] == {n(22): "0", n(24): str(window)}
    found = {(row["day"].day, row["player"]): row["made"] for row in bench.store.rows("box.lines")}
    assert found == {(22, "ann"): both, (24, "ann"): "", (24, "bob"): "mine"}


def test_a_table_that_is_made_gets_the_columns_that_say_it(bench: Bench) -> None:
    bench.tables["feed"] = Table("box.feed", date="day", hash="source")
    made = ContentColumn(column="made", upstreams=("feed",), bounds={n(22): (n(22), n(22))}, plain=True)
    assert bench.run(gives(line(22, "ann", 1, "s")), 22, contents=(made,)).outcomes == units(d22=DONE)
    assert [row["made"] for row in bench.store.rows("box.lines")] == [""], "an upstream that is not there holds nothing"
    bench.store.put("box.feed", COLUMNS, [line(22, "ann", source="x"), line(22, "bob")])
    assert bench.run(gives(line(22, "ann", 1)), 22, contents=(made,)).outcomes == units(d22=DONE)
    assert [row["made"] for row in bench.store.rows("box.lines")] == [None], "a row without a hash tells nothing"


def test_any_name_and_any_value_is_written_as_it_is(bench: Bench) -> None:
    name = "a\"b'c`d; DROP TABLE lines; --/*"
    table = Table(f"box.{name}", date=f"day {name}", key=(name,), only={f"of {name}": name})
    columns = {f"day {name}": "DATE", name: "STRING", f"of {name}": "STRING"}
    bench.hold(line(22, "stays"))
    bench.store.put(table.name, columns, [{f"day {name}": date(2024, 10, 22), name: "other", f"of {name}": "other"}])
    row = {f"day {name}": date(2024, 10, 22), name: name, f"of {name}": name}
    assert bench.run(gives(row), 22, table=table).outcomes == units(d22=DONE)
    assert [each[name] for each in bench.store.rows(table.name)] == ["other", name]
    assert [each["player"] for each in bench.store.rows("box.lines")] == ["stays"]


def test_the_rows_of_the_batchs_dates_are_replaced_and_no_others(bench: Bench) -> None:
    bench.hold(*(line(day, player, 1) for day in (21, 22, 23, 24, 25) for player in ("ann", "bob")))
    given = [line(day, player, 2) for day in (21, 22, 23, 24, 25, 30) for player in ("ann", "bob")]
    result = bench.run(gives(*given), 22, 24)
    assert bench.there() == {
        *((day, player, 1) for day in (21, 23, 25) for player in ("ann", "bob")),
        *((day, player, 2) for day in (22, 24) for player in ("ann", "bob")),
    }
    assert result.outcomes == units(d22=DONE, d24=DONE)


def test_other_slices_are_left_alone(bench: Bench) -> None:
    api = replace(TABLE, only={"source": "api"})
    bench.hold(line(22, "ann", 1, "api"), line(22, "ann", 1, "web"), line(22, "bob", 1, "web"), line(22, "cy", 1))
    result = bench.run(gives(line(22, "ann", 2, "api")), 22, table=api)
    assert bench.there() == {(22, "ann", 2, "api"), (22, "ann", 1, "web"), (22, "bob", 1, "web"), (22, "cy", 1)}
    assert result.outcomes == units(d22=DONE)
    assert facts(result).rows == {n(22): 1}


def test_every_unit_has_an_outcome_with_or_without_rows(bench: Bench) -> None:
    bench.hold(line(22, "ann"))
    result = bench.run(gives(line(22, "ann"), line(24, "bob")), 22, 23, 24)
    assert result.outcomes == units(d22=DONE, d23=DONE, d24=DONE)
    assert facts(result).rows == {n(22): 1, n(24): 1}


def test_a_date_that_would_shrink_is_left_as_it_is_and_failed(bench: Bench) -> None:
    bench.hold(*(line(day, player, 1) for day in (22, 23, 24) for player in ("ann", "bob", "cy")))
    new = [line(22, player, 2) for player in ("ann", "bob", "cy", "dee")] + [line(23, "ann", 2), line(23, "bob", 2)]
    result = bench.run(gives(*new), 22, 23, 24)
    assert result.outcomes == units(
        d22=DONE,
        d23=failed("shrank, 3 keys -> 2; nothing was changed"),
        d24=failed("shrank, 3 keys -> 0; nothing was changed"),
    )
    assert bench.there() == {
        *((22, player, 2) for player in ("ann", "bob", "cy", "dee")),
        *((day, player, 1) for day in (23, 24) for player in ("ann", "bob", "cy")),
    }
    assert facts(result).rows == {n(22): 4, n(23): 3, n(24): 3}


def test_the_guard_counts_distinct_keys_of_the_slice(bench: Bench) -> None:
    bench.hold(line(22, "ann", 1, "api"), line(22, "ann", 2, "api"), line(22, "bob", 1, "web"), line(22, "cy", 1, "web"))
    result = bench.run(gives(line(22, "dee", 3, "api")), 22, table=replace(TABLE, only={"source": "api"}))
    assert result.outcomes == units(d22=DONE)
    assert bench.there() == {(22, "dee", 3, "api"), (22, "bob", 1, "web"), (22, "cy", 1, "web")}
    wide = replace(TABLE, key=("day", "player", "source"))
    result = bench.run(gives(line(22, "dee", 3, "api"), line(22, "dee", 4, "api")), 22, table=wide)
    assert result.outcomes == units(d22=failed("shrank, 3 keys -> 1; nothing was changed"))


def test_a_table_without_a_key_may_shrink(bench: Bench) -> None:
    bench.hold(line(22, "ann"), line(22, "bob"), line(23, "ann"))
    result = bench.run(gives(line(22, "cy")), 22, 23, table=replace(TABLE, key=()))
    assert result.outcomes == units(d22=DONE, d23=DONE)
    assert bench.there() == {(22, "cy")}


def _raises(_dates: Any, _ctx: Any) -> Any:
    raise RuntimeError("the feed is down\nand a second line")


def _raises_in_words_of_none(_dates: Any, _ctx: Any) -> Any:
    raise KeyError


def _raises_midway(_dates: Any, _ctx: Any) -> Any:
    yield line(22, "zoe")
    raise RuntimeError("the feed broke off")


@pytest.mark.parametrize(
    ("work", "why"),
    [(_raises, "the feed is down"), (_raises_in_words_of_none, "KeyError"), (_raises_midway, "the feed broke off")],
)
def test_a_function_that_raises_fails_every_unit_and_writes_nothing(bench: Bench, work: Any, why: str) -> None:
    bench.hold(line(22, "ann"))
    result = bench.run(work, 22, 23)
    assert result.outcomes == units(d22=failed(why), d23=failed(why))
    assert result.facts == {}
    assert bench.there() == {(22, "ann")}


@pytest.mark.parametrize(
    "given",
    [
        [{**line(22, "ann"), "shirt": 7}],
        [{"player": "ann"}],
        [{"day": "2024-10-22", "player": "ann"}],
        [line(22, "ann"), 5],
        5,
    ],
    ids=["unknown column", "no date", "a date that is text", "no row", "no rows"],
)
def test_what_cannot_be_written_fails_every_unit_and_writes_nothing(bench: Bench, given: Any) -> None:
    bench.hold(line(22, "ann", 1))
    result = bench.run(lambda _dates, _ctx: given, 22, 23)
    assert {unit.day.day: outcome.claim for unit, outcome in result.outcomes.items()} == {22: Claim.FAILED, 23: Claim.FAILED}
    assert all(outcome.why and outcome.failure is Failure.PERMANENT for outcome in result.outcomes.values())
    assert result.facts == {}
    assert bench.there() == {(22, "ann", 1)}


def test_what_cannot_be_verified_is_not_written(bench: Bench) -> None:
    bench.hold(line(22, "ann", 1))
    shirt = ColumnCheck(name="shirt", column="shirt", positive=False)
    result = bench.run(gives(line(22, "ann", 2)), 22, checks=(shirt,))
    (outcome,) = result.outcomes.values()
    assert outcome.claim is Claim.FAILED
    assert outcome.why.startswith("box.lines cannot be read: ")
    assert result.facts == {}
    assert bench.there() == {(22, "ann", 1)}


def test_no_rows_in_the_place_of_some_is_a_loss(bench: Bench) -> None:
    bench.hold(line(22, "ann"), line(22, "bob"))
    result = bench.run(lambda _dates, _ctx: [], 22, 23, keys=("player",))
    assert [outcome.why for outcome in result.outcomes.values()] == ["shrank, 2 keys -> 0; nothing was changed", ""]
    assert bench.there() == {(22, "ann"), (22, "bob")}


def test_a_function_that_returns_nothing_wrote_by_itself(bench: Bench) -> None:
    bench.hold(line(22, "ann"), line(22, "bob"))
    result = bench.run(lambda _dates, _ctx: None, 22, 23, keys=("player",))
    assert result.outcomes == units(d22=DONE, d23=DONE)
    assert facts(result).rows == {n(22): 2}
    assert facts(result).keys == {"player": {n(22): {"ann": 1, "bob": 1}}}
    assert bench.there() == {(22, "ann"), (22, "bob")}


def test_where_nothing_is_returned_and_no_table_is_there_none_is_made(bench: Bench) -> None:
    result = bench.run(lambda _dates, _ctx: None, 22)
    assert result.outcomes == units(d22=DONE)
    assert facts(result) == NO_FACTS
    assert bench.store.warehouse.schema(["box"]) == {}


def test_the_facts_are_those_after_the_write(bench: Bench) -> None:
    bench.hold(line(22, "ann", 0), line(23, "old", 0), line(24, "cy", 5), line(25, "cy", 5))
    bench.store.put("box.roster", COLUMNS, [line(22, "ann"), line(22, "eve"), line(24, "cy")])
    result = bench.run(
        gives(line(22, "ann", 9), line(22, "ann", 0), line(22, "bob"), line(24, "cy", 1)),
        22,
        24,
        keys=("player",),
        checks=(ColumnCheck(name="points > 0", column="points", positive=True),),
        comparisons=(KeyComparison(name="roster", own=("player",), theirs=("player",), other=ROSTER),),
    )
    assert result.outcomes == units(d22=DONE, d24=DONE)  # the 23rd is no date of the batch, though it lies between
    assert facts(result) == DateFacts(
        rows={n(22): 3, n(23): 1, n(24): 1},
        distinct={n(22): 2, n(23): 1, n(24): 1},
        keys={"player": {n(22): {"ann": 2, "bob": 1}, n(23): {"old": 1}, n(24): {"cy": 1}}},
        checks={"points > 0": {n(22): (1, 3), n(23): (0, 1), n(24): (1, 1)}},
        shares={"roster": {n(22): (1, 2, 1), n(23): (0, 0, 1), n(24): (1, 1, 0)}},
    )


def test_verifying_inside_is_not_asking_the_warehouse(bench: Bench) -> None:
    bench.hold(line(22, "ann"))
    before = bench.store.warehouse.asked
    bench.run(gives(line(22, "ann")), 22, keys=("player",))
    assert bench.store.warehouse.asked == before


def test_the_first_write_makes_the_table_from_what_it_writes(bench: Bench) -> None:
    result = bench.run(gives({"day": date(2024, 10, 22), "player": "ann", "points": 3}), 22)
    assert result.outcomes == units(d22=DONE)
    assert facts(result).rows == {n(22): 1}
    assert list(bench.store.warehouse.schema(["box"])["box.lines"]) == ["day", "player", "points"]
    bench.run(gives({"day": date(2024, 10, 23), "player": "bob"}), 23)
    assert bench.there() == {(22, "ann", 3), (23, "bob")}


def test_declared_tables_are_made_before_the_function_is_called(bench: Bench) -> None:
    declared = "CREATE TABLE IF NOT EXISTS {table} (day DATE, player STRING, points INT64, rate FLOAT64) PARTITION BY day"
    table = replace(TABLE, ddl=declared)
    bench.tables["roster"] = replace(ROSTER, ddl=declared)
    seen: list[Any] = []

    def work(_dates: Any, _ctx: Any) -> Any:
        seen.append({name: list(columns) for name, columns in bench.store.warehouse.schema(["box"]).items()})
        return [{"player": "ann", "day": date(2024, 10, 22), "points": 3}]

    pair = KeyComparison(name="roster", own=("player",), theirs=("player",), other=ROSTER)
    result = bench.run(work, 22, table=table, comparisons=(pair,))
    columns = ["day", "player", "points", "rate"]
    assert seen == [{"box.lines": columns, "box.roster": columns}]
    assert result.outcomes == units(d22=DONE)
    assert facts(result).shares == {"roster": {n(22): (0, 0, 1)}}
    assert bench.store.rows("box.lines") == [{"day": date(2024, 10, 22), "player": "ann", "points": 3, "rate": None}]


def test_a_function_is_told_its_dates_its_tables_and_the_files_that_exist(bench: Bench) -> None:
    bench.tables["roster"] = ROSTER
    told: list[Any] = []
    bench.run(lambda dates, ctx: told.append((dates, ctx)), 24, 22, 23)
    ((dates, context),) = told
    assert dates == [date(2024, 10, day) for day in (22, 23, 24)]
    assert context.tables.keys() == {"lines", "roster"}
    assert context.tables["roster"].replace('"', "").endswith("box.roster")
    assert context.files == {
        "feed": {date(2024, 10, day): str(bench.landing / "box" / f"2024-10-{day}.json") for day in (22, 24)}
    }


def test_batches_of_one_table_may_run_side_by_side(bench: Bench) -> None:
    bench.hold(*(line(day, "old") for day in range(1, 21)))

    def work(dates: list[date], _ctx: Any) -> Any:
        return [{"day": day, "player": player} for day in dates for player in ("ann", "bob")]

    calls = [bench.call(work, range(first, first + 2)) for first in range(1, 21, 2)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(bench.runner.run, calls))
    assert {outcome.claim for result in results for outcome in result.outcomes.values()} == {Claim.DONE}
    assert all(set(facts(result).rows.values()) == {2} for result in results)
    assert bench.there() == {(day, player) for day in range(1, 21) for player in ("ann", "bob")}


def test_calls_that_read_before_another_made_their_table_do_not_fail(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path)
    store.put("box.roster", COLUMNS)
    bench, both_read = Bench(store, store.runner(tmp_path, {}), tmp_path), Barrier(2)

    def work(given: Sequence[date], ctx: Any) -> list[Row]:
        ctx.cursor.execute("SELECT * FROM box.roster").fetchall()  # from here on the transaction sees no new table
        with suppress(BrokenBarrierError):  # whoever makes the table may have it alone
            both_read.wait(0.3)
        sleep(0.1 * (given[0].day - 1))
        return [line(given[0].day, "bob", 1, "api")]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda day: bench.run(work, day), (1, 2)))
    store.warehouse.close()
    assert [set(result.outcomes.values()) for result in results] == [{DONE}] * 2


def test_rows_of_another_slice_are_refused(bench: Bench) -> None:
    api = replace(TABLE, only={"source": "api"})
    bench.hold(line(22, "ann", 1, "api"))
    result = bench.run(gives(line(22, "ann", 1, "api"), line(22, "bob", 1, "web")), 22, table=api)
    assert [outcome.claim for outcome in result.outcomes.values()] == [Claim.FAILED]
    assert bench.there() == {(22, "ann", 1, "api")}


def test_a_column_that_only_later_rows_have_is_kept(bench: Bench) -> None:
    bench.hold()
    rows = [{"day": date(2024, 10, 22), "player": "ann"}, {"day": date(2024, 10, 22), "player": "bob", "points": 5}]
    assert bench.run(gives(*rows), 22).outcomes == units(d22=DONE)
    assert bench.there() == {(22, "ann"), (22, "bob", 5)}


def test_what_a_function_wrote_before_it_failed_is_gone(tmp_path: Path) -> None:
    store = STORES[0](tmp_path)
    try:
        store.put("box.lines", COLUMNS, [line(22, "ann")])
        bench = Bench(store, store.runner(tmp_path, {}), tmp_path)

        def work(_dates: Any, ctx: Any) -> None:
            ctx.cursor.execute("INSERT INTO box.lines (day, player) VALUES (DATE '2024-10-23', 'bob')")
            raise ValueError("no")

        assert bench.run(work, 22, 23).outcomes == units(d22=failed("no"), d23=failed("no"))
        assert bench.there() == {(22, "ann")}
    finally:
        store.warehouse.close()


def test_rows_without_a_date_are_told_so(tmp_path: Path) -> None:
    store = STORES[0](tmp_path)
    try:
        bench = Bench(store, store.runner(tmp_path, {}), tmp_path)
        for work in (gives({"player": "ann"}), lambda _dates, ctx: ctx.cursor.sql("SELECT 'ann' AS player")):
            (outcome,) = bench.run(work, 22).outcomes.values()
            assert outcome.why == 'its rows have no column "day", the date of box.lines. They have: player'
    finally:
        store.warehouse.close()


def test_a_column_of_nothing_but_nulls_tells_no_type(tmp_path: Path) -> None:
    store = STORES[0](tmp_path)
    try:
        bench = Bench(store, store.runner(tmp_path, {}), tmp_path)
        result = bench.run(gives({"day": date(2024, 10, 22), "player": "ann", "points": None}), 22)
        (outcome,) = result.outcomes.values()
        assert "tells no type" in outcome.why
        assert store.rows("box.lines") == []
    finally:
        store.warehouse.close()
