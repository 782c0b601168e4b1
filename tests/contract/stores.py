"""Warehouses that contract tests fill by the warehouse's own means, and look into past the port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from backfill_core.adapters.bigquery_client import Account
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.adapters.duckdb_runners import PythonRunner
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.ports import Runner, Warehouse
from backfill_core.queries.dialect import DUCKDB, Names
from backfill_core.testing import MemoryRunner, MemoryWarehouse
from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer

Row = Mapping[str, Any]
DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}


class Held(Protocol):
    """A warehouse and the way rows get into it without the code under test."""

    warehouse: Warehouse

    def put(self, table: str, columns: Mapping[str, str], rows: Iterable[Row] = ()) -> None:
        """Makes a table with columns of those GoogleSQL types and these rows, whatever was there before."""

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table, in no order; none where it is not there."""


class Store(Held, Protocol):
    """One that runs functions too."""

    def runner(self, landing: Path, files: Mapping[str, Mapping[date, str]]) -> Runner:
        """A runner of Python specs. The files of each source lie below ``landing``, at the paths given by day."""


class DuckDBStore:
    """A DuckDB file."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = DuckDBWarehouse(folder / "w.duckdb", Names(), folder, read_only=False)
        self._cursor = self.warehouse.cursor()

    def put(self, table: str, columns: Mapping[str, str], rows: Iterable[Row] = ()) -> None:
        name = DUCKDB.name(*table.split("."))
        self._cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DUCKDB.name(table.split('.')[0])}")
        listed = ", ".join(f"{DUCKDB.name(column)} {DUCKDB_TYPES[kind]}" for column, kind in columns.items())
        self._cursor.execute(f"CREATE OR REPLACE TABLE {name} ({listed})")
        given = list(rows)
        if given:
            picked = ", ".join(f"CAST(UNNEST($c{n}) AS {DUCKDB_TYPES[kind]})" for n, kind in enumerate(columns.values()))
            values = {f"c{n}": [row.get(column) for row in given] for n, column in enumerate(columns)}
            self._cursor.execute(f"INSERT INTO {name} SELECT {picked}", values)

    def rows(self, table: str) -> list[dict[str, Any]]:
        there = self.warehouse.schema_seen([table.split(".")[0]], self._cursor)
        if table not in there:
            return []
        found = self._cursor.execute(f"SELECT * FROM {DUCKDB.name(*table.split('.'))}")
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    def runner(self, landing: Path, files: Mapping[str, Mapping[date, str]]) -> Runner:  # noqa: ARG002  # it looks at the folder
        return PythonRunner(self.warehouse, landing)


class MemoryStore:
    """Plain rows."""

    def __init__(self, folder: Path) -> None:  # noqa: ARG002  # it leaves none
        self.warehouse = MemoryWarehouse()

    def put(self, table: str, columns: Mapping[str, str], rows: Iterable[Row] = ()) -> None:
        self.warehouse.declare(table, columns)
        self.warehouse.put(table, rows)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.warehouse.rows(table)

    def runner(self, landing: Path, files: Mapping[str, Mapping[date, str]]) -> Runner:  # noqa: ARG002  # it is told the paths
        return MemoryRunner(self.warehouse, files)


class BigQueryStore:
    """Google's client before a BigQuery on loopback, which all of these share: each clears what the one before left."""

    _server: BigQueryServer | None = None

    def __init__(self, folder: Path) -> None:
        if BigQueryStore._server is None:
            BigQueryStore._server = BigQueryServer("contract-tests").start()
        self.server = BigQueryStore._server
        self.server.engine.clear()
        account = Account(
            project="contract-tests", location="US", maximum_bytes_billed=10**9, endpoint=self.server.url, request_timeout=10
        )
        self.warehouse = BigQueryWarehouse(account, Names(), folder, within=10)

    def put(self, table: str, columns: Mapping[str, str], rows: Iterable[Row] = ()) -> None:
        dataset, name = table.split(".")
        self.server.engine.create(dataset, name, HeldTable(dict(columns)))
        self.server.engine.load(dataset, name, rows)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.server.engine.rows(*table.split("."))

    @classmethod
    def end(cls) -> None:
        if cls._server is not None:
            cls._server.stop()
            cls._server = None


#: Warehouses that `Python` specs write into too.
STORES: tuple[type[DuckDBStore] | type[MemoryStore], ...] = (DuckDBStore, MemoryStore)
WAREHOUSES: tuple[type[DuckDBStore] | type[MemoryStore] | type[BigQueryStore], ...] = (*STORES, BigQueryStore)
