"""Calendars that stand in a table of BigQuery: read from there, once, with no landing file anywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from backfill_core.dates import DateSet, Span
from backfill_core.errors import CloudError, EmptyCalendar, UnreadableTable
from backfill_core.observe import read_calendars
from backfill_core.project.session import Session, open_project
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer, Fault
from cloud_shop import FIRST, GATED, PLUGINS, fill_orders, make_tables, write_shop
from projects import backfill

COLUMNS = {"day": "DATE", "shop": "STRING", "season": "STRING", "type": "STRING"}
OPEN = """
OPEN = Processor("opening", layer="raw", calendar="daily", writes=Table("shop.opening", date="day", key=("shop",)),
    complete_when=Rows(), run=SOURCE)
"""
SPAN = ("--to", "2024-05-20", "--today", "2024-07-20")


@pytest.fixture
def server() -> Iterator[BigQueryServer]:
    with BigQueryServer("shop-project") as made:
        fill_orders(made, 20)
        make_tables(made)
        made.engine.create("test_shop", "opening", HeldTable(dict(COLUMNS), partition="day", require_filter=True))
        days = [FIRST + timedelta(days=n) for n in range(20) if n != 4]
        rows: list[dict[str, Any]] = [{"day": day, "shop": key, "season": "2024", "type": "1"} for day in days for key in "abc"]
        closed = {"day": FIRST + timedelta(days=4), "shop": "a", "season": "2024", "type": None}
        made.engine.load("test_shop", "opening", [*rows, closed])
        yield made


@pytest.fixture
def shop(server: BigQueryServer, tmp_path: Path) -> Path:
    project = write_shop(tmp_path, server.url)
    layers = GATED.replace('files="shops.csv"', 'files="shops.csv", tables={"gcp": "opening"}, labels={"": "closed"}')
    (project / "layers/all.py").write_text(layers, encoding="utf-8")
    plugins = PLUGINS.replace('"weeks", layer="sums"', '"weeks", layer="weeks"') + OPEN
    (project / "plugins/all.py").write_text(plugins, encoding="utf-8")
    return project


def expected(session: Session) -> DateSet:
    span = Span(FIRST, date(2024, 5, 20))
    return read_calendars(session.pipeline, session.landing, span)["daily"].expected & DateSet.of_span(span)


def asked(server: BigQueryServer) -> list[str]:
    return [job.text for job in server.sent("ask") if "`opening`" in job.text and "DISTINCT t.`day`" in job.text]


def test_it_is_read_once_and_counted_among_the_queries_of_who_asks(shop: Path, server: BigQueryServer) -> None:
    session = open_project(shop, None)
    with session.warehouse(read_only=True) as warehouse:
        assert len(expected(session)) == 19
        assert (expected(session), warehouse.asked) == (expected(session), 1)
    assert len(asked(server)) == 1
    alone = open_project(shop, None)
    assert expected(alone) == expected(session), "whoever has no warehouse open gets one opened for it"
    assert len(asked(server)) == 2


def test_a_run_needs_no_landing_file(shop: Path, server: BigQueryServer) -> None:
    shutil.rmtree(shop / "landing")
    fit = backfill(shop, "doctor")
    assert (fit.returncode, "fit to run" in fit.stdout, "landing folder" in fit.stdout) == (0, True, False), (
        fit.stdout + fit.stderr
    )
    done = backfill(shop, "execute", *SPAN, "--yes")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "L3 shop 0 (0.0 %) -> 57 (100.0 %)" in done.stdout
    assert {row["day"] for row in server.engine.rows("test_shop", "weeks")} == set(expected(open_project(shop, None)))
    server.jobs.clear()
    found = backfill(shop, "coverage", *SPAN, "--format", "json")
    assert len(asked(server)) == 1, "one query a calendar"
    weeks = next(each for each in json.loads(found.stdout)["processors"] if each["name"] == "weeks")
    assert weeks["not_expected"] == {"closed": ["2024-05-05"]}


def test_the_doctor_goes_on_where_a_calendar_cannot_be_read(shop: Path, server: BigQueryServer) -> None:
    del server.engine.tables["test_shop", "opening"]
    server.denied.add("bigquery.tables.updateData")
    came = backfill(shop, "doctor")
    assert came.returncode == 2
    said = came.stdout.splitlines()
    assert "error: calendar daily knows no dates: shop.opening is not there. Bring its schedule, then try again." in said
    assert "error: shop.sums may not be written. Grant roles/bigquery.dataEditor on shop." in said, "the rest is looked at too"


def test_what_cannot_be_read_is_told_and_never_an_empty_calendar(shop: Path, server: BigQueryServer) -> None:
    server.faults.append(Fault("jobs.insert", status=403, reason="accessDenied", message="Access Denied: no"))
    with pytest.raises(UnreadableTable, match=r"^shop\.opening cannot be read: calendar daily: Access Denied: no"):
        expected(open_project(shop, None))
    server.engine.create("test_shop", "opening", HeldTable(dict(COLUMNS), partition="day"))
    with pytest.raises(EmptyCalendar, match=r"knows no dates: no expected entry in shop\.opening\. Bring its schedule"):
        expected(open_project(shop, None))
    server.engine.datasets["test_shop"] = "EU"
    with pytest.raises(CloudError, match=r'dataset shop is in EU, not US\. Set location = "EU"'):
        expected(open_project(shop, None))
    server.engine.datasets["test_shop"] = "US"
    del server.engine.tables["test_shop", "opening"]
    with pytest.raises(EmptyCalendar, match=r"knows no dates: shop\.opening is not there\. Bring its schedule"):
        expected(open_project(shop, None))
