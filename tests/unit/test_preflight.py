"""What is found of a target before a run: each wound alone, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from backfill_core.adapters.system_clock import SystemClock
from backfill_core.errors import CloudError, PreflightFailed
from backfill_core.events import RunStarted
from backfill_core.planning.make_plan import make_plan
from backfill_core.project.findings import Use
from backfill_core.project.look import Asking, look
from backfill_core.project.preflight import preflight, refuse_unfit
from backfill_core.project.session import open_project
from backfill_core.queries.types import google_type
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer, Fault, Job
from backfill_core.testing.storage_server import StorageServer
from cloud_shop import COLUMNS, FIRST, fill_orders, make_tables, write_shop

TODAY = date(2024, 7, 20)
WRITE = "BEGIN TRANSACTION"


@pytest.fixture(scope="module")
def shared() -> Iterator[BigQueryServer]:
    with BigQueryServer("shop-project") as made:
        yield made


@pytest.fixture
def server(shared: BigQueryServer) -> BigQueryServer:
    shared.engine.clear()
    for held in (shared.faults, shared.requests, shared.jobs, shared.denied):
        held.clear()
    shared.skew = 0.0
    fill_orders(shared)
    make_tables(shared)
    return shared


@pytest.fixture
def shop(server: BigQueryServer, tmp_path: Path) -> Path:
    return write_shop(tmp_path, server.url)


def remake(server: BigQueryServer, name: str, **changed: str) -> None:
    """A table with other types of some columns, or without those whose type is empty."""
    columns = {column: kind for column, kind in (COLUMNS | changed).items() if kind}
    server.engine.create("test_shop", name, HeldTable(columns, partition="day" if columns.get("day") else None))


def found(shop: Path, *fills: str) -> dict[str, bool]:
    """Each finding, and whether it stops a run."""
    session = open_project(shop, "cloud")
    use = Use(fills=dict.fromkeys(fills or ("sums", "weeks"), FIRST), today=TODAY)
    with session.warehouse(read_only=True) as warehouse:
        return {finding.what: finding.stops for finding in preflight(session, warehouse, use)}


def test_where_all_is_well_nothing_is_found_and_nothing_changed(shop: Path, server: BigQueryServer) -> None:
    held = {name: server.engine.rows(*name) for name in server.engine.tables}
    assert found(shop) == {}
    assert {name: server.engine.rows(*name) for name in server.engine.tables} == held
    assert {job.text for job in server.sent()} == {"SELECT 1 AS one"}


def test_landing_files_that_cannot_be_listed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = 'Processor("feed", layer="raw", calendar="daily", writes=Files("feed/{date}.csv"), complete_when=Rows(), run=SOURCE)'
    plugins = shop / "plugins" / "all.py"
    plugins.write_text(f"from backfill_core import Files{plugins.read_text(encoding='utf-8')}\nFEED = {feed}\n", encoding="utf-8")
    nothing = "feed has no file: {}/feed/{{date}}.csv. Put them there, or name another landing folder"
    assert found(shop) == {nothing.format(shop / "landing"): False}
    with StorageServer("scraped", shop / "landing") as storage:
        monkeypatch.setenv("BACKFILL_TARGETS__CLOUD__LANDING", "gs://scraped")
        monkeypatch.setenv("BACKFILL_TARGETS__CLOUD__STORAGE_ENDPOINT", storage.url)
        assert found(shop) == {nothing.format("gs://scraped"): False}
        storage.faults.append(Fault("objects.list", status=403, message="no access"))
        told = "HTTP 403: no access. Grant roles/storage.objectViewer on the bucket"
        assert found(shop) == {f"landing files below gs://scraped cannot be read: {told}": True}


def test_types_that_cannot_be_asked_as_declared(shop: Path, server: BigQueryServer) -> None:
    remake(server, "sums", written="DATETIME", shop="INT64")
    see = "See plugins/all.py:10"
    said = found(shop, "weeks")
    assert said[f"shop.sums.written is DATETIME, and updated needs TIMESTAMP. Name another column, or change its type. {see}"]
    pair = "shop.sums.shop is INT64, shop.orders.shop is STRING, and the two are compared"
    assert said[f"{pair}. Make them one type, or compare other columns. {see}"]
    assert said[f"shop.sums.written is DATETIME, and TIMESTAMP in its ddl. Change one of them. {see}"]
    assert said[f"shop.sums.shop is INT64, and STRING in its ddl. Change one of them. {see}"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("STRING(10)", "STRING"),
        ("DECIMAL(18,3)", "NUMERIC"),
        ("INTEGER", "INT64"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
        ("ARRAY<STRUCT<a INT64, b ARRAY<STRING>>>", "ARRAY<STRUCT>"),
        ("VARCHAR[]", "ARRAY<STRING>"),
        ("RECORD", "STRUCT"),
        ("GEOGRAPHY", "GEOGRAPHY"),
    ],
)
def test_types_have_one_name_wherever_they_come_from(kind: str, name: str) -> None:
    assert google_type(kind) == name


def test_columns_that_are_not_there_with_the_line_to_mend(shop: Path, server: BigQueryServer) -> None:
    remake(server, "orders", amount="", amounts="INT64")
    remake(server, "sums", day="", written="", sum_date="DATE")
    said = found(shop, "weeks")
    assert said[
        'shop.orders has no column "amount", which processor "orders" names. Did you mean "amounts"? See plugins/all.py:8'
    ]
    assert said['shop.sums has no column day (it has sum_date DATE). plugins/all.py:10: write date="sum_date"']
    assert said['shop.sums has no column "written", which processor "sums" names. See plugins/all.py:10']


def test_date_columns_of_another_type_than_declared(shop: Path, server: BigQueryServer) -> None:
    remake(server, "sums", day="TIMESTAMP")
    remake(server, "orders", day="DATETIME")
    said = found(shop, "weeks")
    assert said['shop.sums.day is TIMESTAMP, and declared as DATE. plugins/all.py:10: write date_type="TIMESTAMP"']
    assert said["shop.orders.day is DATETIME, and declared as DATE. plugins/all.py:8: name a DATE, TIMESTAMP or STRING column"]


def test_files_that_would_not_run_or_fit_their_table(shop: Path) -> None:
    filtered = "FROM {orders} WHERE day BETWEEN @date_from AND @date_to"
    (shop / "plugins/sums.sql").write_text(f"SELECT day, shop, 'x' AS amount, 1 AS more {filtered}", encoding="utf-8")
    (shop / "plugins/weeks.sql").write_text(
        "SELECT nobody FROM {sums} WHERE day BETWEEN @date_from AND @date_to", encoding="utf-8"
    )
    said = found(shop)
    assert said["plugins/sums.sql returns amount STRING, and shop.sums has it as INT64. Mend one of them"]
    assert said["plugins/sums.sql returns more INT64, and shop.sums has no such column. Mend one of them"]
    assert any(each.startswith("plugins/weeks.sql: ") and "nobody" in each for each in said)


def test_tables_that_do_not_keep_what_is_filled(shop: Path, server: BigQueryServer) -> None:
    make_tables(server, expires_days=30)
    ends = HeldTable(dict(COLUMNS), partition="day", ends=datetime(2024, 12, 24, tzinfo=UTC))
    server.engine.create("test_shop", "weeks", ends)
    assert found(shop) == {
        "shop.sums deletes partitions after 30 days; this plan fills 2024-05-01. Remove the expiration": True,
        "shop.weeks is deleted as a whole on 2024-12-24, and what is filled with it. Remove the expiration": True,
    }
    assert found(shop, "weeks").keys() == {max(found(shop))}, "a table that is not filled may do as it likes"


def test_partitions_that_no_question_picks(shop: Path, server: BigQueryServer) -> None:
    server.engine.create("test_shop", "sums", HeldTable(dict(COLUMNS)))
    columns = {**COLUMNS, "loaded": "DATE"}
    server.engine.create("test_shop", "weeks", HeldTable(columns, partition="loaded", require_filter=True))
    said = found(shop, "orders")
    all_of_it = "shop.sums is not partitioned by day or anything else: every question reads all of it"
    assert said[f"{all_of_it}. Make it anew with PARTITION BY day"] is False
    wants = "shop.weeks wants a filter on loaded, and its dates are in day"
    assert said[f"{wants}. plugins/all.py:13: date is the partition column"] is True


def test_another_location_and_missing_permissions(shop: Path, server: BigQueryServer) -> None:
    server.denied |= {"bigquery.tables.getData", "bigquery.tables.updateData"}
    server.engine.datasets["test_shop"] = "EU"
    said = found(shop, "sums")
    assert said['dataset shop is in EU, not US. Set location = "EU" in the target\'s settings']
    assert said["shop.sums may not be written. Grant roles/bigquery.dataEditor on shop"]
    assert said["shop.orders may not be read. Grant roles/bigquery.dataViewer on shop"]
    assert not any("weeks may not be written" in each for each in said)


def under_way(server: BigQueryServer, name: str, **config: object) -> Job:
    job = Job(name, {"query": {"query": "SELECT 1", **config}}, 0.0, state="RUNNING", owner="ann")
    server.jobs[name] = job
    return job


def test_rivals_and_what_is_left_of_the_quotas(shop: Path, server: BigQueryServer) -> None:
    target = {"projectId": "shop-project", "datasetId": "test_shop", "tableId": "sums"}
    under_way(server, "theirs", destinationTable=target)
    under_way(server, "waits").state = "PENDING"
    under_way(server, "reads", destinationTable={**target, "datasetId": "_anonymous"})
    under_way(server, "ours").config["labels"] = {"backfill_table": "test_shop-weeks", "backfill_work": "x"}
    said = found(shop)
    rival = "1 job of somebody else is writing shop.sums now, theirs for one. Wait for them, or what is filled may be mixed"
    waits = (
        "1 job of the project waits to be begun: its slots or quotas are used up, and calls will wait too. Lower --concurrency"
    )
    ours = "job ours of a run before is still writing shop.weeks: it will be waited for"
    assert said == {rival: False, waits: False, ours: False}
    assert ours not in found(shop, "sums"), "another run may be at work on another table"
    for n in range(20):
        under_way(server, f"delete{n}", destinationTable=target).answer.kind = "DELETE"
    full = "20 statements change shop.sums now, as many as BigQuery takes of one table"
    assert found(shop)[f"{full}: a call of ours would be refused. Wait, or stop delete0"] is True
    server.denied.add("bigquery.jobs.listAll")
    assert [each for each in found(shop) if "roles/bigquery.resourceViewer" in each]


def test_a_run_that_is_under_way_on_the_target(shop: Path, server: BigQueryServer) -> None:  # noqa: ARG001
    session = open_project(shop, "cloud")
    journal = session.journal(read_only=False)
    now = SystemClock().now()
    started = RunStarted(at=now, pid=1, host="elsewhere", command="backfill execute", target="cloud", plan={})
    run = journal.begin(started, session.holds(["orders"]))
    journal.close()
    (held,) = found(shop)
    assert held.startswith(f"run {run} (pid 1, since ")
    assert held.endswith(f", which this run reads. Look: backfill status {run}")


def test_the_clocks_warn_first_and_then_stop(shop: Path, server: BigQueryServer) -> None:
    server.skew = 20.0
    warned = "this machine's clock is 20 s behind BigQuery's: new rows could be taken for old. Set it right"
    assert found(shop) == {warned: False}
    server.skew = -90.0
    (stopped,) = (stops for what, stops in found(shop).items() if "ahead of BigQuery" in what)
    assert stopped


def test_a_moment_of_unrest_is_waited_out_and_a_lasting_one_told(shop: Path, server: BigQueryServer) -> None:
    for route in ("tables.get", "tables.testIamPermissions", "jobs.insert", "jobs.list"):
        server.faults.append(Fault(route, times=2, status=403, reason="rateLimitExceeded"))
    assert found(shop) == {}
    assert all(fault.seen == 2 for fault in server.faults)
    (shop / "backfill.toml").write_text((shop / "backfill.toml").read_text() + "query_timeout = 1\n", encoding="utf-8")
    server.faults[:] = [Fault("tables.get", times=None)]
    with pytest.raises(CloudError, match="it does not answer"):
        found(shop)


def test_what_stops_is_said_in_one_breath_and_nothing_is_run(shop: Path, server: BigQueryServer) -> None:
    make_tables(server, expires_days=30)
    session = open_project(shop, "cloud")
    with session.warehouse(read_only=True) as warehouse:
        looked = look(session, warehouse, Asking(last=date(2024, 5, 9), today=TODAY))
        plan = make_plan(session.pipeline, looked.coverage, looked.request)
        with pytest.raises(PreflightFailed) as refused:
            refuse_unfit(session, warehouse, plan)
    assert str(refused.value).splitlines() == [
        "shop.sums deletes partitions after 30 days; this plan fills 2024-05-01. Remove the expiration.",
        "shop.weeks deletes partitions after 30 days; this plan fills 2024-05-01. Remove the expiration; nothing was run.",
    ]
    assert not any(WRITE in job.text for job in server.sent())


SERVED = """
from backfill_core import SOURCE, Files, Http, KeysOf, Need, Processor, Rows, Table
FILES = Processor("files", layer="raw", calendar="daily", writes=Files("{date}/orders.csv"),
    complete_when=Rows(at_least=1), run=SOURCE)
