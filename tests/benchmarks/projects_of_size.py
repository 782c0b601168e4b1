"""Projects and pipelines of a given size, the same every time."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb

PLUGIN = """
from datetime import date
from backfill_core import EveryDay, Layer, Need, Processor, Python, Rows, Table, days
DAILY = EveryDay("daily", since=date(2014, 1, 1))
ONE = Layer("one")

def fill(dates, ctx):
    return [{{"day": day, "n": 1}} for day in dates]

ALL = [
    Processor(f"p{{n}}", layer="one", calendar="daily", writes=Table(f"b.p{{n}}", date="day", key=("n",)),
        needs=(Need(f"p{{n - 1}}", window=days(10)),) if n else (), complete_when=Rows(),
        run={{"local": Python(fill, max_dates={dates})}})
    for n in range({processors})
]
"""
#: Ten years of days.
DAYS = 3652


def write_project(folder: Path, *, processors: int, max_dates: int) -> Path:
    """A project of ``processors`` in a row, each with a window of ten days on the one before it."""
    (folder / "plugins").mkdir()
    (folder / "plugins" / "all.py").write_text(PLUGIN.format(processors=processors, dates=max_dates), encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        '[tool.backfill]\nfrom = "2014-01-01"\n[tool.backfill.targets.local]\nruntime = "local"\n'
        'warehouse = "w.duckdb"\nlanding = "landing"\n',
        encoding="utf-8",
    )
    return folder


def fill_with_holes(folder: Path, processors: int) -> None:
    """Ten years of rows in every table, less a random fifth of the days of each."""
    chance = random.Random(7)
    with duckdb.connect(str(folder / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA b")
        for place in range(processors):
            connection.execute(
                f"CREATE TABLE b.p{place} AS SELECT CAST(day AS DATE) AS day, 1 AS n "
                "FROM generate_series(DATE '2014-01-01', DATE '2023-12-31', INTERVAL 1 DAY) AS s(day)"
            )
            gone = [day for day in range(DAYS) if chance.random() < 0.2]
            connection.execute(
                f"DELETE FROM b.p{place} WHERE DATE_DIFF('day', DATE '2014-01-01', day) IN (SELECT UNNEST($gone))",
                {"gone": gone},
            )
