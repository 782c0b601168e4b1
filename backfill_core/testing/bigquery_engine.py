"""GoogleSQL carried out on DuckDB, for a BigQuery of our own: tables with partitions, what a statement would read, its rows.

Statements are translated by sqlglot, so that what only BigQuery says of them (types, grouping) is for Google's analyser to
test, not for this.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

#: GoogleSQL type of each DuckDB type, and the other way round.
_GOOGLE = {
    "BIGINT": "INTEGER", "INTEGER": "INTEGER", "HUGEINT": "INTEGER", "DOUBLE": "FLOAT", "VARCHAR": "STRING", "BOOLEAN": "BOOLEAN",
    "DATE": "DATE", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "TIMESTAMP": "DATETIME", "BLOB": "BYTES", '"NULL"': "INTEGER",
}  # fmt: skip
_STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
DUCKDB_TYPES = {
    "INT64": "BIGINT", "INTEGER": "BIGINT", "FLOAT64": "DOUBLE", "FLOAT": "DOUBLE", "STRING": "VARCHAR", "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP WITH TIME ZONE", "DATETIME": "TIMESTAMP", "BYTES": "BLOB",
    "NUMERIC": "DECIMAL(38,9)",
}  # fmt: skip
_INGESTION = ("_PARTITIONDATE", "_PARTITIONTIME")
#: How the metadata names partitions of each length.
_PARTITION_NAMES = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
#: Bytes that reading one value takes; of a text this many on average.
_WIDTHS = {"BOOL": 1, "STRING": 16}


class Refused(Exception):  # noqa: N818  (what BigQuery does, as a sentence would say it)
    """What BigQuery answers to a statement that it does not carry out."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(message)


@dataclass(slots=True)
class HeldTable:
    """What is known of a table beside its rows."""

    columns: dict[str, str]
    #: The column by which it is partitioned, or a pseudo-column.
    partition: str | None = None
    #: How long a partition is, as BigQuery says it: HOUR, DAY, MONTH or YEAR.
    by: str = "DAY"
    #: Rows that were streamed in and are in no partition yet, as the metadata counts them.
    streamed: int = 0
    require_filter: bool = False
    expires_days: float | None = None
    #: When the table as a whole is deleted.
    ends: datetime | None = None
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class Answer:
    """What a statement came to. A script's is that of its last SELECT."""

    schema: list[dict[str, str]] = field(default_factory=list)
    rows: Sequence[Sequence[Any]] = field(default_factory=list)
    kind: str = "SCRIPT"
    bytes: int = 0