def served(name, ddl):
    return Processor(name, layer="sums", calendar="daily", writes=Table(f"shop.{name}", date="day", key=("shop",), ddl=ddl),
        needs=(Need("orders"),), complete_when=KeysOf("orders"), run=Http("http://127.0.0.1:9/x", json={"date": "{date}"}))
VIEWED = served("viewed", "CREATE VIEW {table} AS SELECT * FROM READ_PARQUET('lake/*.parquet')")
BARE = served("bare", None)
"""


def test_what_nobody_makes_in_an_embedded_warehouse_is_told_before_a_service_is_called(shop: Path) -> None:
    settings = (shop / "backfill.toml").read_text(encoding="utf-8")
    local = '[targets.local]\nruntime = "local"\nwarehouse = "w.duckdb"\nlanding = "nowhere"\n'
    (shop / "backfill.toml").write_text(settings + local, encoding="utf-8")
    (shop / "plugins" / "served.py").write_text(SERVED, encoding="utf-8")
    session = open_project(shop, "local")
    use = Use(fills=dict.fromkeys(("viewed", "bare"), FIRST), today=TODAY)
    with session.warehouse(read_only=False) as warehouse:
        said = {finding.what: finding.stops for finding in preflight(session, warehouse, use)}
    stops = "is not there, and a service cannot make it here: "
    assert said[f"shop.viewed {stops}backfill create-tables --yes"]
    declare = "declare a view over its files as its ddl (plugins/served.py:9), then backfill create-tables --yes"
    assert said[f"shop.bare {stops}{declare}"]
    assert said["shop.orders is not there, and nothing here fills it"] is False
    assert said[f"landing folder {shop.resolve()}/nowhere is not there: make it, or name another"] is False
    with duckdb.connect(str(shop / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS shop")
        connection.execute("CREATE TABLE shop.orders (day DATE, shop VARCHAR, amount BIGINT, written TIMESTAMP)")
        connection.execute(
            "INSERT INTO shop.orders SELECT DATE '2024-05-03', shop, 1, NOW() FROM (VALUES ('a'), ('b'), ('c')) s(shop)"
        )
    with session.warehouse(read_only=True) as warehouse:
        looked = look(session, warehouse, Asking(last=date(2024, 5, 9), today=TODAY))
        with pytest.raises(PreflightFailed, match=rf"shop\.viewed {stops}.*; nothing was run"):
            refuse_unfit(session, warehouse, make_plan(session.pipeline, looked.coverage, looked.request))


def test_an_embedded_target_is_looked_at_too(shop: Path) -> None:
    settings = (shop / "backfill.toml").read_text(encoding="utf-8")
    local = '[targets.local]\nruntime = "local"\nwarehouse = "w.duckdb"\nlanding = "nowhere"\n'
    (shop / "backfill.toml").write_text(settings + local, encoding="utf-8")
    with duckdb.connect(str(shop / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute("CREATE TABLE shop.orders (day DATE, shop VARCHAR, amount BIGINT, written TIMESTAMP)")
        connection.execute("CREATE TABLE shop.sums (on_day DATE, shop VARCHAR, amount VARCHAR, written TIMESTAMPTZ)")
    (shop / "plugins/weeks.sql").write_text("SELECT FROM WHERE", encoding="utf-8")
    session = open_project(shop, "local")
    use = Use(fills=dict.fromkeys(("sums", "weeks"), FIRST), today=TODAY)
    with session.warehouse(read_only=True) as warehouse:
        said = {finding.what: finding.stops for finding in preflight(session, warehouse, use)}
    assert said.pop("shop.weeks is not there yet; the first run makes it") is False
    assert said.pop('shop.sums has no column day (it has on_day DATE). plugins/all.py:10: write date="on_day"')
    assert said.pop("shop.sums has no column day DATE, which its ddl has. Add it, or see plugins/all.py:10")
    assert said.pop("shop.sums.amount is STRING, and INT64 in its ddl. Change one of them. See plugins/all.py:10")
    (file,) = [each for each in said if "MB are free" not in each]
    assert file.startswith("plugins/weeks.sql is no GoogleSQL that can be run here: ")
