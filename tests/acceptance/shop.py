"""A small project whose rows say when they were written: orders, their sums, and what a week of sums comes to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import duckdb

from projects import backfill

SETTINGS = """
[tool.backfill]
from = "2024-05-01"
[tool.backfill.targets.local]
runtime = "local"
warehouse = "w.duckdb"
landing = "landing"
"""
LAYERS = """
from datetime import date
from backfill_core import EveryDay, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))
SUMS = Layer("sums", aliases=("L2",), after=("raw",), measured_by=("sums", "shop"))
"""
PLUGINS = """
from datetime import UTC, datetime
from pathlib import Path
from backfill_core import KeysOf, Need, NotNull, Processor, Python, Rows, Sql, Table, UniqueKey, days

def load(dates, ctx):
    if Path("closed").exists() and "2024-05-03" in map(str, dates):
        raise RuntimeError("the shop is closed")
    return rows(dates, ctx)

def rows(dates, ctx):
    stamp = datetime.now(UTC)
    return [
        {"day": day, "shop": shop, "amount": day.day * 10 + n, "written": stamp} for day in dates for n, shop in enumerate("abc")
    ]

def table(name):
    return Table(f"shop.{name}", date="day", key=("shop",), updated="written")

ORDERS = Processor("orders", layer="raw", calendar="daily", writes=table("orders"),
    complete_when=Rows(at_least=3), rules=(UniqueKey(), NotNull("amount", share=0.9)), run={"local": Python(load, max_dates=1)})
SUMS = Processor("sums", layer="sums", calendar="daily", writes=table("sums"),
    needs=(Need("orders"), Need("orders", window=days(2))), complete_when=KeysOf("orders"), run={"local": Sql("copy.sql")})
TRENDS = Processor("trends", layer="sums", calendar="daily", writes=table("trends"),
    needs=(Need("sums", window=days(3), share=0.5),), complete_when=Rows(), run={"local": Python(rows)})
"""
SQL = """
SELECT day, shop, amount, CURRENT_TIMESTAMP() AS written FROM {orders} WHERE day BETWEEN @date_from AND @date_to
"""
SPAN = ("--to", "2024-05-10", "--today", "2024-05-20")
TODAY = ("--today", "2024-05-11")


def make_shop(folder: Path) -> Path:
    for name, text in {
        "pyproject.toml": SETTINGS,
        "layers/all.py": LAYERS,
        "plugins/all.py": PLUGINS,
        "plugins/copy.sql": SQL,
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def execute(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return backfill(project, "execute", *SPAN, "--yes", *words)


def spoil(project: Path, *statements: str) -> None:
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)
