"""An embedded warehouse: one DuckDB file, owned by one process at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill_core.coverage import DateFacts
from backfill_core.dates import day_number
from backfill_core.errors import UnreadableTable, WarehouseError, WarehouseHeld
from backfill_core.model.table import Table
from backfill_core.queries.question import OffendingQuery, TableQuestion
from backfill_core.queries.sql import DUCKDB, Names, Query, QuestionSql

if TYPE_CHECKING:
    import duckdb


class DuckDBWarehouse:
    """The warehouse of a local target. A file that is not there yet reads as an empty warehouse and is not made."""

    def __init__(self, path: Path, names: Names, root: Path, *, read_only: bool) -> None:
        self.path = path
        self.names = names
        self.root = root
        self.asked = 0
        self._making = threading.Lock()
        self._made: set[str] = set()
        self._rules: dict[str, str] = {}
        self._connection = _connect(path, read_only=read_only)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same file, for a thread."""
        return self._connection.cursor()

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        self.asked += 1
        return self.schema_seen(datasets, self._connection)

    def schema_seen(self, datasets: Iterable[str], cursor: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
        """The schema as this cursor's transaction sees it."""
        found: dict[str, dict[str, str]] = {}
        logical = {self.names.parts(f"{dataset}.x")[-2]: dataset for dataset in datasets}
        rows = cursor.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = current_database() AND list_contains($schemas, schema_name)",
            {"schemas": list(logical)},
        ).fetchall()
        for schema, table, column, kind in rows:
            found.setdefault(f"{logical[schema]}.{table}", {})[column] = kind
        return found

    def observe(self, question: TableQuestion) -> DateFacts:
        self.asked += question.queries
        return self.facts(question, self._connection)

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        self.asked += sum(question.queries for question in questions)
        # A question is too small for the engine to spread over its threads, so two go side by side.
        with ThreadPoolExecutor(2, thread_name_prefix="observe") as pool:
            return list(pool.map(self._observe_apart, questions))

    def _observe_apart(self, question: TableQuestion) -> DateFacts:
        with self.cursor() as cursor:
            return self.facts(question, cursor)

    def facts(self, question: TableQuestion, cursor: duckdb.DuckDBPyConnection) -> DateFacts:
        """The facts of a question as this cursor's transaction sees them."""
        import duckdb

        sql = QuestionSql(question, DUCKDB, self.names)
        try:
            facts = _facts(question, () if question.absent else _fetch(cursor, sql.facts()))
            for check in question.checks:
                if check.among_table:
                    rows = _fetch(cursor, sql.among(check))
                    facts.checks[check.name] = {day_number(day): (good, judged) for day, good, judged in rows}  # type: ignore[index]
            for pair in question.comparisons:
                rows = _fetch(cursor, sql.comparison(pair))
                facts.shares[pair.name] = {day_number(day): tuple(counts) for day, *counts in rows}  # type: ignore[index]
            for rule in question.offending:
                query = Query(self._rule(rule, question), {"date_from": question.span.first, "date_to": question.span.last})
                facts.checks[rule.name] = {day_number(day): (0, count) for day, count in _fetch(cursor, query)}  # type: ignore[index]
        except duckdb.Error as error:
            raise UnreadableTable(table=question.table.name, problem=_first_line(error)) from error
        return facts

    def make_declared(self, tables: Iterable[Table], cursor: duckdb.DuckDBPyConnection) -> None:
        """Makes those of the tables that are not there and whose ddl is known, so that they can be read as empty."""
        with self._making:
            for table in tables:
                if table.ddl and table.name not in self._made:
                    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DUCKDB.name(self.names.parts(table)[-2])}")
                    cursor.execute(self.translate(table.ddl, {"table": table}))
                    self._made.add(table.name)

    def make_like(self, table: Table, like: str, cursor: duckdb.DuckDBPyConnection) -> None:
        """Makes a table without ddl, if it is not there, with the columns of the relation ``like``."""
        parts = self.names.parts(table)
        with self._making:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DUCKDB.name(parts[-2])}")
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {DUCKDB.name(*parts)} AS SELECT * FROM {like} LIMIT 0")

    def translate(self, text: str, tables: Mapping[str, Table]) -> str:
        """GoogleSQL with processors in braces as this engine reads it. Raises ValueError for a name that is not known."""
        import sqlglot

        def quoted(found: re.Match[str]) -> str:
            name = found.group(1)
            if name not in tables:
                raise ValueError(f"{{{name}}} is no processor that this one needs or writes")
            return "`" + ".".join(self.names.parts(tables[name])) + "`"

        try:
            return sqlglot.transpile(
                re.sub(r"\{(\w+)\}", quoted, text),
                read="bigquery",
                write="duckdb",
                unsupported_level=sqlglot.ErrorLevel.IGNORE,
            )[0]
        except sqlglot.errors.SqlglotError as error:
            raise ValueError(_first_line(error)) from error

    def _rule(self, rule: OffendingQuery, question: TableQuestion) -> str:
        if rule.file not in self._rules:
            try:
                text = (self.root / rule.file).read_text(encoding="utf-8")
                inner = self.translate(text, rule.tables)
            except (OSError, ValueError) as error:
                raise UnreadableTable(table=question.table.name, problem=f"rule {rule.name} ({rule.file}): {error}") from error
            day = DUCKDB.name(question.table.date)
            self._rules[rule.file] = f"SELECT o.{day}, COUNT(*) FROM ({inner}) AS o GROUP BY 1"
        return self._rules[rule.file]

    def close(self) -> None:
        self._connection.close()


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    import duckdb

    try:
        if read_only and not path.exists():
            connection = duckdb.connect(":memory:")
        else:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        holder = re.search(r"PID (\d+)", str(error))
        if "lock" in str(error).lower():
            who = f"pid {holder.group(1)}" if holder else "another process"
            raise WarehouseHeld(who=who, path=path, look="Wait for it, or look: backfill status") from error
        raise WarehouseError(path=path, problem=_first_line(error)) from error
    except (duckdb.Error, OSError) as error:
        raise WarehouseError(path=path, problem=_first_line(error)) from error
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _fetch(cursor: duckdb.DuckDBPyConnection, query: Query) -> list[tuple[Any, ...]]:
    return cursor.execute(query.text, dict(query.params)).fetchall()


def _facts(question: TableQuestion, rows: Sequence[tuple[Any, ...]]) -> DateFacts:
    own = [check.name for check in question.checks if check.among_table is None]
    checks: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in own}
    keys: dict[str, dict[int, dict[str, int]]] = {column: {} for column in question.keys}
    plain: tuple[dict[int, int], ...] = ({}, {}, {}, {})
    for row in rows:
        number = day_number(row[0])
        for column, value in zip(plain, row[1:5], strict=True):
            if value is not None:
                column[number] = value
        for place, name in enumerate(own):
            checks[name][number] = (row[5 + 2 * place], row[6 + 2 * place])
        at = 5 + 2 * len(own)
        for place, column_name in enumerate(question.keys):
            names, counts = row[at + 2 * place], row[at + 2 * place + 1]
            keys[column_name][number] = dict(zip(names or (), counts or (), strict=True))
    rows_, distinct, oldest, newest = plain
    return DateFacts(
        rows=rows_,
        distinct=distinct,
        oldest=oldest,
        newest=newest,
        keys=keys,
        checks=checks,
        shares={},
        exists=not question.absent,
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
