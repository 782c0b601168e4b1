"""A warehouse of plain rows, for tests and for trying things out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from backfill_core.coverage import DateFacts, KeysFound
from backfill_core.model.table import Table
from backfill_core.queries.question import NamingQuestion, TableQuestion
from backfill_core.testing.row_facts import HeldTable, Row, day_in, facts_of, in_slice, keys_of

#: GoogleSQL type of each kind of value that is checked; columns of other types take anything.
_KINDS = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING", datetime: "TIMESTAMP", date: "DATE"}
#: Type of a column made from rows that have no value in it.
_ANY = "ANY"


class MemoryWarehouse:
    """Tables as lists of rows. May be used from several threads: a reader sees a write wholly or not at all.

    Rules written in SQL cannot be asked here. A table is made by declaring its columns, by ``put``, or by its first write.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._writing = threading.RLock()
        # Never changed in place: a write puts a new mapping here, so that whoever reads needs no lock.
        self._tables: dict[str, HeldTable] = {}

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        self.asked += 1
        wanted = set(datasets)
        return {name: dict(held.columns) for name, held in self._tables.items() if name.partition(".")[0] in wanted}

    def observe(self, question: TableQuestion) -> DateFacts:
        self.asked += question.queries
        return self.facts(question)

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        return [self.observe(question) for question in questions]

    def differing_keys(self, question: NamingQuestion, limit: int) -> KeysFound:
        self.asked += 1
        return keys_of(question, limit, self._tables)

    def facts(self, question: TableQuestion) -> DateFacts:
        """The facts of a question, not counted as asked: for runners, which look while they write. Raises UnreadableTable."""
        return facts_of(question, self._tables)

    def holds(self, table: str) -> bool:
        """Whether a table is there, be it empty."""
        return table in self._tables

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A copy of a table's rows in the order they were written; none for a table that is not there."""
        return [dict(row) for row in self._tables[table].rows] if table in self._tables else []

    def declare(self, table: str, columns: Mapping[str, str]) -> None:
        """Makes an empty table with columns of those GoogleSQL types, in the place of any of that name."""
        with self._writing:
            self._tables = self._tables | {table: HeldTable(columns=dict(columns))}

    def put(self, table: str, rows: Iterable[Row]) -> None:
        """Makes these rows all that a table holds. Raises ValueError for a column or a type it does not have."""
        with self._writing:
            given = list(rows)
            held = _shaped(self._tables, table, given)
            self._tables = self._tables | {table: replace(held, rows=_fitted(table, held, given))}

    def make_declared(self, tables: Iterable[Table]) -> None:
        """Makes those of the tables that are not there and whose ddl is known, so that they can be read as empty."""
        with self._writing:
            for table in tables:
                if table.ddl and table.name not in self._tables:
                    self._tables = self._tables | {table.name: HeldTable(columns=_columns_of(table.ddl))}

    def replace(self, table: Table, dates: Iterable[date], rows: Iterable[Row]) -> None:
        """Puts rows in the place of those that the table's slice holds on these dates; rows of other dates are left out.

        Raises ValueError, and changes nothing, for a row of another slice or a column or a type the table does not have.
        """
        with self._writing:
            self._tables = self._replaced(self._tables, table, dates, rows)

    def replace_verified(
        self, writes: Iterable[tuple[Table, Iterable[Row]]], dates: Iterable[date], questions: Iterable[TableQuestion]
    ) -> list[DateFacts]:
        """As ``replace``, of several tables at once; returns the facts afterwards.

        Raises UnreadableTable, and changes nothing, where there are none.
        """
        chosen = list(dates)
        with self._writing:
            tables = self._tables
            for table, rows in writes:
                tables = self._replaced(tables, table, chosen, rows)
            facts = [facts_of(question, tables) for question in questions]
            self._tables = tables
        return facts

    def close(self) -> None:
        """Keeps the rows: there is nothing to let go."""

    @staticmethod
    def _replaced(tables: dict[str, HeldTable], table: Table, dates: Iterable[date], rows: Iterable[Row]) -> dict[str, HeldTable]:
        """All tables as they are once those rows are written."""
        given, chosen = list(rows), frozenset(dates)
        held = _shaped(tables, table.name, given)
        lacking = [column for column in (table.date, *table.key_on_date) for row in given if column not in row]
        if lacking:
            raise ValueError(f'a row for {table.name} has no "{lacking[0]}"')
        if given and held.columns.get(table.date) not in (table.date_type, _ANY):
            raise ValueError(f"{table.name}.{table.date} is {held.columns.get(table.date)}, not {table.date_type}")
        fitted = [row for row in _fitted(table.name, held, given) if day_in(table, row) in chosen]
        for row in fitted:
            if not in_slice(table, row):
                raise ValueError(f"a row of {table.name} on {row[table.date]} does not have {dict(table.only)}")
        kept = [row for row in held.rows if day_in(table, row) not in chosen or not in_slice(table, row)]
        return tables | {table.name: replace(held, rows=(*kept, *fitted))}


def _shaped(tables: Mapping[str, HeldTable], table: str, rows: Sequence[Row]) -> HeldTable:
    """The table, or an empty one with the columns of these rows where it is not there."""
    if table in tables:
        return tables[table]
    columns = dict.fromkeys(column for row in rows for column in row)
    return HeldTable(columns={column: _kind_among([row.get(column) for row in rows]) for column in columns})


def _fitted(table: str, held: HeldTable, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows with every column of the table, each value of its type."""
    fitted = []
    for row in rows:
        unknown = sorted(row.keys() - held.columns.keys())
        if unknown:
            raise ValueError(f'{table} has no column "{unknown[0]}"')
        fitted.append({column: _value(f"{table}.{column}", kind, row.get(column)) for column, kind in held.columns.items()})
    return tuple(fitted)


def _value(where: str, kind: str, value: Any) -> Any:
    found = _KINDS.get(type(value))
    if value is None or kind not in _KINDS.values():
        return value
    if (found, kind) == ("INT64", "FLOAT64"):
        return float(value)
    if found != kind:
        raise ValueError(f"{where} is {kind}, {value!r} is not")
    # An instant without a zone is read as UTC, as the engines do.
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _kind_among(values: Iterable[Any]) -> str:
    """The type of a column that holds these values."""
    kinds = {_KINDS.get(type(value), _ANY) for value in values if value is not None}
    if kinds == {"INT64", "FLOAT64"}:
        return "FLOAT64"
    return kinds.pop() if len(kinds) == 1 else _ANY


def _columns_of(ddl: str) -> dict[str, str]:
    """Columns and types that a GoogleSQL CREATE TABLE names."""
    import sqlglot
    from sqlglot import exp

    statement = sqlglot.parse_one(re.sub(r"\{\w+\}", "made", ddl), read="bigquery")
    columns = [part for part in statement.this.expressions if isinstance(part, exp.ColumnDef)]
    return {column.name: column.args["kind"].sql("bigquery") for column in columns}
