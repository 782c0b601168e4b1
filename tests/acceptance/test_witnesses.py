"""Others who speak BigQuery's language: what our own server answers is not merely what we wish. Each is skipped where it is not.

``make witnesses`` installs those that can be installed, and runs them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from backfill_core.adapters.bigquery_client import Account
from backfill_core.adapters.bigquery_conditions import clock_ahead
from backfill_core.adapters.bigquery_jobs import new_id
from backfill_core.adapters.bigquery_partitions import partitions_of
from backfill_core.adapters.bigquery_runner import BigQuerySqlRunner
from backfill_core.adapters.bigquery_tables import make_table
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.dates import DateSet
from backfill_core.events import Claim
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.model.units import Batch
from backfill_core.ports import Call
from backfill_core.queries.dialect import Names, Query
from backfill_core.queries.question import ColumnCheck, KeyComparison, KeyMatch, TableQuestion
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer
from projects import ROOT

EMULATOR = ROOT / ".venv" / "witness" / "bin" / "python"
DDL = "CREATE TABLE IF NOT EXISTS {table} (day DATE, player STRING, points INT64, written TIMESTAMP) PARTITION BY day"
LINES = Table("box.lines", date="day", key=("player",), updated="written", ddl=DDL)
FEED = Table("box.feed", date="day", key=("player",), ddl=DDL)
SELECT = "SELECT day, player, points, written FROM {feed} WHERE day BETWEEN @date_from AND @date_to AND points IS NOT NULL"
FEED_ROWS = """
INSERT INTO `p`.`box`.`feed` (day, player, points, written) VALUES
(DATE '2024-10-01', 'ann', 1, TIMESTAMP '2024-10-02 00:00:00+00'), (DATE '2024-10-01', "it's", 2, NULL),
(DATE '2024-10-02', 'ann', NULL, NULL), (DATE '2024-10-02', 'bob', 4, TIMESTAMP '2024-10-03 00:00:00+00'),
(DATE '2024-10-09', 'far', 5, NULL)
"""


def story(endpoint: str, folder: Path) -> dict[str, Any]:
    """What a BigQuery at a URL answers to a table's whole life."""
    account = Account(project="p", location="US", maximum_bytes_billed=10**9, endpoint=endpoint, request_timeout=20)
    warehouse = BigQueryWarehouse(account, Names(), folder, within=30)
    make_table(warehouse, FEED)
    make_table(warehouse, LINES)
    warehouse.jobs.run(Query(FEED_ROWS, {}), job=new_id("feed"), labels={}, within=30)
    told: dict[str, Any] = {"schema": warehouse.schema(["box"]), "partitions": dict(warehouse.partitions)}
    (folder / "lines.sql").write_text(SELECT, encoding="utf-8")
    write = warehouse.jobs.write
    # The emulator binds no parameters in a script of several statements.
    warehouse.jobs.write = lambda query, **given: write(_literal(query), **given)
    runner = BigQuerySqlRunner(warehouse, {"lines": folder / "lines.sql"}, within=30)
    dates, spec = DateSet.of(date(2024, 10, 1), date(2024, 10, 2)), Sql("lines.sql")
    question = TableQuestion(
        processor="lines",
        table=LINES,
        span=dates.span,
        keys=("player",),
        checks=(
            ColumnCheck(name="points", column="points", positive=True),
            ColumnCheck(name="fed", match=KeyMatch(own=("player",), theirs=("player",), other=FEED)),
        ),
        comparisons=(KeyComparison(name="feed", own=("player",), theirs=("player",), other=FEED),),
    )
    call = Call(
        batch=Batch(number=1, processors=("lines",), dates=dates),
        processor=Processor("lines", layer="raw", calendar="c", writes=LINES, run=spec, complete_when=Rows()),
        spec=spec,
        question=question,
        tables={"lines": LINES, "feed": FEED},
    )
    came = runner.run(call)
    told["outcomes"] = came.outcomes
    told["inside"] = came.facts
    told["after"] = warehouse.observe(question)
    told["days"] = {name: found.rows for name, found in partitions_of(warehouse, [LINES, FEED]).items()}
    told["clock"] = abs(clock_ahead(warehouse)) < 60
    warehouse.close()
    return told


