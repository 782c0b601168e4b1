"""Every fault on every route, by Google's own client: what may pass is passed over, what lasts ends in time and in its class."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden

from backfill_core.adapters.bigquery_client import Account, connect
from backfill_core.adapters.bigquery_conditions import under_way
from backfill_core.adapters.bigquery_errors import failure_of
from backfill_core.adapters.bigquery_runner import BigQuerySqlRunner
from backfill_core.adapters.bigquery_tables import live_tables, make_table
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.adapters.bucket_landing import BucketLanding
from backfill_core.dates import DateSet, Span, day_number
from backfill_core.errors import CloudError, LandingError, UnreadableTable
from backfill_core.events import Claim, Failure
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Sql
from backfill_core.model.table import Files, Table
from backfill_core.model.units import Batch
from backfill_core.ports import Call
from backfill_core.queries.dialect import Names
from backfill_core.queries.question import TableQuestion
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer, Fault
from faulty_service import Said, serving

COLUMNS = {"day": "DATE", "player": "STRING"}
LINES = Table("box.lines", date="day", key=("player",), ddl="CREATE TABLE IF NOT EXISTS {table} (day DATE) PARTITION BY day")
FEED = Table("box.feed", date="day", key=("player",))
DAY = date(2024, 10, 1)
WRITE = "BEGIN TRANSACTION"


@pytest.fixture(scope="module")
def shared() -> Iterator[BigQueryServer]:
    with BigQueryServer("p") as server:
        yield server


@pytest.fixture
def server(shared: BigQueryServer) -> BigQueryServer:
    shared.engine.clear()
    for held in (shared.faults, shared.requests, shared.jobs):
        held.clear()
    for name in ("lines", "feed"):
        shared.engine.create("box", name, HeldTable(dict(COLUMNS), partition="day"))
    shared.engine.load("box", "feed", [{"day": DAY, "player": "ann"}])
    shared.engine.create_dataset("abroad", "EU")
    return shared


class Bench:
    """A warehouse whose questions may take so long, and a runner on it."""

    def __init__(self, server: BigQueryServer, folder: Path, within: float = 5.0, request: float = 5.0) -> None:
        account = Account(
            project="p",
            location="US",
            maximum_bytes_billed=10**9,
            endpoint=server.url,
            request_timeout=request,
            first_pause=0.01,
        )
        self.server = server
        self.warehouse = BigQueryWarehouse(account, Names(), folder, within=within)
        file = folder / "lines.sql"
        file.write_text("SELECT day, player FROM {feed} WHERE day BETWEEN @date_from AND @date_to", encoding="utf-8")
        self.runner = BigQuerySqlRunner(self.warehouse, {"lines": file}, within=within)

    def client(self) -> Any:
        return self.warehouse.jobs.client()

    def ask(self) -> Any:
        return self.warehouse.observe(TableQuestion(processor="feed", table=FEED, span=Span(DAY, DAY))).rows

    def ask_slowly(self) -> Any:
        """A question whose job is not done at once, so that it has to be asked for."""
        self.server.faults.append(Fault("job", slow=0.05))
        return self.ask()

    def write(self) -> Any:
        dates, spec = DateSet.of(DAY), Sql("lines.sql")
        call = Call(
            batch=Batch(number=1, processors=("lines",), dates=dates),
            processor=Processor("lines", layer="raw", calendar="c", writes=LINES, run=spec, complete_when=Rows()),
            spec=spec,
            question=TableQuestion(processor="lines", table=LINES, span=dates.span),
            tables={"lines": LINES, "feed": FEED},
        )
        (outcome,) = self.runner.run(call).outcomes.values()
        return outcome

    def abroad(self) -> Any:
        """Only that a dataset is in another location says that it was found there."""
        with pytest.raises(CloudError) as told:
            self.warehouse.schema(["abroad"])
        if "is in EU" not in str(told.value):
            raise told.value
        return "EU"


RIGHT = {day_number(DAY): 1}
#: What asks each route, and the right answer.
ROUTES: dict[str, tuple[Callable[[Bench], Any], Any]] = {
    "jobs.insert": (Bench.ask, RIGHT),
    "jobs.results": (Bench.ask, RIGHT),
    "jobs.get": (Bench.ask_slowly, RIGHT),
    "jobs.list": (lambda bench: under_way(bench.warehouse).waiting, 0),
    "datasets.get": (Bench.abroad, "EU"),
    "datasets.insert": (lambda bench: make_table(bench.warehouse, LINES), None),
    "tables.get": (lambda bench: live_tables(bench.warehouse, [FEED])["box.feed"] is not None, True),
    "tables.testIamPermissions": (lambda bench: live_tables(bench.warehouse, [FEED])["box.feed"] is not None, True),
}
#: Routes that nothing here asks, but others may who test with this server.
OTHERS: dict[str, Callable[[Bench], Any]] = {
    "jobs.query": lambda bench: [
        tuple(row) for row in bench.client().query_and_wait("SELECT 1 AS one", retry=None, job_retry=None)
    ],
    "tables.list": lambda bench: sorted(table.table_id for table in bench.client().list_tables("box", retry=None)),
}
PASSING = [
    Fault("", status=403, reason="rateLimitExceeded"),
    Fault("", status=403, reason="quotaExceeded"),
    Fault("", status=429, reason=""),
    Fault("", status=500, reason="internalError"),
    Fault("", status=503, reason="backendError"),
    Fault("", reset=True),
    Fault("", reset=True, after=True),
]


@pytest.mark.parametrize("route", ROUTES)
def test_what_may_pass_is_passed_over(server: BigQueryServer, tmp_path: Path, route: str) -> None:
    operation, right = ROUTES[route]
    bench = Bench(server, tmp_path)
    for fault in PASSING:
        server.faults[:] = [replace(fault, route=route, seen=0)]
        assert operation(bench) == right, fault
        assert server.faults[0].seen == 1, fault
    bench.warehouse.close()


@pytest.mark.parametrize("route", ROUTES)
def test_what_lasts_ends_within_its_time_and_says_so(server: BigQueryServer, tmp_path: Path, route: str) -> None:
    bench = Bench(server, tmp_path, within=0.4)
    server.faults.append(Fault(route, times=None))
    started = time.monotonic()
    with pytest.raises((CloudError, UnreadableTable), match=r"a fault that was asked for|timed out"):
        ROUTES[route][0](bench)
    assert time.monotonic() - started < 2.5
    assert server.faults[0].seen > 1
    bench.warehouse.close()


@pytest.mark.parametrize("route", ["jobs.insert", "jobs.list", "tables.get"])
def test_to_load_googles_library_takes_none_of_the_time(
    server: BigQueryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    def slowly(*given: Any) -> Any:
        time.sleep(1.1)  # what a busy machine takes to import it
        return connect(*given)

    monkeypatch.setattr("backfill_core.adapters.bigquery_jobs.connect", slowly)
    bench = Bench(server, tmp_path, within=1.0)
    server.faults.append(Fault(route))
    operation, right = ROUTES[route]
    assert operation(bench) == right, "there was time to try it again"
    bench.warehouse.close()


@pytest.mark.parametrize(("status", "reason"), [(403, "accessDenied"), (400, "invalid")])
def test_what_no_other_try_would_mend_is_asked_once(server: BigQueryServer, tmp_path: Path, status: int, reason: str) -> None:
    for route, (operation, _) in ROUTES.items():
        if route == "jobs.list" and reason == "accessDenied":
            continue  # then only our own jobs are asked for
        bench = Bench(server, tmp_path)
        server.faults[:] = [Fault(route, times=None, status=status, reason=reason)]
        with pytest.raises((CloudError, UnreadableTable), match=reason) as raised:
            operation(bench)
        assert raised.value.__cause__ is not None
        assert failure_of(raised.value.__cause__) is Failure.PERMANENT, route
        assert server.faults[0].seen == 1, route
        bench.warehouse.close()


def test_routes_that_others_ask_have_faults_too(server: BigQueryServer, tmp_path: Path) -> None:
    bench = Bench(server, tmp_path)
    jobs, right = bench.warehouse.jobs, {"jobs.query": [(1,)], "tables.list": ["feed", "lines"]}
    for route, operation in OTHERS.items():
        for fault in PASSING:
            server.faults[:] = [replace(fault, route=route, seen=0)]
            assert jobs.persisting(lambda: operation(bench), within=5) == right[route], fault  # noqa: B023
            assert server.faults[0].seen == 1, fault
        server.faults[:] = [Fault(route, times=None, status=403, reason="accessDenied")]
        with pytest.raises(Forbidden) as raised:
            jobs.persisting(lambda: operation(bench), within=5)  # noqa: B023
        assert failure_of(raised.value) is Failure.PERMANENT
    bench.warehouse.close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_answer_sends_a_statement_elsewhere(tmp_path: Path, status: int) -> None:
    with serving(Said()) as elsewhere, serving(Said(status, b"", {"Location": elsewhere.url})) as here:
        account = Account(project="p", location="US", maximum_bytes_billed=10**9, endpoint=here.url, first_pause=0.01)
        with pytest.raises(CloudError):
            BigQueryWarehouse(account, Names(), tmp_path, within=5).schema(["box"])
        with pytest.raises(LandingError, match=f"HTTP {status}"):
            BucketLanding("gs://bucket", account).files(Files("{date}.csv"))
        assert [asked.method for asked in here.asked] == ["POST", "GET"], "neither is tried again"
        assert elsewhere.asked == elsewhere.probes == []


def test_an_answer_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with BigQueryServer("p") as server:  # of its own: slow requests come to their end when nobody waits any more
        server.engine.create("box", "feed", HeldTable(dict(COLUMNS), partition="day"))
        server.engine.load("box", "feed", [{"day": DAY, "player": "ann"}])
        server.engine.create_dataset("abroad", "EU")
        bench = Bench(server, tmp_path, request=0.25)
        for route, (operation, right) in ROUTES.items():
            server.faults[:] = [Fault(route, slow=0.8)]
            started = time.monotonic()
            assert operation(bench) == right, route
            assert server.faults[0].seen == 1, route
            assert time.monotonic() - started < 0.8, route
        bench.warehouse.close()


#: What is done to the job of a call, and the class of its failure. UNKNOWN: somebody has to look before it is done again.
CALLS = [
    (Fault("jobs.insert", status=403, reason="rateLimitExceeded", match=WRITE), Failure.TRANSIENT),
    (Fault("jobs.insert", status=403, reason="quotaExceeded", match=WRITE), Failure.TRANSIENT),
    (Fault("jobs.insert", status=429, reason="", match=WRITE), Failure.TRANSIENT),
    (Fault("jobs.insert", status=401, reason="authError", match=WRITE), Failure.AUTH),
    (Fault("jobs.insert", status=403, reason="accessDenied", match=WRITE), Failure.PERMANENT),
    (Fault("jobs.insert", status=503, match=WRITE), Failure.TRANSIENT),
    (Fault("jobs.insert", reset=True, match=WRITE), Failure.TRANSIENT),
    (Fault("jobs.insert", reset=True, after=True, match=WRITE), Failure.UNKNOWN),
    (Fault("jobs.results"), Failure.UNKNOWN),
    (Fault("job", status=500, reason="bytesBilledLimitExceeded", match=WRITE), Failure.PERMANENT),
    (Fault("job", status=403, reason="rateLimitExceeded", match=WRITE), Failure.TRANSIENT),
    (Fault("job", status=400, reason="resourcesExceeded", match=WRITE), Failure.PERMANENT),
    (Fault("job", hold=threading.Event(), match=WRITE), Failure.UNKNOWN),
]


@pytest.mark.parametrize(
    ("fault", "failure"), CALLS, ids=lambda each: f"{each.route} {each.reason}" if hasattr(each, "route") else each
)
def test_a_call_that_fails_for_ever_is_of_a_class_and_comes_home(
    server: BigQueryServer, tmp_path: Path, fault: Fault, failure: Failure
) -> None:
    bench = Bench(server, tmp_path, within=0.6)
    bench.warehouse.schema(["box"])
    server.faults.append(replace(fault, times=None, seen=0))
    started = time.monotonic()
    outcome = bench.write()
    assert time.monotonic() - started < 4
    assert (outcome.claim, outcome.failure) == (Claim.FAILED, failure), outcome
    bench.warehouse.close()


def test_a_job_that_is_there_already_is_waited_for_under_its_id(server: BigQueryServer, tmp_path: Path) -> None:
    bench = Bench(server, tmp_path)
    assert bench.write().claim is Claim.DONE
    (job,) = [job for job in server.sent() if WRITE in job.text]
    server.requests.clear()
    assert bench.warehouse.jobs.wait(job.id, within=2) == [(1, line) for part, line in job.answer.rows if part == 1]
    assert "jobs.insert" not in {route for route, _ in server.requests}
    assert bench.warehouse.jobs.failed(job.id, KeyError()) is False, "it has done its work"
    assert bench.warehouse.jobs.failed("nobody", KeyError()) is True


def test_cancelling_a_job_is_tried_in_bounded_time_and_does_no_more_harm(server: BigQueryServer, tmp_path: Path) -> None:
    bench = Bench(server, tmp_path)
    server.faults.append(Fault("job", hold=threading.Event(), match=WRITE))
    server.faults.append(Fault("jobs.cancel", times=1, reset=True))
    with ThreadPoolExecutor(1) as pool:
        under = pool.submit(bench.write)
        end = time.monotonic() + 10
        while not any(WRITE in job.text for job in server.sent()):
            assert time.monotonic() < end
            time.sleep(0.005)
        started = time.monotonic()
        bench.warehouse.jobs.stop()
        assert time.monotonic() - started < 2
        for job in server.sent():
            server.cancel(job.id)
        assert under.result(timeout=10).claim is Claim.FAILED
    bench.warehouse.close()
