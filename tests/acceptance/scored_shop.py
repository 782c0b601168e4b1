"""A project with one layer, whose rows a service leaves in a lake that the warehouse sees as a view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from backfill_core.testing.metadata_server import MetadataServer
from faulty_service import Asked, Said
from shop import SETTINGS

LAYERS = """
from datetime import date
from backfill_core import EveryDay, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
SCORES = Layer("scores", aliases=("L1",), measured_by=("scores", "shop"))
"""
PLUGINS = """
from backfill_core import Http, Processor, Rows, Secret, Table
SCORES = Processor("scores", layer="scores", calendar="daily", writes=Table("shop.scores", date="day", key=("shop",)),
    complete_when=Rows(at_least=2), run=Http("${SCORING_URL}/process-date", json={"date": "{date}"}, timeout=60, identity=True))
"""
SPAN = ("--to", "2024-05-06", "--today", "2024-05-20")


def make_scored_shop(folder: Path, settings: str = SETTINGS, plugins: str = PLUGINS, dataset: str = "shop") -> Path:
    for name, text in {"pyproject.toml": settings, "layers/all.py": LAYERS, "plugins/all.py": plugins}.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "lake").mkdir()
    lake_file(folder, "2024-04-30", "WHERE false")
    with duckdb.connect(str(folder / "w.duckdb")) as connection:
        connection.execute(f"CREATE SCHEMA {dataset}")
        connection.execute(f"CREATE VIEW {dataset}.scores AS SELECT * FROM read_parquet('{folder}/lake/*.parquet')")
    return folder


def lake_file(folder: Path, day: str, rows: str = "") -> None:
    """Writes a date's rows beside the lake, and puts them there as one thing."""
    query = f"SELECT DATE '{day}' AS day, shop, 1 AS points FROM (VALUES ('a'), ('b')) AS s(shop) {rows}"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{folder}/{day}.parquet' (FORMAT parquet)")
    (folder / f"{day}.parquet").rename(folder / "lake" / f"{day}.parquet")


def guarded(metadata: MetadataServer, then: Callable[[Asked, int], Said]) -> Callable[[Asked, int], Said]:
    """A service as Cloud Run keeps it: nobody gets in without a token for it."""

    def answer(asked: Asked, before: int) -> Said:
        why = metadata.check(asked.headers.get("Authorization"), f"http://{asked.headers['Host']}")
        return Said(401, {"error": why}) if why else then(asked, before)

    return answer


def scoring(folder: Path) -> Callable[[Asked, int], Said]:
    """A service that does what it is asked for."""

    def answer(asked: Asked, _before: int) -> Said:
        lake_file(folder, asked.body["date"])
        return Said()

    return answer


def everything_that_was_kept(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((folder / ".backfill").rglob("*")) if path.is_file())
