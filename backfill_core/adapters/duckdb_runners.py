"""Runners on an embedded warehouse: what a spec computes replaces its dates' rows in one transaction, verified inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.frames import is_frame
from backfill_core.coverage import DateFacts
from backfill_core.dates import DateSet, day_number, day_of
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.runs import Python, Sql
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.ports import BatchResult, Call, RunContext
from backfill_core.queries.dialect import DUCKDB
from backfill_core.queries.files import files_days
from backfill_core.queries.slices import Slice

if TYPE_CHECKING:
    import duckdb

    from backfill_core.adapters.worker_processes import WorkerProcesses

#: Name of the relation a call's rows are put into before they are written; temporary, so each cursor has its own.
_RESULT = "backfill_result"
#: Name under which a frame is read.
_FRAME = "backfill_frame"


class _Result(Enum):
    """What came of computing."""

    #: Rows, in the relation of that name.
    TABLE = "table"
    #: No row: what the dates hold is taken away.
    EMPTY = "empty"
    #: The function wrote by itself.
    WRITTEN = "written"


_Compute = Callable[["duckdb.DuckDBPyConnection", Call], _Result]


class SqlRunner:
    """Runs `Sql` specs."""

    def __init__(self, warehouse: DuckDBWarehouse, files: Mapping[str, Path]) -> None:
        self.warehouse = warehouse
        #: The SQL file of each processor.
        self.files = files
        self._texts: dict[str, str] = {}

    def run(self, call: Call) -> BatchResult:
        assert isinstance(call.spec, Sql)
        return _replace(self.warehouse, call, self._compute)

    def _compute(self, cursor: duckdb.DuckDBPyConnection, call: Call) -> _Result:
        name, span = call.processor.name, call.batch.dates.span
        if name not in self._texts:
            text = self.files[name].read_text(encoding="utf-8")
            self._texts[name] = self.warehouse.translate(text, call.tables)
        params = {"date_from": span.first, "date_to": span.last}
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_RESULT} AS {self._texts[name]}", params)
        return _Result.TABLE


class PythonRunner:
    """Runs `Python` specs."""

    def __init__(self, warehouse: DuckDBWarehouse, landing: Path, workers: WorkerProcesses | None = None) -> None:
        """``workers`` carry out the functions with ``process=True``."""
        self.warehouse = warehouse
        self.landing = landing
        self.workers = workers

    def run(self, call: Call) -> BatchResult:
        assert isinstance(call.spec, Python)
        return self._elsewhere(call, call.spec) if call.spec.process else _replace(self.warehouse, call, self._compute)

    def close(self) -> None:
        """Ends the processes that functions work in."""
        if self.workers:
            self.workers.close()

    def _compute(self, cursor: duckdb.DuckDBPyConnection, call: Call) -> _Result:
        assert isinstance(call.spec, Python)
        context = RunContext(cursor=cursor, tables=self._tables(call), files=self._files(call))
        return _put(cursor, call.spec.function(list(call.batch.dates), context))

    def _elsewhere(self, call: Call, spec: Python) -> BatchResult:
        """Lets another process compute; the transaction begins when it is done."""
        from backfill_core.adapters.worker_processes import TimeUpError, WorkerEndedError

        assert self.workers, "whoever makes a runner for such functions gives it workers"
        try:
            dates = list(call.batch.dates)
            answer = self.workers.call(spec.function, dates, self._tables(call), self._files(call), spec.time_limit)
        except (TimeUpError, WorkerEndedError) as error:
            return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.TRANSIENT, why=str(error))))
        except Exception as error:  # a processor may fail in any way; the run goes on, and says how
            return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=_why(error))))
        if answer is None:
            why = "it returned nothing, and in a process of its own it cannot have written. Return rows, [] for none"
            return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)))
        return _replace(self.warehouse, call, lambda cursor, _call: _put(cursor, answer))

    def _tables(self, call: Call) -> dict[str, str]:
        return {name: DUCKDB.name(*self.warehouse.names.parts(table)) for name, table in call.tables.items()}

    def _files(self, call: Call) -> dict[str, dict[date, str]]:
        return {name: self._paths(call, name) for name in call.sources}

    def _paths(self, call: Call, name: str) -> dict[date, str]:
        paths = files_days(call.sources[name], call.seasons, call.batch.dates)
        there = {number: self.landing / path for number, path in paths.items() if (self.landing / path).exists()}
        return {day_of(number): str(path) for number, path in there.items()}


class ParquetLoader:
    """Takes in the files of programs, which cannot open the warehouse while it is ours."""

    def __init__(self, warehouse: DuckDBWarehouse) -> None:
        self.warehouse = warehouse

    def load(self, call: Call, files: list[Path]) -> BatchResult:
        """Puts the rows of Parquet files in the place of a call's dates' rows, verified inside."""

        def compute(cursor: duckdb.DuckDBPyConnection, _call: Call) -> _Result:
            rows = "SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)"
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_RESULT} AS {rows}", {"files": [str(file) for file in files]})
            return _Result.TABLE

        return _replace(self.warehouse, call, compute)


def _put(cursor: duckdb.DuckDBPyConnection, answer: Any) -> _Result:
    """Puts what a function returned (rows, a relation, a frame) into the result table."""
    import duckdb

    if answer is None:
        return _Result.WRITTEN
    if isinstance(answer, duckdb.DuckDBPyRelation):
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_RESULT} AS {answer.sql_query()}")
        return _Result.TABLE
    if is_frame(answer):
        cursor.register(_FRAME, answer)
        try:
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_RESULT} AS SELECT * FROM {_FRAME}")
        finally:
            cursor.unregister(_FRAME)
        return _Result.TABLE
    rows = list(answer)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not rows:
        return _Result.EMPTY
    arrays = {f"c{place}": [row.get(column) for row in rows] for place, column in enumerate(columns)}
    picked = ", ".join(f"UNNEST(${key}) AS {DUCKDB.name(column)}" for key, column in zip(arrays, columns, strict=True))
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_RESULT} AS SELECT {picked}", arrays)
    return _Result.TABLE


def _replace(warehouse: DuckDBWarehouse, call: Call, compute: _Compute) -> BatchResult:
    """Computes a call's rows, and puts them in the place of its dates' rows as one transaction.

    A date that would hold fewer distinct keys than before is left as it is, and failed.
    """
    import duckdb
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    cursor = warehouse.cursor()
    try:
        warehouse.make_declared(call.tables.values(), cursor)
        # Two transactions may touch one table's metadata at the same moment; the loser only has to try again.
        for attempt in Retrying(
            retry=retry_if_exception_type(duckdb.TransactionException),
            stop=stop_after_attempt(8),
            wait=wait_random_exponential(multiplier=0.02, max=0.5),
            reraise=True,
        ):
            with attempt, warehouse.turn_to_write(_written(call)) as known:
                facts, shrunk = _in_transaction(warehouse, cursor, call, compute, known)
    except Exception as error:  # a processor may fail in any way; the run goes on, and says how
        return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=_why(error))))
    finally:
        cursor.close()
    outcomes = _all(call, Outcome(claim=Claim.DONE))
    for day, (before, after) in shrunk.items():
        why = f"shrank, {before} keys -> {after}; nothing was changed"
        outcomes[Unit(call.processor.name, day)] = Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)
    return BatchResult(outcomes=outcomes, facts={call.processor.name: facts})


def _in_transaction(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, call: Call, compute: _Compute, known: frozenset[str]
) -> tuple[DateFacts, dict[date, tuple[int, int]]]:
    """(what the table holds afterwards, dates that were left alone because they would have shrunk)."""
    import duckdb

    table = _written(call)
    cursor.execute("BEGIN TRANSACTION")
    try:
        result = compute(cursor, call)
        shrunk: dict[date, tuple[int, int]] = {}
        if result is not _Result.WRITTEN:
            empty = result is _Result.EMPTY
            if not empty:
                if not table.ddl:
                    warehouse.make_like(table, _RESULT, cursor)
                _check_slice(cursor, table)
            if warehouse.holds(table, cursor, known):
                if not call.allow_shrink:
                    shrunk = _shrunk(warehouse, cursor, table, call.batch.dates, empty=empty)
                _write(warehouse, cursor, table, [day for day in call.batch.dates if day not in shrunk], empty=empty)
        facts = warehouse.facts(call.question.without(warehouse.missing(call.question, cursor, known)), cursor)
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # the first error is the one to tell; a failed commit has rolled back by itself
            cursor.execute("ROLLBACK")
        raise
    if result is _Result.TABLE:
        warehouse.stands(table)
    return facts, shrunk


def _written(call: Call) -> Table:
    table = call.processor.writes
    assert isinstance(table, Table), "a processor that computes writes a table"
    return table


def _check_slice(cursor: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Raises ValueError for rows that belong to another processor's slice of a shared table."""
    columns = _result_columns(cursor) if table.only else ()
    for column, value in table.only.items():
        if column not in columns:
            raise ValueError(f'its rows have no column "{column}", which only={{…}} of its table names')
        other = cursor.execute(
            f"SELECT {DUCKDB.name(column)} FROM {_RESULT} WHERE {DUCKDB.name(column)} IS DISTINCT FROM $value LIMIT 1",
            {"value": value},
        ).fetchone()
        if other is not None:
            raise ValueError(f'a row has {column} = "{other[0]}", outside the slice "{value}" that it writes')


