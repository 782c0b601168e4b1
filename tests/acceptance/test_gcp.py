"""Target gcp, with the command as a person types it, before a BigQuery on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer, Fault, Job
from cloud_shop import FIRST, add_gate, fill_orders, make_tables, write_shop
from projects import backfill
from slow_shop import wait_for

SPAN = ("--to", "2024-06-29", "--today", "2024-07-20")


@pytest.fixture
def server() -> Iterator[BigQueryServer]:
    with BigQueryServer("shop-project") as made:
        fill_orders(made)
        yield made


@pytest.fixture
def shop(server: BigQueryServer, tmp_path: Path) -> Path:
    return write_shop(tmp_path, server.url)


def answer(project: Path, *words: str) -> Any:
    came = backfill(project, *words, "--format", "json")
    assert came.returncode == 0, came.stderr
    return json.loads(came.stdout)


SEASON = ("--to", "2024-11-29", "--today", "2024-12-20")
SEASON_DAYS = 213
#: Tables, with what is compared and their rules in SQL, and a schema query a dataset.
PLAN_QUERIES = 3 + 1


def test_a_season_from_no_tables_to_full_ones_in_queries_that_dates_do_not_raise(shop: Path, server: BigQueryServer) -> None:
    fill_orders(server, SEASON_DAYS)
    add_gate(shop, SEASON_DAYS)
    with (shop / "backfill.toml").open("a", encoding="utf-8") as settings:
        settings.write('price_per_tb = 5000\ncurrency = "EUR"\n')
    refused = backfill(shop, "execute", *SEASON)
    assert refused.returncode == 2
    assert "shop.sums is not there. Make it: backfill create-tables --yes" in refused.stderr
    dry = backfill(shop, "create-tables")
    assert "CREATE TABLE IF NOT EXISTS `shop-project`.`test_shop`.`sums` (day DATE" in dry.stdout
    assert ("test_shop", "sums") not in server.engine.tables
    made = backfill(shop, "create-tables", "--yes")
    assert made.stdout.splitlines()[1:3] == ["made shop.sums", "made shop.weeks"], made.stderr
    server.jobs.clear()
    plan = answer(shop, "plan", *SEASON)
    assert plan["totals"]["units"] == 2 * SEASON_DAYS
    assert plan["cost"]["bytes"]["sums"] == SEASON_DAYS * 3 * (8 + 16 + 8), "each partition of day, shop and amount once"
    assert plan["cost"]["money"] == round(sum(plan["cost"]["bytes"].values()) / 1e12 * 5000, 6) > 0
    assert plan["cost"]["currency"] == "EUR"
    asked = server.sent("backfill-ask-")
    assert plan["cost"]["observing_bytes"] == sum(job.answer.bytes for job in asked) > 0
    assert len(asked) <= PLAN_QUERIES
    short = len(server.sent("ask"))
    answer(shop, "plan", "--to", "2024-05-03", "--today", "2024-12-20")
    assert len(server.sent("ask")) == 2 * short, "three dates take as many queries as a season"

    server.jobs.clear()
    done = backfill(shop, "execute", *SEASON)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shop-project" in done.stdout.splitlines()[0]
    writes = [job for job in server.sent() if "BEGIN TRANSACTION" in job.text]
    assert {job.config["labels"]["backfill_run"] for job in writes} == {"r1"}
    asked, calls = len(server.sent("ask")), len(writes)
    gate = 1  # the table that it measures is looked at before it is judged
    assert asked <= 2 * PLAN_QUERIES + gate, "a plan, a gate, the look at the end: the job that wrote verified each call"
    assert "gate sums-shops: L2 " in done.stdout, done.stdout
    assert f"queries: {asked} asked, {calls} verified inside" in done.stdout
    assert calls == 2 * -(-SEASON_DAYS // 30)
    _assert_pruned(server, [job for job in server.sent() if "INFORMATION_SCHEMA" not in job.text and "AS one" not in job.text])
    weeks = {
        (row["day"], row["shop"]): row["amount"] for row in server.engine.rows("test_shop", "weeks") if row["day"].year == 2024
    }
    assert len(weeks) == SEASON_DAYS * 3
    assert weeks[date(2024, 5, 20), "b"] == sum(range(14, 21))
    again = answer(shop, "plan", *SEASON)
    assert again["totals"]["units"] == 0
    for words in (("plan", *SEASON), ("coverage", *SEASON)):
        told = backfill(shop, *words, "--target", "cloud").stdout.splitlines()[-1]
        assert told.endswith(" --target cloud"), "what to type next is about the same tables"
    assert "L3 639 of 639 shop, 100.0 %" in backfill(shop, "coverage", *SEASON).stdout


def _assert_pruned(server: BigQueryServer, jobs: list[Job]) -> None:
    """What a dry run says a statement reads does not change when other years come into every table that it names."""
    assert jobs
    before = [_dry_bytes(server, job) for job in jobs]
    assert all(before)
    years = [date(year, month, 2) for year in (2022, 2023, 2025) for month in range(1, 13)]
    for name in ("orders", "sums", "weeks"):
        rows = [{"day": day, "shop": key, "amount": 1, "written": None} for day in years for key in "abc"]
        server.engine.load("test_shop", name, rows)
    for job, read in zip(jobs, before, strict=True):
        assert _dry_bytes(server, job) == read, job.text


def _dry_bytes(server: BigQueryServer, job: Job) -> int:
    told = server.insert({"configuration": {**job.config, "dryRun": True}})
    return int(told["statistics"]["totalBytesProcessed"])


def test_rows_that_a_rule_in_sql_returns_are_named(shop: Path, server: BigQueryServer) -> None:
    make_tables(server)
    rows = [{"day": FIRST, "shop": key, "amount": 7 if key == "b" else 1, "written": None} for key in "abc"]
    server.engine.load("test_shop", "sums", rows)
    rule = shop / "plugins" / "same.sql"
    told = backfill(shop, "explain", "sums", str(FIRST), *SPAN)
    assert "2 of 3 rows: broken" in told.stdout and "broken by" not in told.stdout, "it returns days alone"
    rule.write_text(rule.read_text(encoding="utf-8").replace("SELECT s.day", "SELECT s.day, s.shop, o.amount"), encoding="utf-8")
    told = backfill(shop, "explain", "sums", str(FIRST), *SPAN)
    assert "broken by 1 row: (shop b, amount 1)\n" in told.stdout, told.stdout + told.stderr


def test_a_table_that_would_delete_what_is_filled_stops_the_run(shop: Path, server: BigQueryServer) -> None:
    make_tables(server, expires_days=30)
    came = backfill(shop, "execute", *SPAN, "--processor", "sums")
    assert came.returncode == 2
    line = (
        "error: shop.sums deletes partitions after 30 days; this plan fills 2024-05-01. Remove the expiration; nothing was run."
    )
    assert came.stderr.strip() == line
    assert not any("BEGIN TRANSACTION" in job.text for job in server.sent())
    skipped = backfill(shop, "execute", *SPAN, "--processor", "sums", "--limit", "1", "--skip-preflight")
    assert skipped.returncode == 0, skipped.stderr
    assert answer(shop, "report")["overrides"] == {"skip-preflight": "the target was not looked at first"}
    assert "- set aside: skip-preflight (the target was not looked at first)" in backfill(shop, "report").stdout


def test_the_doctor_names_what_is_wrong_and_where(shop: Path, server: BigQueryServer) -> None:
    make_tables(server)
    columns = {"analysis_date": "DATE", "shop": "STRING", "amount": "INT64", "written": "TIMESTAMP"}
    server.engine.create("test_shop", "weeks", HeldTable(columns, partition="analysis_date"))
    server.denied.add("bigquery.tables.updateData")
    server.skew = -120.0
    came = backfill(shop, "doctor")
    assert came.returncode == 2
    said = came.stdout.splitlines()
    assert said[0] == f"doctor  cloud  {shop.name} (shop-project)  2024-05-01.. UTC"
    weeks = 'error: shop.weeks has no column day (it has analysis_date DATE). plugins/all.py:13: write date="analysis_date".'
    assert weeks in said, said
    assert "error: shop.sums may not be written. Grant roles/bigquery.dataEditor on shop." in said
    assert any(line.startswith("error: this machine's clock is 120 s ahead of BigQuery's") for line in said)
    assert said[-1] == "mend what is an error, then: backfill doctor --target cloud"
    requests = {route for route, _ in server.requests}
    assert requests <= {"tables.get", "tables.testIamPermissions", "jobs.insert", "jobs.get", "jobs.results", "jobs.list"}


def test_a_cloud_that_does_not_answer_is_a_line_and_no_traceback(shop: Path, server: BigQueryServer) -> None:
    server.faults.append(Fault("jobs.insert", times=None))
    settings = shop / "backfill.toml"
    settings.write_text(settings.read_text() + "query_timeout = 1\n", encoding="utf-8")
    started = time.monotonic()
    came = backfill(shop, "plan", *SPAN)
    assert came.returncode == 2
    assert came.stderr.startswith("error: BigQuery of project shop-project: it does not answer: ")
    assert "Traceback" not in came.stderr
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    "words",
    [
        ("plan", *SPAN),
        ("plan", *SPAN, "--observe", "partitions"),
        ("execute", *SPAN, "--yes"),
        ("execute", *SPAN, "--yes", "--skip-preflight"),
        ("coverage", *SPAN),
        ("gaps", *SPAN),
        ("validate", *SPAN),
        ("explain", "sums", "2024-05-03"),
        ("doctor",),
        ("create-tables",),
        ("create-tables", "--yes"),
    ],
)
def test_where_nobody_serves_the_address_every_command_says_so_at_once(tmp_path: Path, words: tuple[str, ...]) -> None:
    started = time.monotonic()
    came = backfill(write_shop(tmp_path, "http://127.0.0.1:1"), *words)
    why = "nothing listens at http://127.0.0.1:1/. Start it: python -m backfill_core.testing.local_cloud"
    assert (came.returncode, came.stderr) == (2, f"error: BigQuery of project shop-project: {why}\n")
    assert time.monotonic() - started < 10, "a request that is tried again would go on for five minutes"


def test_without_credentials_a_line_says_what_to_do(shop: Path, server: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = (shop / "backfill.toml").read_text(encoding="utf-8")
    (shop / "backfill.toml").write_text(settings.replace(f'api_endpoint = "{server.url}"', ""), encoding="utf-8")
    for name, value in {"HOME": str(shop), "CLOUDSDK_CONFIG": str(shop), "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    came = backfill(shop, "doctor")
    assert (came.returncode, "Traceback" in came.stderr) == (2, False)
    assert came.stderr.startswith("error: BigQuery of project shop-project: no credentials: ")
    assert came.stderr.count("BigQuery of project") == 1
    assert "Log in (gcloud auth application-default login), or name a key file" in came.stderr
    monkeypatch.setenv("BACKFILL_TARGETS__CLOUD__API_ENDPOINT", "https://bigquery-mine.p.googleapis.com")
    private = backfill(shop, "doctor")
    assert private.stderr == came.stderr, "only a cloud on this machine asks nobody who he is"
    assert server.requests == []


def test_after_kill_9_during_a_job_the_job_is_waited_for_and_not_done_again(shop: Path, server: BigQueryServer) -> None:
    make_tables(server)
    held = threading.Event()
    server.faults.append(Fault("job", hold=held, match="BEGIN TRANSACTION"))
    words = ("execute", *SPAN, "--processor", "sums", "--dates", "2024-05-03", "--yes")
    run = subprocess.Popen([sys.executable, "-m", "backfill_core", *words], cwd=shop, stdout=subprocess.DEVNULL)
    _until(lambda: any("BEGIN TRANSACTION" in job.text for job in server.sent()))
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    server.requests.clear()
    again = subprocess.Popen([sys.executable, "-m", "backfill_core", *words], cwd=shop, stdout=subprocess.PIPE, text=True)
    # It looks for running jobs before it starts (preflight) and before it writes: twice two states.
    _until(lambda: sum(route == "jobs.list" for route, _ in server.requests) >= 4)
    held.set()
    shown, _ = again.communicate(timeout=60)
    assert again.returncode == 0, shown
    assert sum("BEGIN TRANSACTION" in job.text for job in server.sent()) == 1
    assert len(server.engine.rows("test_shop", "sums")) == 3


def test_the_second_interrupt_cancels_the_job_and_leaves_at_once(shop: Path, server: BigQueryServer) -> None:
    make_tables(server)
    server.faults.append(Fault("job", hold=threading.Event(), match="BEGIN TRANSACTION"))
    words = ("execute", *SPAN, "--processor", "sums", "--dates", "2024-05-03", "--yes")
    command = [sys.executable, "-m", "backfill_core", *words]
    run = subprocess.Popen(command, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _until(lambda: any("BEGIN TRANSACTION" in job.text for job in server.sent()))
    run.send_signal(signal.SIGINT)
    assert run.stdout is not None
    shown = iter(run.stdout.readline, "")
    assert any("in flight" in line for line in shown), "the first says what is in flight, and waits"
    (job,) = [job for job in server.sent() if "BEGIN TRANSACTION" in job.text]
    assert not job.cancelled.is_set()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert job.cancelled.is_set()
    assert server.engine.count("test_shop", "sums") == 0


def test_a_bigquery_that_does_not_answer_for_a_while_holds_a_run_up_and_fails_nothing(shop: Path, server: BigQueryServer) -> None:
    make_tables(server)
    settings = shop / "backfill.toml"
    settings.write_text(settings.read_text() + "query_timeout = 1\n", encoding="utf-8")
    held = threading.Event()
    server.faults.append(Fault("job", hold=held, match="BEGIN TRANSACTION"))
    words = ("execute", *SPAN, "--processor", "sums", "--dates", "2024-05-03", "--yes")
    command = [sys.executable, "-m", "backfill_core", *words]
    run = subprocess.Popen(command, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _until(lambda: any("BEGIN TRANSACTION" in job.text for job in server.sent()))
    server.faults.append(Fault("jobs.insert", times=None))
    held.set()
    shown = wait_for(shop, "waiting: ")
    told = r"waiting: .* cannot be read: .*No unit was failed\. Looking again at .* UTC, or at once: backfill continue r1"
    assert re.search(told, " ".join(shown.split()))
    server.faults.clear()
    assert backfill(shop, "continue", "r1").returncode == 0
    said, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (0, ""), said
    assert "tables can be read again: the run goes on" in said
    assert len(server.engine.rows("test_shop", "sums")) == 3


COUNTS = """
from backfill_core import KeysOf, Need, Processor, Sql, Table
COUNTS = Processor("counts", layer="sums", calendar="daily", writes=Table("shop.counts", date="day", key=("shop",)),
    needs=(Need("orders"),), complete_when=KeysOf("orders"), run=Sql("sums.sql", max_dates=10))
