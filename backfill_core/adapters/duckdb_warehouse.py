"""An embedded warehouse: one DuckDB file, owned by one process at a time."""

from __future__ import annotations

import os
import re
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill_core.coverage import DateFacts, KeysFound
from backfill_core.dates import day_number
from backfill_core.errors import Failure, TableUnmade, UnreadableTable, WarehouseError, WarehouseHeld, WarehouseReadOnly
from backfill_core.model.table import Table
from backfill_core.queries.answers import facts_of_rows, put_pair
from backfill_core.queries.comparison_sql import keys_found
from backfill_core.queries.dialect import BIGQUERY, DUCKDB, Names, Query
from backfill_core.queries.named import named, offending_query
from backfill_core.queries.portable import is_portable, with_params
from backfill_core.queries.question import NamingQuestion, OffendingQuery, TableQuestion
from backfill_core.queries.sql import QuestionSql, naming_query

if TYPE_CHECKING:
    import duckdb


_SCHEMA = (
    "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
    "WHERE database_name = current_database() AND list_contains($schemas, schema_name)"
)

#: What the engine makes of a Ctrl-C in the midst of a statement.
_INTERRUPTED = "Query interrupted"


class DuckDBWarehouse:
    """The warehouse of a local target. A file that is not there yet reads as an empty warehouse and is not made."""

    def __init__(
        self, path: Path, names: Names, root: Path, *, read_only: bool, connection: duckdb.DuckDBPyConnection | None = None
    ) -> None:
        """``connection`` is one to the tables, where they are in no file."""
        self.path = path
        self.root = root
        self.asked = 0
        #: Who asks what, in a list that somebody who wants to see it puts here; None keeps nothing.
        self.statements: list[tuple[str, Query]] | None = None
        self._making = threading.Lock()
        #: Of the tables that nobody has made yet: who is the first to write.
        self._first: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        #: Tables known to be there; nothing takes one away while the file is ours.
        self._there: set[str] = set()
        #: Rules in this engine's words, by processor and file.
        self._rules: dict[tuple[str, str], str] = {}
        self._connection = connection or _connect(path, read_only=read_only)
        # A file shop.duckdb is catalog "shop": without it in every name, a dataset of that name would be ambiguous.
        (catalog,) = self._connection.execute("SELECT current_database()").fetchall()[0]
        self.names = replace(names, project=catalog)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same file, for a thread."""
        return self._connection.cursor()

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        self.asked += 1
        found = self.schema_seen(datasets, self._connection)
        self._there |= found.keys()
        return found

    def schema_seen(self, datasets: Iterable[str], cursor: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
        """The schema as this cursor's transaction sees it."""
        found: dict[str, dict[str, str]] = {}
        logical: dict[str, list[str]] = {}
        for dataset in datasets:
            logical.setdefault(self.names.parts(f"{dataset}.x")[-2], []).append(dataset)
        rows = self._ask(cursor, "schema", Query(_SCHEMA, {"schemas": list(logical)}))
        for schema, table, column, kind in rows:
            for dataset in logical[schema]:
                found.setdefault(f"{dataset}.{table}", {})[column] = kind
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
            facts = facts_of_rows(question, () if question.absent else self._ask(cursor, question.processor, sql.facts()))
            for pair in sql.pairs():
                for place, day, *counts in self._ask(cursor, question.processor, pair.query):
                    put_pair(facts, pair.parts[place], day_number(day), counts)
            for rule in question.offending:
                rows = self._ask(cursor, question.processor, self._offending(rule, question))
                facts.checks[rule.name] = {day_number(day): (0, count) for day, count in rows}  # type: ignore[index]
        except duckdb.Error as error:
            raise _unreadable(question.table, error) from error
        return facts

    def differing_keys(self, question: NamingQuestion, limit: int) -> KeysFound:
        import duckdb

        self.asked += 1
        query = naming_query(question, limit, DUCKDB, self.names, self._rule)
        try:
            return keys_found(self._ask(self._connection, question.processor, query))
        except duckdb.Error as error:
            raise _unreadable(question.table, error) from error

    def make_declared(self, tables: Iterable[Table], cursor: duckdb.DuckDBPyConnection) -> None:
        """Makes those of the tables that are not there and whose ddl is known, so that they can be read as empty."""
        with self._making:
            for table in tables:
                if table.ddl and table.name not in self._there:
                    if not self.holds(table, cursor):
                        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DUCKDB.name(*self.names.parts(table)[:-1])}")
                        cursor.execute(self.translate(table.ddl, {"table": table}))
                    self._there.add(table.name)

    def make(self, table: Table) -> None:
        """Makes a table from its ddl. Raises TableUnmade."""
        import duckdb

        try:
            self.make_declared([table], self.cursor())
        except duckdb.Error as error:
            raise TableUnmade(table=table.name, problem=_first_line(error)) from error

    def make_like(self, table: Table, like: str, cursor: duckdb.DuckDBPyConnection) -> None:
        """Makes a table without ddl, if it is not there, with the columns of the relation ``like``."""
        parts = self.names.parts(table)
        if self.holds(table, cursor):
            return
        for column, kind in ((row[0], row[1]) for row in cursor.execute(f"DESCRIBE {like}").fetchall()):
            if str(kind).strip('"') == "NULL":
                raise ValueError(f'column "{column}" is NULL in every row, which tells no type. Declare the table\'s ddl')
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DUCKDB.name(*parts[:-1])}")
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {DUCKDB.name(*parts)} AS SELECT * FROM {like} LIMIT 0")

    @contextmanager
    def turn_to_write(self, table: Table) -> Iterator[frozenset[str]]:
        """Held around a transaction that writes a table: whoever may be the one to make it has it alone.

        Yields the tables that the transaction, begun inside, surely sees; another may make more in the meantime.
        """
        if table.name in self._there:
            yield frozenset(self._there)
            return
        with self._first[table.name]:
            yield frozenset(self._there)

    def holds(self, table: Table, cursor: duckdb.DuckDBPyConnection, known: Collection[str] = ()) -> bool:
        """Whether a table is there, as this cursor's transaction sees it; those in ``known`` need no look."""
        if table.name in known:
            return True
        schema, name = self.names.parts(table)[-2:]
        found = cursor.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = $schema "
            "AND table_name = $name UNION ALL SELECT 1 FROM duckdb_views() WHERE database_name = current_database() "
            "AND schema_name = $schema AND view_name = $name",
            {"schema": schema, "name": name},
        )
        return found.fetchone() is not None

    def stands(self, table: Table) -> None:
        """A transaction that made the table, or wrote into it, was committed: nobody has to look for it again."""
        self._there.add(table.name)

    def missing(self, question: TableQuestion, cursor: duckdb.DuckDBPyConnection, known: Collection[str] = ()) -> frozenset[str]:
        """The tables of a question that are not there."""
        return frozenset(table.name for table in question.tables() if not self.holds(table, cursor, known))

    def translate(self, text: str, tables: Mapping[str, Table]) -> str:
        """GoogleSQL with processors in braces as this engine reads it. Raises ValueError for a name that is not known."""
        if is_portable(text):
            return named(with_params(text, DUCKDB.marker), tables, DUCKDB, self.names)
        import sqlglot

        try:
            return sqlglot.transpile(
                named(text, tables, BIGQUERY, self.names),
                read="bigquery",
                write="duckdb",
                unsupported_level=sqlglot.ErrorLevel.IGNORE,
            )[0]
        except sqlglot.errors.SqlglotError as error:
            raise ValueError(_syntax_words(error)) from error

    def check(self, text: str, tables: Mapping[str, Table]) -> None:
        """Raises ValueError for GoogleSQL that this engine will not be able to read."""
        import duckdb

        try:
            self._connection.extract_statements(self.translate(text, tables))
        except duckdb.Error as error:
            place = re.search(r"LINE (\d+):", str(error))
            raise ValueError((f"line {place.group(1)}: " if place else "") + _first_line(error)) from error

    def _ask(self, cursor: duckdb.DuckDBPyConnection, asker: str, query: Query) -> list[tuple[Any, ...]]:
        if self.statements is not None:
            self.statements.append((asker, query))
        try:
            return cursor.execute(query.text, dict(query.params)).fetchall()
        except RuntimeError as error:
            if str(error) == _INTERRUPTED:
                raise KeyboardInterrupt from error
            raise

    def _offending(self, rule: OffendingQuery, question: TableQuestion) -> Query:
        return offending_query(self._rule(rule, question), question, DUCKDB, self.names)

    def _rule(self, rule: OffendingQuery, question: TableQuestion) -> str:
        key = (question.processor, rule.file)
        if key not in self._rules:
            try:
                text = (self.root / rule.file).read_text(encoding="utf-8")
                self._rules[key] = self.translate(text, rule.tables)
            except (OSError, ValueError) as error:
                raise UnreadableTable(table=question.table.name, problem=f"rule {rule.name} ({rule.file}): {error}") from error
        return self._rules[key]

    def close(self) -> None:
        import duckdb

        # A call that nobody waits for may still be at work: whoever abandoned it ends the process, and the file with it.
        with suppress(duckdb.Error):
            self._connection.close()


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    import duckdb

    try:
        if not read_only and path.parent.exists() and not os.access(path.parent, os.W_OK):
            raise WarehouseReadOnly(path=path, problem=f"folder {path.parent} cannot be written")
        if not read_only and path.exists() and not os.access(path, os.W_OK):
            raise WarehouseReadOnly(path=path, problem="the file cannot be written")
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
            raise WarehouseHeld(who=who, what=f"the warehouse {path}", look="Wait for it, or look: backfill status") from error
        raise WarehouseError(path=path, problem=_first_line(error)) from error
    except (duckdb.Error, OSError) as error:
        raise WarehouseError(path=path, problem=_first_line(error)) from error
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # of every cursor, not of this one alone
    return connection


def _syntax_words(error: BaseException) -> str:
    """What the translator could not read, and where: its own words name classes of its own."""
    found = getattr(error, "errors", None)
    if not found or not found[0].get("line"):
        return _first_line(error)
    first = found[0]
    said = re.sub(r"<Token .*?text: ([^,]+),.*?>", r"\1", str(first["description"])).rstrip(". ")
    near = f', near "{first["highlight"]}"' if first.get("highlight") else ""
    return f"line {first['line']}: {said}{near}"


def _unreadable(table: Table, error: duckdb.Error) -> UnreadableTable:
    """What went wrong in reading. Files behind a view that somebody is writing now can be read later."""
    import duckdb

    passing = isinstance(error, (duckdb.OperationalError, duckdb.InvalidInputException))
    failure = Failure.TRANSIENT if passing else Failure.PERMANENT
    return UnreadableTable(table=table.name, problem=_first_line(error), failure=failure)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
