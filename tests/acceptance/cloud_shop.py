"""A small project whose tables are in a BigQuery on loopback: orders that others bring, and what two SQL files make of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer

SETTINGS = """
from = "2024-05-01"
target = "cloud"
[targets.cloud]
runtime = "gcp"
project = "shop-project"
prefix = "test_"
landing = "landing"
api_endpoint = "URL"
"""
LAYERS = """
from datetime import date
from backfill_core import EveryDay, Gate, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))
SUMS = Layer("sums", aliases=("L2",), after=("raw",), measured_by=("sums", "shop"))
"""
PLUGINS = """
from backfill_core import SOURCE, KeysOf, Need, NotNull, Offending, Processor, Rows, Sql, Table, UniqueKey, days

def table(name, ddl=None):
    return Table(f"shop.{name}", date="day", key=("shop",), updated="written", ddl=ddl)

DDL = "CREATE TABLE IF NOT EXISTS {table} (day DATE, shop STRING, amount INT64, written TIMESTAMP) PARTITION BY day"
ORDERS = Processor("orders", layer="raw", calendar="daily", writes=table("orders"), complete_when=Rows(at_least=3),
    rules=(UniqueKey(), NotNull("amount", share=0.9)), run=SOURCE)
SUMS = Processor("sums", layer="sums", calendar="daily", writes=table("sums", DDL), needs=(Need("orders"),),
    complete_when=KeysOf("orders"), rules=(UniqueKey(), Offending("same sum", sql="same.sql", reads=("orders",))),
    run=Sql("sums.sql", max_dates=30))
WEEKS = Processor("weeks", layer="sums", calendar="daily", writes=table("weeks", DDL),
    needs=(Need("sums"), Need("sums", window=days(7), soft=True)), complete_when=KeysOf("sums"), rules=(UniqueKey(),),
    run=Sql("weeks.sql", max_dates=30))
"""
SUMS = "SELECT day, shop, amount, CURRENT_TIMESTAMP() AS written FROM {orders} WHERE day BETWEEN @date_from AND @date_to\n"
WEEKS = """
SELECT t.day, t.shop, SUM(w.amount) AS amount, CURRENT_TIMESTAMP() AS written
FROM {sums} AS t JOIN {sums} AS w ON w.shop = t.shop AND w.day BETWEEN DATE_SUB(t.day, INTERVAL 6 DAY) AND t.day
WHERE t.day BETWEEN @date_from AND @date_to AND w.day BETWEEN DATE_SUB(@date_from, INTERVAL 6 DAY) AND @date_to
GROUP BY t.day, t.shop
"""
SAME = """
SELECT s.day FROM {sums} AS s JOIN {orders} AS o ON o.day = s.day AND o.shop = s.shop
WHERE s.day BETWEEN @date_from AND @date_to AND o.day BETWEEN @date_from AND @date_to AND s.amount <> o.amount
"""
FIRST = date(2024, 5, 1)
#: The same shops in a schedule, with a gate between sums and weeks.
GATED = """
from backfill_core import Gate, Layer, Schedule
DAILY = Schedule("daily", files="shops.csv", date="day", key="shop", season="season", type="type", expected=("1",))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))
SUMS = Layer("sums", aliases=("L2",), after=("raw",), measured_by=("sums", "shop"),
    gates=(Gate("sums-shops", measure="sums", key="shop", at_least=1.0),))
WEEKS = Layer("weeks", aliases=("L3",), after=("sums",), measured_by=("weeks", "shop"))
"""
DAYS = 60
COLUMNS = {"day": "DATE", "shop": "STRING", "amount": "INT64", "written": "TIMESTAMP"}


def write_shop(folder: Path, url: str) -> Path:
    """The project's files, with a target that the server at a URL serves."""
    texts = {
        "backfill.toml": SETTINGS.replace("URL", url),
        "layers/all.py": LAYERS,
        "plugins/all.py": PLUGINS,
        "plugins/sums.sql": SUMS,
        "plugins/weeks.sql": WEEKS,
        "plugins/same.sql": SAME,
        "landing/none": "",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def add_gate(shop: Path, days: int) -> None:
    """Puts the shops into a schedule of so many days, and a gate between the two tables that are computed."""
    (shop / "layers/all.py").write_text(GATED, encoding="utf-8")
    (shop / "plugins/all.py").write_text(PLUGINS.replace('"weeks", layer="sums"', '"weeks", layer="weeks"'), encoding="utf-8")
    lines = [f"{FIRST + timedelta(days=n)},{key},2024,1" for n in range(days) for key in "abc"]
    (shop / "landing/shops.csv").write_text("\n".join(["day,shop,season,type", *lines, ""]), encoding="utf-8")


def fill_orders(server: BigQueryServer, days: int = DAYS) -> None:
    """So many days of three orders each."""
    server.engine.create("test_shop", "orders", HeldTable(dict(COLUMNS), partition="day", require_filter=True))
    long_ago = datetime(2024, 7, 1, tzinfo=UTC)
    dates = [FIRST + timedelta(days=n) for n in range(days)]
    rows = [{"day": day, "shop": shop, "amount": day.day, "written": long_ago} for day in dates for shop in "abc"]
    server.engine.load("test_shop", "orders", rows)


def make_tables(server: BigQueryServer, **more: Any) -> None:
    """The two tables that are computed, empty."""
    for name in ("sums", "weeks"):
        server.engine.create("test_shop", name, HeldTable(dict(COLUMNS), partition="day", **more))
