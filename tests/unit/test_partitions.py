"""What partitions' metadata tells, and that it is never taken for more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from backfill_core.adapters.bigquery_client import Account
from backfill_core.adapters.bigquery_partitions import Partitions, partitions_of
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.coverage import State
from backfill_core.dates import DateSet, day_number
from backfill_core.errors import BadUsage, UnreadableTable
from backfill_core.model.table import Table
from backfill_core.project.look import Asking, Look, look
from backfill_core.project.session import open_project
from backfill_core.queries.dialect import Names
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer, Fault
from cloud_shop import COLUMNS, FIRST, fill_orders, make_tables, write_shop
from projects import backfill

PLAIN = Table("box.plain", date="day", key=("player",))


@pytest.fixture(scope="module")
def shared() -> Iterator[BigQueryServer]:
    with BigQueryServer("shop-project") as made:
        yield made


@pytest.fixture
def server(shared: BigQueryServer) -> BigQueryServer:
    shared.engine.clear()
    shared.faults.clear()
    shared.jobs.clear()
    return shared


def d(day: int, month: int = 10) -> date:
    return date(2024, month, day)


def hold(server: BigQueryServer, name: str, days: list[date | None], **given: Any) -> None:
    server.engine.create("box", name, HeldTable({"day": "DATE", "player": "STRING"}, **{"partition": "day", **given}))
    server.engine.load("box", name, [{"day": day, "player": "ann"} for day in days])


def told(server: BigQueryServer, folder: Path, *tables: Table, most: int = 1000) -> dict[str, Partitions]:
    account = Account(project="shop-project", location="US", maximum_bytes_billed=10**9, endpoint=server.url)
    warehouse = BigQueryWarehouse(account, Names(), folder, within=2)
    warehouse.schema(["box"])
    found = dict(partitions_of(warehouse, tables, most=most))
    warehouse.close()
    return found


def test_rows_are_told_by_day_and_no_row_is_read(server: BigQueryServer, tmp_path: Path) -> None:
    hold(server, "plain", [d(1), d(1), d(3), None], streamed=4)
    server.engine.create("box", "hours", HeldTable({"at": "TIMESTAMP"}, partition="at", by="HOUR"))
    stamps = [datetime(2024, 10, 1, hour, tzinfo=UTC) for hour in (0, 0, 23)] + [datetime(2024, 10, 2, 0, tzinfo=UTC)]
    server.engine.load("box", "hours", [{"at": at} for at in stamps])
    server.engine.create("box", "raw", HeldTable({"player": "STRING"}, partition="_PARTITIONDATE"))
    server.engine.load("box", "raw", [{"player": "ann", "_PARTITIONDATE": d(9)}])
    hours, raw = Table("box.hours", date="at", date_type="TIMESTAMP"), Table("box.raw", date="_PARTITIONDATE")
    found = told(server, tmp_path, PLAIN, hours, raw)
    assert found["box.plain"] == Partitions(rows={day_number(d(1)): 2, day_number(d(3)): 1}, undated=1, unassigned=4)
    assert found["box.hours"].rows == {day_number(d(1)): 3, day_number(d(2)): 1}
    assert found["box.raw"].rows == {day_number(d(9)): 1}
    assert all("INFORMATION_SCHEMA" in job.text and job.answer.bytes == 0 for job in server.sent())
    assert len(server.sent()) == 2, "one for the columns, one for the partitions"


def test_tables_whose_partitions_are_not_their_dates_are_said_to_tell_nothing(server: BigQueryServer, tmp_path: Path) -> None:
    hold(server, "plain", [d(1)], by="MONTH")
    hold(server, "flat", [d(1)], partition=None)
    hold(server, "shared", [d(1)])
    server.engine.create("box", "other", HeldTable({"day": "DATE", "loaded": "DATE"}, partition="loaded"))
    server.engine.create("box", "abroad", HeldTable({"at": "TIMESTAMP"}, partition="at"))
    tables = [replace(PLAIN, name=f"box.{name}") for name in ("plain", "flat", "other")]
    tables.append(replace(PLAIN, name="box.shared", only={"player": "ann"}))
    tables.append(Table("box.abroad", date="at", date_type="TIMESTAMP", zone="America/New_York"))
    assert {name.partition(".")[2]: found.why_not for name, found in told(server, tmp_path, *tables).items()} == {
        "plain": "a partition of it is longer than a day",
        "flat": "it has no partitions",
        "other": "it is partitioned by loaded, and its dates are in day",
        "shared": "it holds the rows of several processors",
        "abroad": "its partitions are days in UTC, and its dates are days in America/New_York",
    }


def test_so_many_tables_go_into_a_query_and_no_more(server: BigQueryServer, tmp_path: Path) -> None:
    for n in range(5):
        hold(server, f"t{n}", [d(n + 1)])
    found = told(server, tmp_path, *(replace(PLAIN, name=f"box.t{n}") for n in range(5)), most=2)
    assert [list(each.rows) for each in found.values()] == [[day_number(d(n + 1))] for n in range(5)]
    asked = [job for job in server.sent() if "PARTITIONS" in job.text]
    assert len(asked) == 3
    server.faults.append(Fault("job", times=None, status=403, reason="accessDenied", match="PARTITIONS"))
    with pytest.raises(UnreadableTable, match=r"box\.t0 cannot be read: .*accessDenied"):
        told(server, tmp_path, replace(PLAIN, name="box.t0"))


def looked(shop: Path) -> Look:
    session = open_project(shop, "cloud")
    with session.warehouse(read_only=True) as warehouse:
        return look(session, warehouse, Asking(last=d(9, 5), today=d(20, 7), observed="partitions"))


def test_a_date_has_rows_or_none_and_is_nothing_else(server: BigQueryServer, tmp_path: Path) -> None:
    """A row that is alone, spoilt and old makes a date complete here: keys, rules and times are not looked at."""
    fill_orders(server)
    make_tables(server)
    old = datetime(2020, 1, 1, tzinfo=UTC)
    server.engine.load("test_shop", "sums", [{"day": d(2, 5), "shop": "z", "amount": -1, "written": old}])
    states = looked(write_shop(tmp_path, server.url)).coverage.processors["sums"].states
    days = DateSet.between(day_number(FIRST), day_number(d(9, 5)))
    assert states[State.COMPLETE] == DateSet.of(d(2, 5))
    assert states[State.MISSING] == days - DateSet.of(d(2, 5))
    assert not any(states[state] for state in (State.PARTIAL, State.INVALID, State.STALE, State.UNKNOWN))


def test_what_no_partition_tells_is_unknown_and_never_missing(server: BigQueryServer, tmp_path: Path) -> None:
    fill_orders(server)
    make_tables(server)
    server.engine.create("test_shop", "weeks", HeldTable(dict(COLUMNS)))
    states = looked(write_shop(tmp_path, server.url)).coverage.processors["weeks"].states
    assert len(states[State.UNKNOWN]) == 9
    assert not states[State.MISSING]


def test_every_output_says_that_rows_were_not_looked_at(server: BigQueryServer, tmp_path: Path) -> None:
    fill_orders(server)
    make_tables(server, streamed=2)
    server.engine.create("test_shop", "weeks", HeldTable(dict(COLUMNS)))
    shop = write_shop(tmp_path, server.url)
    span = ("--to", "2024-05-09", "--today", "2024-07-20", "--observe", "partitions")
    note = "by partitions alone: rows there or not; keys, counts, rules, gates and staleness"
    for command in ("plan", "coverage"):
        lines = backfill(shop, command, *span).stdout.splitlines()
        assert any(line.startswith(note) for line in lines[1:3]), lines
        assert "unknown: shop.weeks: it has no partitions" in lines
        assert any(line.startswith("shop.sums has 2 rows that are in no partition yet") for line in lines)
        told = json.loads(backfill(shop, command, *span, "--format", "json").stdout)
        assert told["observed"] == "partitions"
        assert " ".join(told["notes"][0].split()).startswith(note)
    assert lines[-1] == "next: backfill plan --today 2024-07-20"
    assert backfill(shop, "plan", *span).stdout.splitlines()[-1] == f"next: backfill plan {' '.join(span[:4])}"
    refused = backfill(shop, "plan", *span, "--out", "p.json")
    assert (refused.returncode, (shop / "p.json").exists()) == (2, False)
    assert backfill(shop, "execute", *span).returncode == 2


def test_an_embedded_target_has_no_such_metadata(server: BigQueryServer, tmp_path: Path) -> None:
    shop = write_shop(tmp_path, server.url)
    local = '[targets.local]\nruntime = "local"\nwarehouse = "w.duckdb"\nlanding = "landing"\n'
    (shop / "backfill.toml").write_text((shop / "backfill.toml").read_text(encoding="utf-8") + local, encoding="utf-8")
    session = open_project(shop, "local")
    with (
        session.warehouse(read_only=True) as warehouse,
        pytest.raises(BadUsage, match='target "local" keeps its tables in a file'),
    ):
        look(session, warehouse, Asking(last=d(9, 5), today=d(20, 7), observed="partitions"))
