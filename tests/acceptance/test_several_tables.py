"""A processor that fills two tables in one call: the worst of them decides, and they change together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from projects import answer, backfill
from shop import SETTINGS, SPAN, execute, spoil

PLUGINS = """
from datetime import UTC, date, datetime
from pathlib import Path
from backfill_core import (
    EveryDay, KeysOf, Layer, MatchingKeys, Need, NotNull, Output, Processor, Python, Rows, Sql, Table, UniqueKey,
)

DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))
SUMS = Layer("sums", aliases=("L2",), after=("raw",), measured_by=("sums", "shop"))

def load(dates, ctx):
    stamp, short = datetime.now(UTC), Path("short").exists()
    orders = [{"day": day, "shop": shop, "written": stamp} for day in dates for shop in "ab"]
    lines = [{**order, "item": item, "amount": 5} for order in orders for item in "xyz"[: 2 if short else 3]]
    return {"orders": orders} if Path("odd").exists() else {"orders": orders, "order_lines": lines}

ORDERS = Processor("orders", layer="raw", calendar="daily",
    writes=Table("shop.orders", date="day", key=("shop",), updated="written"), complete_when=Rows(at_least=2),
    also=(Output(Table("shop.order_lines", date="day", key=("shop", "item"), updated="written"),
        complete_when=Rows(at_least=6),
        rules=(UniqueKey(), NotNull("amount"))),),
    run={"local": Python(load, max_dates=3)})
SUMS_ = Processor("sums", layer="sums", calendar="daily", writes=Table("shop.sums", date="day", key=("shop",), updated="written"),
    needs=(Need("orders"),), complete_when=KeysOf("orders"), run={"local": Sql("sums.sql")})
"""
SQL = """
SELECT day, shop, SUM(amount) AS amount, CURRENT_TIMESTAMP() AS written FROM {order_lines} JOIN {orders} USING (day, shop)
WHERE day BETWEEN @date_from AND @date_to GROUP BY day, shop
"""


def made(folder: Path) -> Path:
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "all.py").write_text(PLUGINS, encoding="utf-8")
    (folder / "plugins" / "sums.sql").write_text(SQL, encoding="utf-8")
    (folder / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tables are complete."""
    folder = made(tmp_path_factory.mktemp("several") / "project")
    done = execute(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def full(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "project")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return made(tmp_path / "project")


def reasons(project: Path, *words: str) -> dict[str, dict[str, list[str]]]:
    plan = answer(project, "plan", *SPAN, *words)
    planned = [each for stage in plan["stages"] for each in stage["processors"]]
    return {each["name"]: {why["reason"]: why["dates"] for why in each["reasons"]} for each in planned}


def held(project: Path, table: str, day: str) -> list[Any]:
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        found = connection.execute(f"SELECT COUNT(*), MIN(written) FROM shop.{table} WHERE day = '{day}'").fetchall()
    return list(found[0])


def test_a_run_fills_both_and_the_next_plan_is_empty(full: Path) -> None:
    assert backfill(full, "graph").stdout.count("orders -> shop.orders, shop.order_lines") == 1
    assert reasons(full) == {}
    assert [held(full, name, "2024-05-03")[0] for name in ("orders", "order_lines", "sums")] == [2, 6, 2]


def test_the_worst_table_decides_and_is_named(full: Path) -> None:
    spoil(
        full,
        "DELETE FROM shop.order_lines WHERE day = '2024-05-02'",
        "DELETE FROM shop.order_lines WHERE day = '2024-05-03' AND item = 'x'",
        "UPDATE shop.order_lines SET amount = NULL WHERE day = '2024-05-04' AND item = 'x' AND shop = 'a'",
        "DELETE FROM shop.orders WHERE day = '2024-05-05' AND shop = 'a'",
        "DELETE FROM shop.orders WHERE day = '2024-05-06'",
        "DELETE FROM shop.order_lines WHERE day = '2024-05-07'; DELETE FROM shop.orders WHERE day = '2024-05-07'",
        "DELETE FROM shop.order_lines WHERE day = '2024-05-08'; DELETE FROM shop.orders WHERE day = '2024-05-08' AND shop = 'b'",
    )
    assert reasons(full, "--layer", "raw") == {
        "orders": {
            "missing": ["2024-05-06..2024-05-07"],
            "missing in order_lines": ["2024-05-02", "2024-05-08"],
            "partial 1/2": ["2024-05-05"],
            "partial 4/6 in order_lines": ["2024-05-03"],
            "invalid: amount not null in order_lines": ["2024-05-04"],
        }
    }
    coverage = backfill(full, "validate", *SPAN[:2], "--today", "2024-05-20").stdout
    assert "broken: orders: amount not null in order_lines: 2024-05-04" in coverage
    assert "2024-05-02" in backfill(full, "gaps", *SPAN).stdout
    told = backfill(full, "explain", "orders", "2024-05-04", *SPAN).stdout
    assert "\ntable    order_lines: invalid\nholds    6 rows, 6 keys\n" in told
    assert "         amount not null: 5 of 6 rows: broken\n           broken by 1 shop and item: a/x\n" in told
    (lines,) = answer(full, "explain", "orders", "2024-05-03", *SPAN)["further_tables"]
    assert (lines["table"], lines["state"], lines["held"]["rows"]) == ("order_lines", "partial", 4)
    assert [(each["there"], each["wanted"], each["enough"]) for each in lines["expected"]] == [(4, 6, False)]
    assert execute(full).returncode == 0
    assert reasons(full) == {}


def test_downstream_is_stale_when_either_table_is_newer(full: Path) -> None:
    spoil(full, "UPDATE shop.order_lines SET written = written + INTERVAL 1 HOUR WHERE day = '2024-05-04'")
    assert answer(full, "plan", *SPAN)["stale"] == [{"name": "sums", "dates": ["2024-05-04"]}]


def test_a_table_that_would_shrink_keeps_the_other_as_it_is(full: Path) -> None:
    before = [held(full, name, "2024-05-04") for name in ("orders", "order_lines")]
    (full / "short").touch()
    done = execute(full, "--force", "--processor", "orders", "--dates", "2024-05-04")
    assert done.returncode == 1
    assert "shrank, 6 keys -> 4 in order_lines; nothing was changed" in " ".join(done.stdout.split())
    assert [held(full, name, "2024-05-04") for name in ("orders", "order_lines")] == before


def test_what_a_call_lacks_is_said_with_its_table(bare: Path) -> None:
    (bare / "short").touch()
    done = execute(bare, "--dates", "2024-05-04", "--layer", "raw")
    assert done.returncode == 1
    assert "partial 4/6 in order_lines" in " ".join(done.stdout.split())


def test_an_answer_that_names_too_few_tables_is_refused(bare: Path) -> None:
    (bare / "odd").touch()
    done = execute(bare, "--dates", "2024-05-04", "--layer", "raw")
    assert done.returncode == 1
    words = 'it fills 2 tables, so that it must return {"orders": rows, "order_lines": rows}'
    assert words in " ".join(done.stdout.split())
    with duckdb.connect(str(bare / "w.duckdb")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_a_waived_date_is_waived_in_both(full: Path) -> None:
    spoil(full, "DELETE FROM shop.order_lines WHERE day = '2024-05-04'")
    assert backfill(full, "waive", "orders", "2024-05-04", "--reason", "lost").returncode == 0
    assert reasons(full, "--layer", "raw") == {}