"""


def test_runs_that_share_no_table_go_side_by_side(shop: Path, server: BigQueryServer) -> None:
    (shop / "plugins" / "counts.py").write_text(COUNTS, encoding="utf-8")
    make_tables(server)
    columns = {"day": "DATE", "shop": "STRING", "amount": "INT64", "written": "TIMESTAMP"}
    server.engine.create("test_shop", "counts", HeldTable(columns, partition="day"))
    there = [{"day": date(2024, 5, 4), "shop": shop, "amount": 4, "written": datetime(2024, 7, 2, tzinfo=UTC)} for shop in "abc"]
    server.engine.load("test_shop", "sums", there)
    held = threading.Event()
    server.faults.append(Fault("job", hold=held, match="BEGIN TRANSACTION"))
    words = ("--dates", "2024-05-03..2024-05-04", *SPAN, "--yes")
    command = [sys.executable, "-m", "backfill_core", "execute", *words]
    first = subprocess.Popen([*command, "--processor", "sums"], cwd=shop, stdout=subprocess.DEVNULL)
    _until(lambda: any("BEGIN TRANSACTION" in job.text for job in server.sent()))
    beside = backfill(shop, "execute", *words, "--processor", "counts")
    assert beside.returncode == 0, beside.stdout + beside.stderr
    assert len(server.engine.rows("test_shop", "counts")) == 6
    for name, does in {"sums": "writes", "weeks": "reads"}.items():
        refused = backfill(shop, "execute", *words, "--processor", name)
        told = f"holds shop-project.test_shop.sums, which this run {does}. Look: backfill status r1"
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"refused: run r1 (pid {first.pid}, since ") and told in refused.stderr
    waiting = subprocess.Popen([*command, "--processor", "sums", "--wait"], cwd=shop, stdout=subprocess.PIPE, text=True)
    assert waiting.stdout is not None
    _until(lambda: waiting.stdout.readline().startswith(f"waiting for run r1 (pid {first.pid}"))  # type: ignore[union-attr]
    held.set()
    shown, _ = waiting.communicate(timeout=60)
    assert (first.wait(timeout=60), waiting.returncode) == (0, 0), shown
    assert "nothing to do" in shown, "it looked again once it was its turn"
    assert [run["run"] for run in answer(shop, "runs")["runs"]] == ["r2", "r1"]


def test_the_local_cloud_serves_the_declared_tables_and_the_rows_of_the_local_target(shop: Path, server: BigQueryServer) -> None:
    url = f"http://127.0.0.1:{_free_port()}"
    settings = (shop / "backfill.toml").read_text(encoding="utf-8").replace(server.url, url).replace('prefix = "test_"\n', "")
    local = '[targets.local]\nruntime = "local"\nwarehouse = "w.duckdb"\nlanding = "landing"\n'
    (shop / "backfill.toml").write_text(settings + local, encoding="utf-8")
    with duckdb.connect(str(shop / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA shop")
        made = "SELECT DATE '2024-05-01' AS day, 'a' AS shop, 1::BIGINT AS amount, now() AS written"
        connection.execute(f"CREATE TABLE shop.sums AS {made}")
    words = [sys.executable, "-m", "backfill_core.testing.local_cloud", "--target", "cloud"]
    cloud = subprocess.Popen(words, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert cloud.stdout is not None
        assert cloud.stdout.readline() == f"BigQuery at {url}: 2 tables, 1 with rows\n"
        assert cloud.stdout.readline() == "next: backfill plan --target cloud\n"
        found = answer(shop, "coverage", "--to", "2024-05-02", "--today", "2024-07-20")
        assert [layer["short"] for layer in found["layers"]] == ["L1", "L2"], "what others fill is measured too"
        assert [each["name"] for each in found["processors"]] == ["orders", "sums", "weeks"]
        taken = subprocess.run(words, cwd=shop, capture_output=True, text=True, check=False)
        assert (taken.returncode, taken.stderr.startswith("error: "), "Traceback" in taken.stderr) == (2, True, False)
    finally:
        cloud.send_signal(signal.SIGTERM)
        cloud.communicate(timeout=20)
    assert cloud.returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.01)
