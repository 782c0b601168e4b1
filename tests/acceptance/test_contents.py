"""Stale by content: an upstream that is written again spoils what rests on it only where it holds something else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from projects import answer, backfill
from shop import SETTINGS, SPAN, execute, spoil

PLUGINS = """
import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from backfill_core import EveryDay, Layer, Need, Processor, Python, Rows, Sql, Table, any_of, days

DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))

def amount(day, shop):
    raised = Path("raised").exists() and day.day == 4
    return day.day * 10 + ord(shop) + (1000 if raised else 0)

def load(dates, ctx):
    stamp = datetime.now(UTC)
    rows = [{"day": day, "shop": shop, "amount": amount(day, shop), "written": stamp} for day in dates for shop in "abc"]
    return [{**row, "content": hashlib.md5(str(row["amount"]).encode()).hexdigest()} for row in rows]

def table(name):
    return Table(f"shop.{name}", date="day", key=("shop",), updated="written", hash="content")

def one(name, *needs, run=Python(load)):
    return Processor(name, layer="raw", calendar="daily", writes=table(name), needs=needs, complete_when=Rows(at_least=3),
        run=run)

ALL = (
    one("orders"),
    one("returns"),
    one("sums", Need("orders", hash="orders_content"), run=Sql("copy.sql")),
    one("plain", Need("orders")),
    one("week", Need("orders", window=days(3), share=0.1, hash="orders_content"), run=Python(load, max_dates=4)),
    one("either", any_of("orders", "returns", hash="made_from")),
)
"""
COPY = """
SELECT day, shop, amount, content, CURRENT_TIMESTAMP() AS written FROM {orders} WHERE day BETWEEN @date_from AND @date_to
"""
ALL_OF_IT = {"plain": ["2024-05-04"], "sums": ["2024-05-04"], "either": ["2024-05-04"], "week": ["2024-05-05..2024-05-07"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tables are complete and say what they were computed from."""
    folder = tmp_path_factory.mktemp("contents")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "all.py").write_text(PLUGINS, encoding="utf-8")
    (folder / "plugins" / "copy.sql").write_text(COPY, encoding="utf-8")
    (folder / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    done = execute(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stale(folder) == {}
    return folder


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "project")


def stale(project: Path) -> dict[str, Any]:
    plan = answer(project, "plan", *SPAN)
    assert plan["totals"]["units"] == 0
    return {each["name"]: each["dates"] for each in plan["stale"]}


def rewrite_orders(project: Path) -> None:
    done = execute(project, "--force", "--processor", "orders", "--dates", "2024-05-04")
    assert done.returncode == 0, done.stdout


def test_the_same_content_written_again_spoils_nothing(project: Path) -> None:
    rewrite_orders(project)
    assert stale(project) == {"plain": ["2024-05-04"]}, "only what says nothing of its inputs is stale for being older"


def test_other_content_spoils_exactly_what_rests_on_it(project: Path) -> None:
    (project / "raised").touch()
    rewrite_orders(project)
    assert stale(project) == ALL_OF_IT
    assert execute(project, "--cascade", "all").returncode == 0
    assert stale(project) == {}


def test_content_that_comes_back_spoils_nothing(project: Path) -> None:
    (project / "raised").touch()
    rewrite_orders(project)
    (project / "raised").unlink()
    rewrite_orders(project)
    assert stale(project) == {"plain": ["2024-05-04"]}


def test_rows_that_do_not_say_or_disagree_are_judged_by_when_they_were_written(project: Path) -> None:
    spoil(
        project,
        "UPDATE shop.orders SET written = written + INTERVAL 1 HOUR WHERE day = '2024-05-04'",
        "UPDATE shop.sums SET orders_content = NULL WHERE day = '2024-05-04' AND shop = 'a'",
        "UPDATE shop.week SET orders_content = 'x' WHERE day = '2024-05-06' AND shop = 'b'",
    )
    assert stale(project) == {"plain": ["2024-05-04"], "sums": ["2024-05-04"], "week": ["2024-05-06"]}


def test_what_a_table_does_not_say_is_an_error_that_says_so(project: Path) -> None:
    spoil(project, "ALTER TABLE shop.sums DROP COLUMN orders_content")
    came = backfill(project, "plan", *SPAN)
    assert came.returncode == 2
    assert 'no column "orders_content", which processor "sums" names' in came.stderr


def test_a_row_says_the_hash_of_its_upstreams_date(project: Path) -> None:
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        said = connection.execute("SELECT day, any_value(orders_content) FROM shop.sums GROUP BY 1 ORDER BY 1").fetchall()
        held = connection.execute(
            "SELECT day, md5(string_agg(content, ',' ORDER BY content)) FROM shop.orders GROUP BY 1 ORDER BY 1"
        ).fetchall()
        window = connection.execute(
            "WITH held AS (SELECT day, md5(string_agg(content, ',' ORDER BY content)) AS digest FROM shop.orders GROUP BY 1) "
            "SELECT CAST(SUM(CAST(('0x' || md5('orders ' || day || ' ' || digest)[1:12]) AS BIGINT)) AS VARCHAR) "
            "FROM held WHERE day BETWEEN '2024-05-03' AND '2024-05-05'"
        ).fetchall()
        week = connection.execute("SELECT DISTINCT orders_content FROM shop.week WHERE day = '2024-05-06'").fetchall()
    assert said == held
    assert window == week