class Engine:
    """The tables of one project in one location. May be used from several threads."""

    def __init__(self, project: str, location: str = "US") -> None:
        import duckdb

        self.project = project
        self.location = location
        self.tables: dict[tuple[str, str], HeldTable] = {}
        #: Datasets and where they are.
        self.datasets: dict[str, str] = {}
        self._db = duckdb.connect(":memory:")
        self._db.execute("SET GLOBAL TimeZone = 'UTC'")
        self._ddl = threading.RLock()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._db.cursor()

    def close(self) -> None:
        self._db.close()

    def clear(self) -> None:
        """Takes all tables and datasets away."""
        with self._ddl:
            for dataset in self.datasets:
                self.cursor().execute(f"DROP SCHEMA IF EXISTS {_quoted(dataset)} CASCADE")
            self.datasets.clear()
            self.tables.clear()

    def create_dataset(self, name: str, location: str | None = None) -> None:
        with self._ddl:
            self.datasets.setdefault(name, location or self.location)
            self.cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(name)}")

    def create(self, dataset: str, name: str, table: HeldTable) -> None:
        """Makes a table, in the place of any of that name, and its dataset."""
        self.create_dataset(dataset)
        columns = dict(table.columns)
        if table.partition in _INGESTION:
            columns |= {"_PARTITIONTIME": "TIMESTAMP", "_PARTITIONDATE": "DATE"}
        listed = ", ".join(f"{_quoted(column)} {duckdb_type(kind)}" for column, kind in columns.items())
        with self._ddl:
            self.cursor().execute(f"CREATE OR REPLACE TABLE {_quoted(dataset, name)} ({listed})")
            self.tables[dataset, name] = table

    def load(self, dataset: str, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows to a table."""
        given = list(rows)
        if not given:
            return
        kinds = dict(self.tables[dataset, name].columns)
        if self.tables[dataset, name].partition in _INGESTION:
            kinds |= {"_PARTITIONTIME": "TIMESTAMP", "_PARTITIONDATE": "DATE"}
        picked = ", ".join(f"CAST(UNNEST($c{n}) AS {duckdb_type(kind)})" for n, kind in enumerate(kinds.values()))
        values = {f"c{n}": [row.get(column) for row in given] for n, column in enumerate(kinds)}
        self.cursor().execute(f"INSERT INTO {_quoted(dataset, name)} SELECT {picked}", values)

    def rows(self, dataset: str, name: str) -> list[dict[str, Any]]:
        """All rows of a table, in no order."""
        found = self.cursor().execute(f"SELECT * FROM {_quoted(dataset, name)}")
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    def count(self, dataset: str, name: str) -> int:
        (found,) = self.cursor().execute(f"SELECT COUNT(*) FROM {_quoted(dataset, name)}").fetchall()[0]
        return int(found)

    def describe(self, text: str, params: Mapping[str, tuple[str, Any]]) -> Answer:
        """What a dry run tells: the columns of the last statement, and the bytes. Raises Refused."""
        statements = _parsed(text)
        answer = Answer(bytes=sum(self._scanned(statement, params) for statement in statements))
        if len(statements) == 1 and (select := _query(statements[0])) is not None:
            sql, values = self._translated(select, params)
            found = self._execute(self.cursor(), f"SELECT * FROM ({sql}) LIMIT 0", values)
            answer.schema = _schema(found.description or ())
        return answer

    def carry_out(
        self, text: str, params: Mapping[str, tuple[str, Any]], cursor: duckdb.DuckDBPyConnection, *, most: int = 0
    ) -> Answer:
        """Carries out every statement; what a failing one leaves of an open transaction is undone.

        Raises Refused, and for one that stands alone and would read more than ``most`` bytes, if any are given.
        """
        answer, statements = Answer(), _parsed(text)
        try:
            for statement in statements:
                self._carry_out(statement, params, cursor, answer, most if len(statements) == 1 else 0)
        finally:
            _roll_back(cursor)
        if len(statements) == 1:
            answer.kind = type(statements[0]).__name__.upper()
        return answer

    def _carry_out(
        self,
        statement: exp.Expr,
        params: Mapping[str, tuple[str, Any]],
        cursor: duckdb.DuckDBPyConnection,
        answer: Answer,
        most: int,
    ) -> None:
        from sqlglot import exp

        if isinstance(statement, exp.Create) and not statement.find(exp.TemporaryProperty):
            self._create(statement)
            return
        answer.bytes += self._scanned(statement, params)
        if most and answer.bytes > most:
            what = f"Query exceeded limit for bytes billed: {most}. {answer.bytes} or higher required."
            raise Refused(500, "bytesBilledLimitExceeded", what)
        sql, values = self._translated(statement, params)
        found = self._execute(cursor, sql, values)
        if _query(statement) is not None:
            answer.schema = _schema(found.description or ())
            answer.rows = found.fetchall()
        elif isinstance(statement, (exp.Insert, exp.Delete, exp.Update, exp.Merge)):
            for dataset, name, _ in self._real_tables(statement):
                self.tables[dataset, name].modified = datetime.now(UTC)

    def _create(self, statement: exp.Create) -> None:
        from sqlglot import exp

        if statement.kind == "SCHEMA":
            table = statement.find(exp.Table)
            assert table is not None
            self.create_dataset(table.db or table.name)
            return
        if statement.kind != "TABLE" or not isinstance(statement.this, exp.Schema):
            raise Refused(400, "notImplemented", "here tables are made by CREATE TABLE with columns alone")
        named = statement.this.this
        dataset, name = named.db, named.name
        if dataset not in self.datasets:
            raise Refused(
                404, "notFound", f"Not found: Dataset {self.project}:{dataset} was not found in location {self.location}"
            )
        with self._ddl:
            if (dataset, name) in self.tables:
                if statement.args.get("exists"):
                    return
                raise Refused(409, "duplicate", f"Already Exists: Table {self.project}:{dataset}.{name}")
            self.create(dataset, name, _held(statement))

    def _real_tables(self, statement: exp.Expr) -> Iterator[tuple[str, str, exp.Table]]:
        """The tables with a dataset that a statement names. Raises Refused for one that is not there."""
        from sqlglot import exp

        for table in statement.find_all(exp.Table):
            if not table.db or table.name.startswith("INFORMATION_SCHEMA."):
                continue
            if table.catalog and table.catalog != self.project:
                raise Refused(403, "accessDenied", f"Access Denied: Project {table.catalog}: User does not have permission")
            if self.datasets.get(table.db, self.location) != self.location or table.db not in self.datasets:
                what = f"Dataset {self.project}:{table.db}"
                raise Refused(404, "notFound", f"Not found: {what} was not found in location {self.location}")
            if (table.db, table.name) not in self.tables:
                what = f"Table {self.project}:{table.db}.{table.name}"
                raise Refused(404, "notFound", f"Not found: {what} was not found in location {self.location}")
            yield table.db, table.name, table

    def _translated(self, statement: exp.Expr, params: Mapping[str, tuple[str, Any]]) -> tuple[str, dict[str, Any]]:
        """The statement as DuckDB reads it, and the values of the parameters that it names."""
        from sqlglot import exp

        tree, used = statement.copy(), {}
        list(self._real_tables(tree))
        for table in list(tree.find_all(exp.Table)):
            if table.name.startswith("INFORMATION_SCHEMA."):
                table.replace(self._metadata(table))
            else:
                table.set("catalog", None)
        for found in list(tree.find_all(exp.Parameter)):
            name = found.name
            if name not in params:
                raise Refused(400, "invalidQuery", f"Query parameter '{name}' not found")
            kind, used[name] = params[name]
            # Bare parameters would have whatever type the engine thinks best.
            found.replace(exp.Cast(this=found.copy(), to=exp.DataType.build(duckdb_type(kind), dialect="duckdb")))
        import sqlglot
        from sqlglot import exp

        return tree.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE), used

    def _execute(self, cursor: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        import duckdb

        try:
            return cursor.execute(sql, dict(values))
        except duckdb.InterruptException as error:
            raise Refused(400, "stopped", "Job execution was cancelled: User requested cancellation") from error
        except duckdb.TransactionException as error:
            message = "Transaction is aborted due to concurrent update against table"
            raise Refused(400, "invalidQuery", message) from error
        except duckdb.Error as error:
            raise Refused(400, "invalidQuery", str(error).split("\n", 1)[0]) from error

    def _metadata(self, table: exp.Table) -> exp.Expr:
        """The rows of a view of INFORMATION_SCHEMA, as a query."""
        import sqlglot
        from sqlglot import exp

        dataset, view = table.db, table.name.partition(".")[2]
        if self.datasets.get(dataset) != self.location:
            what = f"Dataset {self.project}:{dataset}"
            raise Refused(404, "notFound", f"Not found: {what} was not found in location {self.location}")
        held = {name: found for (where, name), found in sorted(self.tables.items()) if where == dataset}
        if view == "COLUMNS":
            columns = ("table_name", "column_name", "data_type", "is_partitioning_column")
            rows = [row for name, found in held.items() for row in _column_rows(name, found)]
        elif view == "PARTITIONS":
            columns = ("table_name", "partition_id", "total_rows", "last_modified_time")
            rows = [row for name, found in held.items() for row in self._partition_rows(dataset, name, found)]
        else:
            raise Refused(400, "notImplemented", f"INFORMATION_SCHEMA.{view} is not served here")
        body = ", ".join("(" + ", ".join(map(_literal, row)) + ")" for row in rows)
        listed = f"VALUES {body}" if rows else f"SELECT {', '.join(['NULL'] * len(columns))} WHERE FALSE"
        query = sqlglot.parse_one(f"SELECT * FROM ({listed}) AS v({', '.join(columns)})", read="duckdb")
        return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(table.alias or "v")))

    def _partition_rows(self, dataset: str, name: str, table: HeldTable) -> list[tuple[Any, ...]]:
        if table.partition is None:
            return [(name, None, self.count(dataset, name), table.modified)]
        name_of = f"strftime(CAST({_quoted(table.partition)} AS TIMESTAMP), '{_PARTITION_NAMES[table.by]}')"
        found = self.cursor().execute(f"SELECT {name_of}, COUNT(*) FROM {_quoted(dataset, name)} GROUP BY 1").fetchall()
        if table.streamed:
            found.append(("__UNPARTITIONED__", table.streamed))
        return [(name, partition or "__NULL__", count, table.modified) for partition, count in found]

    def _scanned(self, statement: exp.Expr, params: Mapping[str, tuple[str, Any]]) -> int:
        """Bytes that a statement reads: of each table the columns it names, in the partitions that its filter leaves."""
        from sqlglot import exp

        total = 0
        if isinstance(statement, exp.Create) and not statement.find(exp.TemporaryProperty):
            return 0  # what it names is not there yet
        for dataset, name, table in self._real_tables(statement):
            if isinstance(table.parent, (exp.Insert, exp.Schema, exp.Create)):
                continue  # written, not read
            held = self.tables[dataset, name]
            scope = table.find_ancestor(exp.Select, exp.Delete, exp.Update)
            assert scope is not None
            alias = table.alias_or_name
            filters = [part for part in _conjuncts(scope.args.get("where")) if _prunes(part, held.partition, alias)]
            if held.require_filter and not filters:
                what = f"over table '{dataset}.{name}' without a filter over column(s) '{held.partition}'"
                raise Refused(400, "invalidQuery", f"Cannot query {what} that can be used for partition elimination")
            where = exp.and_(*filters).copy() if filters else exp.true()
            count = exp.select("COUNT(*)").from_(table.copy()).where(where)
            sql, values = self._translated(count, params)
            rows = self._execute(self.cursor(), sql, values).fetchall()[0][0]
            total += rows * sum(_WIDTHS.get(kind, 8) for kind in _columns_read(scope, alias, held))
        return int(total)


def duckdb_type(kind: str) -> str:
    """The DuckDB type for a GoogleSQL one."""
    if kind.startswith("ARRAY<"):
        return duckdb_type(kind[6:-1]) + "[]"
    return DUCKDB_TYPES.get(kind.partition("(")[0], kind)


def google_type(field: Mapping[str, str]) -> str:
    """A column of an answer's schema as GoogleSQL writes its type."""
    kind = _STANDARD.get(field["type"], field["type"])
    return f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind


@lru_cache(maxsize=256)  # who looks again sends the same text; what comes of it is only read
def _parsed(text: str) -> tuple[exp.Expr, ...]:
    import sqlglot

    try:
        return tuple(statement for statement in sqlglot.parse(text, read="bigquery") if statement is not None)
    except sqlglot.errors.SqlglotError as error:
        raise Refused(400, "invalidQuery", "Syntax error: " + str(error).split("\n", 1)[0]) from error


def _query(statement: exp.Expr) -> exp.Expr | None:
    from sqlglot import exp

    return statement if isinstance(statement, exp.Query) else None


def _held(statement: exp.Create) -> HeldTable:
    """What a CREATE TABLE says of its table."""
    from sqlglot import exp

    columns = {
        column.name: column.args["kind"].sql("bigquery")
        for column in statement.this.expressions
        if isinstance(column, exp.ColumnDef)
    }
    partition = statement.find(exp.PartitionedByProperty)
    named = partition.this.find(exp.Column, exp.Identifier) if partition else None
    options = {each.name.lower(): each.args["value"] for each in statement.find_all(exp.Property) if type(each) is exp.Property}
    days = options.get("partition_expiration_days")
    return HeldTable(
        columns={name: _STANDARD.get(kind, kind) for name, kind in columns.items()},
        partition=named.name if named is not None else None,
        require_filter="require_partition_filter" in options and options["require_partition_filter"].sql().upper() == "TRUE",
        expires_days=float(days.name) if days is not None else None,
    )


def _column_rows(name: str, table: HeldTable) -> list[tuple[Any, ...]]:
    rows = [(name, column, kind, "YES" if column == table.partition else "NO") for column, kind in table.columns.items()]
    return rows + ([(name, "_PARTITIONTIME", "TIMESTAMP", "YES")] if table.partition in _INGESTION else [])


def _conjuncts(where: exp.Expr | None) -> list[exp.Expr]:
    from sqlglot import exp

    return list(where.this.flatten()) if where is not None and isinstance(where.this, exp.And) else [where.this] if where else []


def _prunes(part: exp.Expr, partition: str | None, alias: str) -> bool:
    """Whether a condition compares nothing but the raw partition column with values known beforehand."""
    from sqlglot import exp

    if partition is None or part.find(exp.Query, exp.Subquery) or not isinstance(part, (exp.Between, exp.Binary, exp.In)):
        return False
    pruning = _INGESTION if partition in _INGESTION else (partition,)
    columns = list(part.find_all(exp.Column))
    bare = isinstance(part.this, exp.Column)
    return bare and len(columns) == 1 and all(c.name in pruning and c.table in ("", alias) for c in columns)


def _columns_read(scope: exp.Expr, alias: str, table: HeldTable) -> list[str]:
    """The types of the columns that a query names of one of its tables."""
    from sqlglot import exp

    if any(isinstance(each, exp.Star) or each.is_star for each in scope.args.get("expressions") or ()):
        return list(table.columns.values())
    named = {column.name for column in scope.find_all(exp.Column) if column.table in ("", alias)}
    return [kind for name, kind in table.columns.items() if name in named]


def _schema(description: Sequence[Sequence[Any]]) -> list[dict[str, str]]:
    found = []
    for name, kind, *_ in description:
        text = str(kind)
        mode = "REPEATED" if text.endswith("[]") else "NULLABLE"
        text = text.removesuffix("[]")
        google = "NUMERIC" if text.startswith("DECIMAL") else _GOOGLE.get(text, "STRING")
        found.append({"name": str(name), "type": google, "mode": mode})
    return found


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    with suppress(duckdb.TransactionException):  # none was open
        cursor.execute("ROLLBACK")


def _quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case int():
            return str(value)
        case datetime():
            return f"TIMESTAMPTZ '{value.isoformat()}'"
        case _:
            return "'" + str(value).replace("'", "''") + "'"
