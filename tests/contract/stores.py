"""Warehouses that contract tests fill by the warehouse's own means, and look into past the port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from backfill_core.adapters.duckdb_runners import PythonRunner
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.ports import Runner, Warehouse
from backfill_core.queries.dialect import DUCKDB, Names
from backfill_core.testing import MemoryRunner, MemoryWarehouse

Row = Mapping[str, Any]
DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}


class Store(Protocol):
    """A warehouse and the way rows get into it without the code under test."""

    warehouse: Warehouse

    def put(self, table: str, columns: Mapping[str, str], rows: Iterable[Row] = ()) -> None:
        """Makes a table with columns of those GoogleSQL types and these rows, whatever was there before."""

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table, in no order; none where it is not there."""

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


STORES: tuple[type[DuckDBStore] | type[MemoryStore], ...] = (DuckDBStore, MemoryStore)
