"""How many queries a run may ask of BigQuery, and that each of them reads its own partitions alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from datetime import UTC, date, datetime

from backfill_core.testing.bigquery_server import BigQueryServer, Job

#: Looks at a table that a run may take in a minute, as DESIGN has it.
LOOKS_A_MINUTE = 12
#: Years in which nothing is planned.
OTHER_YEARS = [date(year, month, 2) for year in (2019, 2020, 2021) for month in range(1, 13)]


def check_budget(asked: Collection[Job], *, plan: int, gates: int, tables: int, seconds: float) -> None:
    """Raises AssertionError where a run asked more than its plan, its gates, and twelve times a minute of each table."""
    minutes = max(1.0, seconds / 60)
    assert len(asked) <= plan + gates + LOOKS_A_MINUTE * minutes * tables
    looks = Counter(_first_table(job.text) for job in _of_tables(asked))
    planned_and_gated = 1 + gates
    assert max(looks.values()) <= planned_and_gated + LOOKS_A_MINUTE * minutes, looks


def check_pruned(server: BigQueryServer, asked: Collection[Job]) -> None:
    """Raises AssertionError where a question about a table reads more once it holds other years too, as dry runs tell."""
    jobs = _of_tables(asked)
    before = [_dry_bytes(server, job) for job in jobs]
    for (dataset, name), held in server.engine.tables.items():
        stamp = {column: datetime(2019, 1, 1, tzinfo=UTC) for column, kind in held.columns.items() if kind == "TIMESTAMP"}
        rows = [dict.fromkeys((c for c, kind in held.columns.items() if kind == "DATE"), day) | stamp for day in OTHER_YEARS]
        server.engine.load(dataset, name, rows)
    for job, read in zip(jobs, before, strict=True):
        assert _dry_bytes(server, job) == read, job.text


def _of_tables(asked: Collection[Job]) -> list[Job]:
    """The questions about tables of a layer: not those about schemas and calendars."""
    found = [job for job in asked if job.config["labels"]["layer"] != "none"]
    assert found
    return found


def _first_table(text: str) -> str:
    found = re.search(r"FROM `[^`]+`\.`[^`]+`\.`([^`]+)`", text)
    assert found is not None, text
    return found[1]


def _dry_bytes(server: BigQueryServer, job: Job) -> int:
    told = server.insert({"configuration": {**job.config, "dryRun": True}})
    return int(told["statistics"]["totalBytesProcessed"])
