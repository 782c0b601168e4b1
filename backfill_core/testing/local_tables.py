"""What a BigQuery of our own holds from the start: a project's declared tables, and rows that it has on this machine."""

from __future__ import annotations

from pathlib import Path

from backfill_core.adapters.landing_files import LandingFiles
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import Schedule
from backfill_core.model.table import Table
from backfill_core.queries.dialect import BIGQUERY, Names
from backfill_core.queries.named import named
from backfill_core.testing.bigquery_server import BigQueryServer


def make_tables(server: BigQueryServer, pipeline: Pipeline, names: Names) -> None:
    """Makes every table whose ddl is declared."""
    cursor = server.engine.cursor()
    for processor in pipeline.processors.values():
        table = processor.writes
        if isinstance(table, Table) and table.ddl:
            server.engine.create_dataset(names.parts(table)[1])
            server.engine.carry_out(named(table.ddl, {"table": table}, BIGQUERY, names), {}, cursor)
    cursor.close()


def copy_rows(server: BigQueryServer, source: Path) -> None:
    """Copies the rows of a DuckDB file into the tables of the same dataset and name."""
    cursor = server.engine.cursor()
    path = str(source).replace("'", "''")
    cursor.execute(f"ATTACH '{path}' AS sample (READ_ONLY)")
    found = cursor.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'sample'").fetchall()
    for dataset, name in sorted(set(found) & server.engine.tables.keys()):
        cursor.execute(f'INSERT INTO "{dataset}"."{name}" BY NAME SELECT * FROM sample."{dataset}"."{name}"')
    cursor.execute("DETACH sample")
    cursor.close()


def bring_schedules(server: BigQueryServer, pipeline: Pipeline, landing: LandingFiles, names: Names) -> None:
    """Puts into the tables that calendars are read from what their files have beside: an embedded target loads no more of them
    than is expected."""
    for name, table in pipeline.schedule_tables().items():
        calendar = pipeline.calendars[name]
        dataset, short = names.parts(table)[-2:]
        assert isinstance(calendar, Schedule), "no other stands in a table"
        there = {row[calendar.key] for row in server.engine.rows(dataset, short)}
        entries = [entry for entry in landing.schedule(calendar) if entry.key not in there]
        columns = (table.date, calendar.key, calendar.season, calendar.type)
        rows = [dict(zip(columns, (entry.day, entry.key, entry.season, entry.type), strict=True)) for entry in entries]
        server.engine.load(dataset, short, rows)
