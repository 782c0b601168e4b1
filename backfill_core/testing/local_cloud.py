"""The part of Google Cloud that a project's target uses, on this machine: ``python -m backfill_core.testing.local_cloud``.

It serves a BigQuery that holds the tables the project declares, with the rows of an embedded warehouse in them, until it is
stopped. Nothing it does is kept.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from backfill_core.errors import BackfillError, BadUsage
from backfill_core.graph import Pipeline
from backfill_core.model.table import Table
from backfill_core.project.session import Place, Session, open_place, open_project
from backfill_core.project.settings import GcpTarget, LocalTarget
from backfill_core.queries.dialect import BIGQUERY, Names
from backfill_core.queries.named import named
from backfill_core.testing.bigquery_server import BigQueryServer


def serve_project(session: Session, *, source: Path | None, port: int = 0) -> BigQueryServer:
    """A server, not yet started, with every table that the project declares; those of a DuckDB file are filled from there."""
    target = session.target
    assert isinstance(target, GcpTarget)
    server = BigQueryServer(target.project, location=target.location, port=port)
    names = Names(datasets=target.datasets, prefix=target.prefix, project=target.project)
    make_tables(server, session.pipeline, names)
    if source is not None:
        copy_rows(server, source)
    return server


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


def _source(place: Place) -> Path | None:
    """The embedded warehouse of the same project, where it has one."""
    for target in place.settings.targets.values():
        if isinstance(target, LocalTarget) and (place.root / target.warehouse).exists():
            return place.root / target.warehouse
    return None


def _opened(project: Path, target: str) -> BigQueryServer:
    """The server that a target's settings name. Raises BackfillError, or OSError where its port is taken."""
    place = open_place(project, target)
    if not isinstance(place.target, GcpTarget) or place.target.api_endpoint is None:
        raise BadUsage(message=f'target "{target}" has no api_endpoint: set one on 127.0.0.1, to be served there')
    port = urlsplit(str(place.target.api_endpoint)).port or 0
    return serve_project(open_project(project, target), source=_source(place), port=port)


def main() -> int:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(prog="python -m backfill_core.testing.local_cloud", description=__doc__)
    parser.add_argument("--project", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--target", default="gcp", metavar="NAME")
    chosen = parser.parse_args()
    try:
        server = _opened(chosen.project, chosen.target)
    except (BackfillError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        filled = sum(bool(server.engine.count(*name)) for name in server.engine.tables)
        print(f"BigQuery at {server.url}: {len(server.engine.tables)} tables, {filled} with rows", flush=True)
        print(f"next: backfill plan --target {chosen.target}", flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
