"""Google's own client before a BigQuery on loopback that has every fault that it is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError

from backfill_core.adapters.bigquery_client import Account
from backfill_core.adapters.bigquery_conditions import clock_ahead
from backfill_core.adapters.bigquery_errors import failure_of, reason_of, words_of
from backfill_core.adapters.bigquery_jobs import Jobs
from backfill_core.adapters.bigquery_runner import BigQuerySqlRunner
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.dates import DateSet, Span, day_number
from backfill_core.errors import CloudError, UnreadableTable
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.model.units import Batch, Unit
from backfill_core.planning.contents import ContentColumn
from backfill_core.ports import BatchResult, Call
from backfill_core.queries.dialect import BIGQUERY, Names, Query
from backfill_core.queries.question import ColumnCheck, KeyComparison, OffendingQuery, TableQuestion
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer, Fault

ONE = Query("SELECT 1 AS one", {})
COLUMNS = {"day": "DATE", "player": "STRING", "points": "INT64", "source": "STRING"}
LINES = Table("box.lines", date="day", key=("player",))
FEED = Table("box.feed", date="day", key=("player",))
SELECT = "SELECT day, player, points FROM {feed} WHERE day BETWEEN @date_from AND @date_to"


def d(day: int) -> date:
    return date(2024, 10, day)


def row(day: int, player: str, points: int | None = None, source: str | None = None) -> dict[str, Any]:
    return {"day": d(day), "player": player, "points": points, "source": source}


@pytest.fixture(scope="module")
def shared() -> Iterator[BigQueryServer]:
    with BigQueryServer("p") as server:
        yield server


@pytest.fixture
def server(shared: BigQueryServer) -> BigQueryServer:
    shared.engine.clear()
    shared.faults.clear()
    shared.requests.clear()
    shared.jobs.clear()
    shared.denied.clear()
    shared.skew, shared.page = 0.0, 10_000
    for name in ("lines", "feed"):
        shared.engine.create("box", name, HeldTable(dict(COLUMNS), partition="day", require_filter=True))
    return shared


def account(server: BigQueryServer, **given: Any) -> Account:
    plain = Account(project="p", location="US", maximum_bytes_billed=10**9, endpoint=server.url, request_timeout=5)
    return replace(plain, **given)


@pytest.fixture
def jobs(server: BigQueryServer) -> Iterator[Jobs]:
    made = Jobs(account(server))
    yield made
    made.close()


@pytest.fixture
def warehouse(server: BigQueryServer, tmp_path: Path) -> Iterator[BigQueryWarehouse]:
    made = BigQueryWarehouse(account(server), Names(), tmp_path, layers={"lines": "raw"}, within=5)
    yield made
    made.close()


PASSING = [
    Fault("jobs.insert", times=2, status=403, reason="rateLimitExceeded"),
    Fault("jobs.insert", times=1, status=403, reason="quotaExceeded"),
    Fault("jobs.insert", times=1, status=429, reason="", retry_after=0),
    Fault("jobs.insert", times=1, status=500, reason="internalError"),
    Fault("jobs.insert", times=2, status=503),
    Fault("jobs.insert", times=1, reset=True),
    Fault("jobs.insert", times=1, reset=True, after=True),
    Fault("jobs.get", times=2, status=502, reason="badGateway"),
    Fault("jobs.get", times=1, reset=True),
    Fault("jobs.results", times=1, status=500, reason="backendError"),
    Fault("job", times=1, reason="backendError"),
    Fault("job", times=1, status=403, reason="rateLimitExceeded"),
    Fault(
        "job", times=1, status=400, reason="invalidQuery", message="Transaction is aborted due to concurrent update against table"
    ),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.route} {fault.reason or fault.status} {fault.reset}")
def test_what_passes_is_tried_again_and_leaves_one_job_that_counts(server: BigQueryServer, jobs: Jobs, fault: Fault) -> None:
    server.faults.append(replace(fault, seen=0))
    if fault.route != "job":
        server.faults.append(Fault("job", slow=0.05))  # so that it has to be asked for
    assert jobs.rows(ONE, layer="raw", within=8) == [(1,)]
    assert server.faults[0].seen >= 1
    assert sum(job.error is None for job in server.sent("ask")) == 1


LASTING = [
    (Fault("jobs.insert", status=400, reason="invalidQuery"), Failure.PERMANENT),
    (Fault("jobs.insert", status=403, reason="accessDenied"), Failure.PERMANENT),
    (Fault("job", status=500, reason="bytesBilledLimitExceeded"), Failure.PERMANENT),
    (Fault("job", status=400, reason="resourcesExceeded"), Failure.PERMANENT),
    (Fault("jobs.insert", status=401, reason="authError"), Failure.AUTH),
]


@pytest.mark.parametrize(("fault", "failure"), LASTING, ids=lambda each: getattr(each, "reason", ""))
def test_what_lasts_is_told_at_once_with_its_reason(server: BigQueryServer, jobs: Jobs, fault: Fault, failure: Failure) -> None:
    server.faults.append(replace(fault, times=None, seen=0))
    with pytest.raises((GoogleAPICallError, GoogleAuthError)) as raised:
        jobs.rows(ONE, layer="raw", within=8)
    assert failure_of(raised.value) is failure
    assert failure is Failure.AUTH or fault.reason in (reason_of(raised.value), words_of(raised.value))
    assert server.faults[0].seen == 1


@pytest.mark.parametrize("route", ["jobs.insert", "jobs.get", "job"])
def test_a_lasting_fault_ends_within_the_time_that_was_given(server: BigQueryServer, jobs: Jobs, route: str) -> None:
    server.faults.append(Fault(route, times=None))
    server.faults.append(Fault("job", times=None, slow=0.05))
    started = time.monotonic()
    with pytest.raises(Exception, match="fault that was asked for"):
        jobs.rows(ONE, layer="raw", within=1)
    assert time.monotonic() - started < 2


def test_a_job_that_stays_pending_is_given_up_and_cancelled(server: BigQueryServer, jobs: Jobs) -> None:
    server.faults.append(Fault("job", hold=threading.Event()))
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        jobs.rows(ONE, layer="raw", within=1)
    assert time.monotonic() - started < 2.5
    (job,) = server.sent("ask")
    assert job.cancelled.is_set()


def test_a_slow_answer_is_not_waited_for_longer_than_a_request_may_take() -> None:
    with BigQueryServer("p") as server:  # of its own: the slow request comes to its end when nobody waits any more
        jobs = Jobs(account(server, request_timeout=0.3))
        server.faults.append(Fault("jobs.insert", slow=1.0))
        started = time.monotonic()
        assert jobs.rows(ONE, layer="raw", within=8) == [(1,)]
        assert time.monotonic() - started < 3
        assert len({job.id for job in server.sent("ask")}) == 1, "what was lost was waited for, or sent again under its id"
        jobs.close()


def test_pages_are_all_read_and_jobs_carry_their_labels_and_limit(server: BigQueryServer, jobs: Jobs) -> None:
    server.page = 100
    jobs.labels.heard("R7", [])
    rows = jobs.rows(Query("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 250)) AS n", {}), layer="Raw Data", within=8)
    assert [n for (n,) in rows] == list(range(1, 251))
    (job,) = server.sent("ask")
    assert job.config["labels"] == {"backfill_run": "r7", "layer": "raw-data"}
    assert job.config["query"]["maximumBytesBilled"] == "1000000000"
    assert sum(route == "jobs.results" for route, _ in server.requests) == 3


def test_of_a_question_only_the_partitions_of_its_span_are_read(server: BigQueryServer, warehouse: BigQueryWarehouse) -> None:
    server.engine.load("box", "lines", [row(day, "ann") for day in range(1, 31)])
    warehouse.schema(["box"])
    for last, days in ((1, 1), (10, 10), (30, 30)):
        server.jobs.clear()
        warehouse.observe(TableQuestion(processor="lines", table=LINES, span=Span(d(1), d(last)), keys=("player",)))
        (job,) = server.sent("ask")
        assert job.answer.bytes == days * (8 + 16) * 2, "day and player, by the counts and by the keys"
        assert job.config["labels"]["layer"] == "raw"
    assert not any(job.config.get("dryRun") for job in server.jobs.values())


def test_where_nothing_prunes_too_dear_a_question_is_refused_before_it_reads(server: BigQueryServer, tmp_path: Path) -> None:
    server.engine.create("box", "flat", HeldTable(dict(COLUMNS)))
    server.engine.load("box", "flat", [row(1 + n % 30, f"p{n}") for n in range(1000)])
    warehouse = BigQueryWarehouse(account(server, maximum_bytes_billed=20_000), Names(), tmp_path, within=5)
    warehouse.schema(["box"])
    flat = TableQuestion(processor="lines", table=replace(LINES, name="box.flat"), span=Span(d(1), d(1)))
    with pytest.raises(UnreadableTable, match=r"not partitioned by day, and maximum_bytes_billed is .* Nothing was asked"):
        warehouse.observe(flat)
    assert len(server.sent("ask")) == 1, [job.text for job in server.sent("ask")]
    assert warehouse.observe(replace(flat, table=LINES)).rows == {}
    warehouse.close()


def test_ingestion_time_partitions_are_dates_too(server: BigQueryServer, warehouse: BigQueryWarehouse) -> None:
    server.engine.create("box", "raw", HeldTable({"player": "STRING"}, partition="_PARTITIONDATE", require_filter=True))
    server.engine.load("box", "raw", [{"player": "ann", "_PARTITIONDATE": d(day)} for day in (1, 1, 2, 9)])
    table = Table("box.raw", date="_PARTITIONDATE", key=("player",))
    assert warehouse.schema(["box"])["box.raw"]["_PARTITIONDATE"] == "DATE"
    assert warehouse.prunes(table)
    facts = warehouse.observe(TableQuestion(processor="raw", table=table, span=Span(d(1), d(3)), keys=("player",)))
    assert facts.rows == {day_number(d(1)): 2, day_number(d(2)): 1}
    assert facts.keys["player"][day_number(d(1))] == {"ann": 2}
    (job,) = server.sent("ask")[1:]
    assert job.answer.bytes == 2 * 3 * 16, "player, of three rows in two partitions, by the counts and by the keys"
    asked = Query(job.text, {"first_t": d(1), "last_t": d(3)})
    assert warehouse.jobs.dry_run(asked, within=5).total_bytes_processed == job.answer.bytes


def test_a_dataset_in_another_location_is_told_and_one_that_is_not_there_is_empty(
    server: BigQueryServer, warehouse: BigQueryWarehouse
) -> None:
    server.engine.create_dataset("abroad", "EU")
    assert warehouse.schema(["nowhere"]) == {}
    with pytest.raises(CloudError, match=r'dataset abroad is in EU, not US. Set location = "EU"'):
        warehouse.schema(["abroad"])


def test_names_and_values_with_quotes_do_no_harm(server: BigQueryServer, warehouse: BigQueryWarehouse) -> None:
    nasty = "x'); DROP TABLE box.lines; --`\\"
    server.engine.load("box", "lines", [row(1, nasty, 1, nasty), row(1, "ann", 1)])
    checks = (ColumnCheck(name="source", column="source", values=(nasty,)),)
    only = replace(LINES, only={"source": nasty})
    question = TableQuestion(processor="lines", table=only, span=Span(d(1), d(2)), keys=("player",), checks=checks)
    facts = warehouse.observe(question)
    assert facts.keys["player"] == {day_number(d(1)): {nasty: 1}}
    assert facts.checks["source"] == {day_number(d(1)): (1, 1)}
    assert len(server.engine.rows("box", "lines")) == 2
    with pytest.raises(UnreadableTable):
        warehouse.observe(replace(question, table=replace(LINES, name="box.li`nes; DROP TABLE x")))


def test_offending_rows_are_counted_by_date(server: BigQueryServer, warehouse: BigQueryWarehouse, tmp_path: Path) -> None:
    text = "SELECT day FROM {lines} WHERE player = 'bob' AND day BETWEEN @date_from AND @date_to; -- no bob\n"
    (tmp_path / "no_bob.sql").write_text(text.replace("; --", " --"), encoding="utf-8")
    server.engine.load("box", "lines", [row(day, player) for day in (1, 2, 9) for player in ("ann", "bob")])
    rule = OffendingQuery(name="no bob", file="no_bob.sql", tables={"lines": LINES})
    facts = warehouse.observe(TableQuestion(processor="lines", table=LINES, span=Span(d(1), d(3)), offending=(rule,)))
    assert facts.checks == {"no bob": {day_number(d(1)): (0, 1), day_number(d(2)): (0, 1)}}


def test_the_servers_clock_is_compared_with_ours(server: BigQueryServer, warehouse: BigQueryWarehouse) -> None:
    assert abs(clock_ahead(warehouse)) < 1
    server.skew = 90.0
    assert 85 < clock_ahead(warehouse) < 95


# ---- what Sql specs write


class Bench:
    """A runner of one SQL file over two tables."""

    def __init__(self, server: BigQueryServer, warehouse: BigQueryWarehouse, folder: Path) -> None:
        self.server, self.warehouse, self.file = server, warehouse, folder / "lines.sql"
        self.file.write_text(SELECT, encoding="utf-8")
        self.runner = self.fresh()

    def fresh(self, within: float = 20.0) -> BigQuerySqlRunner:
        return BigQuerySqlRunner(self.warehouse, {"lines": self.file}, within=within)

    def hold(self, *rows: dict[str, Any]) -> None:
        self.server.engine.load("box", "lines", rows)

    def feed(self, *rows: dict[str, Any]) -> None:
        self.server.engine.load("box", "feed", rows)

    def call(self, *days: int, table: Table = LINES, number: int = 1, **asked: Any) -> Call:
        dates, spec = DateSet.of(*map(d, days)), Sql("lines.sql")
        return Call(
            batch=Batch(number=number, processors=("lines",), dates=dates),
            processor=Processor("lines", layer="raw", calendar="c", writes=table, run=spec, complete_when=Rows()),
            spec=spec,
            question=TableQuestion(processor="lines", table=table, span=dates.span, **asked),
            tables={"lines": table, "feed": FEED},
        )

    def run(self, *days: int, table: Table = LINES) -> BatchResult:
        return self.runner.run(self.call(*days, table=table))

    def there(self) -> set[tuple[Any, ...]]:
        found = [(each["day"].day, each["player"], each["points"]) for each in self.server.engine.rows("box", "lines")]
        assert len(set(found)) == len(found)
        return set(found)


@pytest.fixture
def bench(server: BigQueryServer, warehouse: BigQueryWarehouse, tmp_path: Path) -> Bench:
    return Bench(server, warehouse, tmp_path)


DONE = Outcome(claim=Claim.DONE)


def test_the_dates_of_a_batch_are_replaced_and_no_others(bench: Bench) -> None:
    bench.hold(row(1, "old", 1), row(2, "between", 1), row(3, "old", 1), row(9, "old", 1))
    bench.feed(row(1, "ann", 5), row(1, "bob", 6), row(2, "no", 7), row(3, "cy", 8))
    result = bench.run(1, 3)
    assert result.outcomes == {Unit("lines", d(1)): DONE, Unit("lines", d(3)): DONE}
    assert bench.there() == {(1, "ann", 5), (1, "bob", 6), (2, "between", 1), (3, "cy", 8), (9, "old", 1)}
    (job,) = bench.server.sent("backfill-none-1-")
    assert job.config["labels"].items() >= {"layer": "raw", "backfill_table": "box-lines"}.items()
    assert bench.run(1, 3).outcomes == result.outcomes, "again is the same"


def test_any_name_and_any_value_is_written_as_it_is(bench: Bench) -> None:
    name = "a\"b'c`d; DROP TABLE lines; --/*"
    quoted = {column: BIGQUERY.name(column) for column in (f"day {name}", name, f"of {name}")}
    columns = dict(zip(quoted, ("DATE", "STRING", "STRING"), strict=True))
    bench.server.engine.create("box", name, HeldTable(columns, partition=f"day {name}"))
    other = {f"day {name}": d(1), name: "other", f"of {name}": "other"}
    bench.server.engine.load("box", name, [other])
    bench.hold(row(1, "stays"))
    bench.feed(row(1, name, 1, name))
    listed = ", ".join(
        f"{source} AS {column}" for source, column in zip(("day", "player", "source"), quoted.values(), strict=True)
    )
    bench.file.write_text(f"SELECT {listed} FROM {{feed}} WHERE day BETWEEN @date_from AND @date_to", encoding="utf-8")
    table = Table(f"box.{name}", date=f"day {name}", key=(name,), only={f"of {name}": name})
    told = bench.runner.run(bench.call(1, table=table, keys=(name,)))
    assert set(told.outcomes.values()) == {DONE}
    held = bench.server.engine.rows("box", name)
    assert sorted(each[name] for each in held) == sorted(["other", name])
    assert [each["player"] for each in bench.server.engine.rows("box", "lines")] == ["stays"]


def test_what_the_table_then_holds_is_told_by_the_job_that_wrote_it(bench: Bench) -> None:
    bench.hold(row(1, "ann", 1), row(1, "bob", 1), row(2, "between", 4))
    bench.feed(row(1, "ann", 5), row(3, "cy", 8), row(3, "di"))
    (bench.file.parent / "rule.sql").write_text(
        "SELECT day FROM {lines} WHERE player = 'di' AND day BETWEEN @date_from AND @date_to", encoding="utf-8"
    )
    call = bench.call(
        1,
        3,
        keys=("player",),
        checks=(ColumnCheck(name="points", column="points"),),
        comparisons=(KeyComparison(name="feed", own=("player",), theirs=("player",), other=FEED),),
        offending=(OffendingQuery(name="no di", file="rule.sql", tables={"lines": LINES, "feed": FEED}),),
    )
    told = bench.runner.run(call)
    asked = bench.warehouse.asked
    assert told.facts == {"lines": bench.warehouse.observe(call.question)}
    assert told.facts["lines"].rows == {day_number(d(1)): 2, day_number(d(2)): 1, day_number(d(3)): 2}, "1 would have shrunk"
    assert told.facts["lines"].checks == {
        "points": {day_number(d(1)): (2, 2), day_number(d(2)): (1, 1), day_number(d(3)): (1, 2)},
        "no di": {day_number(d(3)): (0, 1)},
    }
    assert (asked, bench.warehouse.asked - asked) == (1, 1), "the schema before, and now what the job had told"
    bench.warehouse.partitions.clear()  # as if nothing were known of them
    assert bench.warehouse.observe(call.question) == told.facts["lines"]
    assert bench.warehouse.asked - asked == 1 + 3, "what may be too dear is asked alone: the table, the two, the rule"
    assert len(bench.server.sent("backfill-none-1-")) == 1


@pytest.mark.parametrize("own", ["", ", IF(player = 'ann', 'mine', NULL) AS source"])
def test_rows_say_what_they_were_computed_from(bench: Bench, own: str) -> None:
    bench.file.write_text(SELECT.replace("points FROM", f"points{own} FROM"), encoding="utf-8")
    bench.feed(row(1, "ann", 5, "h1"), row(1, "bob", 5, "h2"), row(3, "cy", 8, "h3"))
    feed = replace(FEED, hash="source")
    days = {day_number(d(day)): (day_number(d(day)),) * 2 for day in (1, 3)}
    content = ContentColumn(column="source", upstreams=("feed",), bounds=days, plain=True)
    call = replace(bench.call(1, 3), contents=(content,), tables={"lines": LINES, "feed": feed})
    assert set(bench.runner.run(call).outcomes.values()) == {DONE}
    hashes = bench.warehouse.observe(TableQuestion(processor="feed", table=feed, span=Span(d(1), d(3)))).hashes
    said = {each["player"]: each["source"] for each in bench.server.engine.rows("box", "lines")}
    first, third = hashes[day_number(d(1))], hashes[day_number(d(3))]
    assert said == {"ann": "mine" if own else first, "bob": first, "cy": third}
    assert len({first, third}) == 2


def test_where_nothing_prunes_the_job_that_writes_is_not_asked_what_it_wrote(bench: Bench) -> None:
    bench.server.engine.create("box", "lines", HeldTable(dict(COLUMNS)))
    bench.feed(row(1, "ann", 5))
    told = bench.runner.run(bench.call(1))
    assert (set(told.outcomes.values()), told.facts) == ({DONE}, {})


def test_a_date_that_may_shrink_does(bench: Bench) -> None:
    bench.hold(row(1, "ann", 1), row(1, "bob", 1))
    bench.feed(row(1, "ann", 2))
    assert set(bench.runner.run(replace(bench.call(1), allow_shrink=True)).outcomes.values()) == {DONE}
    assert bench.there() == {(1, "ann", 2)}


def test_a_date_that_would_shrink_is_left_alone_and_failed(bench: Bench) -> None:
    bench.hold(row(1, "ann", 1), row(1, "bob", 1), row(2, "ann", 1), row(3, "gone", 1))
    bench.feed(row(1, "ann", 2), row(2, "ann", 2))
    outcomes = bench.run(1, 2, 3).outcomes
    assert outcomes[Unit("lines", d(2))] == DONE
    whys = {unit.day.day: outcome.why for unit, outcome in outcomes.items() if outcome.claim is Claim.FAILED}
    assert whys == {1: "shrank, 2 keys -> 1; nothing was changed", 3: "shrank, 1 keys -> 0; nothing was changed"}
    assert bench.there() == {(1, "ann", 1), (1, "bob", 1), (2, "ann", 2), (3, "gone", 1)}


def test_a_shared_table_keeps_the_rows_of_others_and_refuses_foreign_ones(bench: Bench) -> None:
    api = replace(LINES, only={"source": "api"})
    bench.hold(row(1, "ann", 1, "api"), row(1, "web", 1, "web"))
    bench.file.write_text(SELECT.replace("points", "points, source"), encoding="utf-8")
    bench.feed(row(1, "ann", 2, "api"))
    assert set(bench.run(1, table=api).outcomes.values()) == {DONE}
    assert bench.there() == {(1, "ann", 2), (1, "web", 1)}
    bench.feed(row(1, "foreign", 3, "web"))
    (failed,) = bench.run(1, table=api).outcomes.values()
    assert "outside the slice" in failed.why
    assert bench.there() == {(1, "ann", 2), (1, "web", 1)}


def test_what_fails_inside_the_transaction_changes_nothing(bench: Bench) -> None:
    bench.hold(row(1, "ann", 1))
    bench.file.write_text("SELECT day, player, points, 1 AS extra FROM {feed} WHERE day BETWEEN @date_from AND @date_to")
    bench.feed(row(1, "ann", 2))
    (failed,) = bench.run(1).outcomes.values()
    assert (failed.claim, failed.failure) == (Claim.FAILED, Failure.PERMANENT)
    assert "extra" in failed.why
    assert bench.there() == {(1, "ann", 1)}


def test_batches_of_one_table_take_turns_and_all_arrive(bench: Bench) -> None:
    bench.feed(*(row(day, "ann", day) for day in range(1, 13)))
    calls = [bench.call(day, day + 1, number=day) for day in range(1, 13, 2)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(bench.runner.run, calls))
    assert {outcome.claim for result in results for outcome in result.outcomes.values()} == {Claim.DONE}
    assert bench.there() == {(day, "ann", day) for day in range(1, 13)}
    spans = sorted((job.created, job.ended) for job in bench.server.sent("backfill-none-"))
    assert all(before[1] <= after[0] + 0.005 for before, after in pairwise(spans))


def test_a_lost_answer_to_a_write_is_no_second_write(bench: Bench) -> None:
    bench.feed(row(1, "ann", 1))
    bench.server.faults.append(Fault("jobs.insert", reset=True, after=True, match="BEGIN TRANSACTION"))
    assert set(bench.run(1).outcomes.values()) == {DONE}
    assert bench.server.faults[0].seen == 1
    assert len(bench.server.sent("backfill-none-1-")) == 1


def test_a_job_that_a_dead_run_left_is_waited_for_and_not_done_again(bench: Bench) -> None:
    bench.feed(row(1, "ann", 1))
    held = threading.Event()
    bench.server.faults.append(Fault("job", hold=held, match="BEGIN TRANSACTION"))
    dead = threading.Thread(target=bench.run, args=(1,), daemon=True)
    dead.start()
    _until(lambda: bool(bench.server.sent("backfill-none-1-")))
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(bench.fresh().run, bench.call(1, number=5))
        _until(lambda: sum(route == "jobs.list" for route, _ in bench.server.requests) == 4)
        assert not again.done()
        held.set()
        assert set(again.result(timeout=10).outcomes.values()) == {DONE}
    dead.join(10)
    assert bench.server.sent("backfill-none-5-") == [], "the other's job did the work"
    assert bench.there() == {(1, "ann", 1)}


def left_behind(bench: Bench, fault: Fault) -> threading.Thread:
    """A run that waits for its job until the fault lets go of it, and of which nobody hears any more."""
    bench.feed(row(1, "ann", 1))
    bench.server.faults.append(fault)
    dead = threading.Thread(target=bench.run, args=(1,), daemon=True)
    dead.start()
    _until(lambda: bool(bench.server.sent("backfill-none-1-")))
    return dead


def test_a_job_that_was_left_and_came_to_nothing_is_done_anew(bench: Bench) -> None:
    dead = left_behind(bench, Fault("job", hold=threading.Event(), match="BEGIN TRANSACTION"))
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(bench.fresh().run, bench.call(1, number=5))
        _until(lambda: sum(route == "jobs.list" for route, _ in bench.server.requests) == 4)
        for job in bench.server.sent("backfill-none-1-"):
            bench.server.cancel(job.id)
        assert set(again.result(timeout=10).outcomes.values()) == {DONE}
    dead.join(10)
    assert len(bench.server.sent("backfill-none-5-")) == 1
    assert bench.there() == {(1, "ann", 1)}


def test_of_a_job_that_was_left_and_does_not_answer_nobody_knows(bench: Bench) -> None:
    held = threading.Event()
    dead = left_behind(bench, Fault("job", hold=held, match="BEGIN TRANSACTION"))
    (outcome,) = bench.fresh(within=0.6).run(bench.call(1, number=5)).outcomes.values()
    assert (outcome.claim, outcome.failure) == (Claim.FAILED, Failure.UNKNOWN)
    assert bench.server.sent("backfill-none-5-") == [], "it is not done twice"
    held.set()
    dead.join(10)


def test_stopping_now_cancels_what_is_under_way(bench: Bench) -> None:
    bench.hold(row(1, "ann", 1))
    bench.feed(row(1, "ann", 2))
    bench.server.faults.append(Fault("job", hold=threading.Event(), match="BEGIN TRANSACTION"))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(bench.run, 1)
        _until(lambda: bool(bench.server.sent("backfill-none-1-")))
        bench.warehouse.jobs.stop()
        (outcome,) = under_way.result(timeout=10).outcomes.values()
    assert (outcome.claim, "cancelled" in outcome.why) == (Claim.FAILED, True)
    assert bench.there() == {(1, "ann", 1)}


def test_a_write_that_never_ends_is_given_up_as_unknown(bench: Bench) -> None:
    bench.feed(row(1, "ann", 2))
    bench.server.faults.append(Fault("job", hold=threading.Event(), match="BEGIN TRANSACTION"))
    (outcome,) = bench.fresh(within=1).run(bench.call(1)).outcomes.values()
    assert (outcome.claim, outcome.failure) == (Claim.FAILED, Failure.UNKNOWN)
    assert bench.there() == set()


def _until(true: Any) -> None:
    """Waits until something is so; ten seconds at most."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.005)