def _why(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def _all(call: Call, outcome: Outcome) -> dict[Unit, Outcome]:
    return {Unit(call.processor.name, day): outcome for day in call.batch.dates}


def _result_columns(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    rows = cursor.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'temp' AND table_name = $name",
        {"name": _RESULT},
    ).fetchall()
    return [name for (name,) in rows]


def _shrunk(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, table: Table, dates: DateSet, *, empty: bool
) -> dict[date, tuple[int, int]]:
    """Dates that would hold fewer distinct keys than they do, with (before, after)."""
    if not table.key_on_date:
        return {}
    held = Slice(table, "t", dates.span, DUCKDB, warehouse.names)
    given = Slice(replace(table, only={}), "t", dates.span, DUCKDB, warehouse.names)
    before = _distinct(cursor, held.relation, held, dates)
    after = _distinct(cursor, f"{_RESULT} AS t", given, dates) if before and not empty else {}
    return {
        day_of(number): (count, after.get(number, 0)) for number, count in sorted(before.items()) if after.get(number, 0) < count
    }


def _distinct(cursor: duckdb.DuckDBPyConnection, relation: str, rows: Slice, dates: DateSet) -> dict[int, int]:
    key = ", ".join(map(rows.column, rows.table.key_on_date))
    found = cursor.execute(
        f"SELECT d, COUNT(*) FROM (SELECT DISTINCT {rows.day} AS d, {key} FROM {relation} WHERE {rows.where}) GROUP BY d",
        rows.params,
    ).fetchall()
    wanted = set(dates.numbers())
    return {day_number(d): count for d, count in found if day_number(d) in wanted}


def _write(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, table: Table, dates: list[date], *, empty: bool
) -> None:
    if not dates:
        return
    span, chosen = DateSet.of(*dates).span, {"dates": dates}
    held = Slice(table, "t", span, DUCKDB, warehouse.names)
    given = Slice(replace(table, only={}), "t", span, DUCKDB, warehouse.names)
    mine = "IN (SELECT UNNEST($dates))"
    cursor.execute(f"DELETE FROM {held.rows(f'{held.day} {mine}')}", chosen | held.params)
    if not empty:
        kept = f"SELECT t.* FROM {_RESULT} AS t WHERE {given.where} AND {given.day} {mine}"
        cursor.execute(f"INSERT INTO {DUCKDB.name(*warehouse.names.parts(table))} BY NAME {kept}", chosen | given.params)