def _literal(query: Query) -> Query:
    """A script with its parameters' values in their places."""

    def written(value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(written, value))}]"
        return f"DATE '{value}'" if isinstance(value, date) else json.dumps(value)

    return Query(re.sub(r"@(\w+)", lambda found: written(query.params[found[1]]), query.text), {})


@contextmanager
def emulator() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("bqemulator_offline.py")
    words = [str(EMULATOR), str(script), "start", "--rest-port", str(port), "--grpc-port", "0", "--project", "p"]
    process = subprocess.Popen([*words, "--log-level", "error"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while not _answers(url):
            assert process.poll() is None, "it ended"
            assert time.monotonic() < end, "it never answered"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        urlopen(f"{url}/bigquery/v2/projects/p/datasets", timeout=5).close()
    except (URLError, OSError):
        return False
    return True


@pytest.mark.skipif(not EMULATOR.exists(), reason="bqemulator is not installed: make witnesses does that")
def test_another_bigquery_tells_the_same_story(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    with BigQueryServer("p") as server:
        ours = story(server.url, tmp_path / "ours")
    assert {outcome.claim for outcome in ours["outcomes"].values()} == {Claim.DONE}
    with emulator() as url:
        theirs = story(url, tmp_path / "theirs")
    for about, told in ours.items():
        assert theirs[about] == told, about


@pytest.mark.skipif(shutil.which("bq") is None, reason="the bq command of Google's SDK is not on this machine")
def test_googles_own_command_reads_our_server(tmp_path: Path) -> None:
    discovery = _discovery()
    with BigQueryServer("p") as server:
        server.engine.create("box", "lines", HeldTable({"day": "DATE", "player": "STRING"}, partition="day"))
        server.engine.load("box", "lines", [{"day": date(2024, 10, 1), "player": f"it's {n}"} for n in range(3)])
        (tmp_path / "token").write_text("none", encoding="utf-8")
        lines = [f"api = {server.url}", f"discovery_file = {discovery}", "project_id = p"]
        (tmp_path / ".bigqueryrc").write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = "SELECT day, player FROM box.lines WHERE day = DATE '2024-10-01' ORDER BY player"
        told = _bq(tmp_path, "query", "--use_legacy_sql=false", "--format=json", text)
        assert json.loads(told) == [{"day": "2024-10-01", "player": f"it's {n}"} for n in range(3)]
        shown = json.loads(_bq(tmp_path, "show", "--format=json", "p:box.lines"))
        assert shown["timePartitioning"] == {"type": "DAY", "field": "day"}
        dry = _bq(tmp_path, "query", "--use_legacy_sql=false", "--dry_run", "--format=json", text)
        assert json.loads(dry)["statistics"]["totalBytesProcessed"] == str(3 * (8 + 16))


def _bq(home: Path, *words: str) -> str:
    given = {"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(home / "token"), "CLOUDSDK_CONFIG": str(home / "sdk"), "HOME": str(home)}
    command = ["bq", "--quiet", f"--bigqueryrc={home / '.bigqueryrc'}", *words]
    came = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=False, timeout=120)
    assert came.returncode == 0, came.stdout + came.stderr
    return came.stdout


def _discovery() -> Path:
    """The description of BigQuery's interface that comes with the command."""
    found = shutil.which("bq")
    roots = [*Path(found or "/").resolve().parents, Path("/usr/lib/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    for root in roots:
        file = root / "platform" / "bq" / "discovery_next" / "bigquery.json"
        if file.exists():
            return file
    pytest.skip("the bq command has no description of BigQuery beside it")
