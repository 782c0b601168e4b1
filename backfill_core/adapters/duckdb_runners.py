"""Runners on an embedded warehouse: what a spec computes replaces its dates' rows in one transaction, verified inside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill_core.adapters.author_code import failure_words
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.frames import is_frame
from backfill_core.coverage import DateFacts
from backfill_core.dates import DateSet, day_number, day_of
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.runs import Python, Sql, rows_by_table
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.planning.contents import ContentColumn
from backfill_core.ports import BatchResult, Call, RunContext
from backfill_core.queries.asking import facts_together
from backfill_core.queries.dialect import DUCKDB
from backfill_core.queries.files import files_days
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.slices import Slice

if TYPE_CHECKING:
    import duckdb

    from backfill_core.adapters.worker_processes import WorkerProcesses

#: Names of the relations a call's rows are put into before they are written; temporary, so each cursor has its own.
_RESULT = "backfill_result_{}"
#: Name under which a frame is read.
_FRAME = "backfill_frame"

#: By the table's name, the relation that holds its rows; an empty name for no row: what the dates hold is taken away. None: the
#: function wrote by itself.
_Results = Mapping[str, str] | None
_Compute = Callable[["duckdb.DuckDBPyConnection", Call], _Results]


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

    def _compute(self, cursor: duckdb.DuckDBPyConnection, call: Call) -> _Results:
        name, span = call.processor.name, call.batch.dates.span
        if name not in self._texts:
            text = self.files[name].read_text(encoding="utf-8")
            self._texts[name] = self.warehouse.translate(text, call.tables)
        params = {"date_from": span.first, "date_to": span.last}
        relation = _RESULT.format(0)
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {relation} AS {self._texts[name]}", params)
        return {name: relation}


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

    def _compute(self, cursor: duckdb.DuckDBPyConnection, call: Call) -> _Results:
        assert isinstance(call.spec, Python)
        context = RunContext(cursor=cursor, tables=self._tables(call), files=self._files(call))
        return _all_put(cursor, call, call.spec.function(list(call.batch.dates), context))

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
            return BatchResult(
                outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=failure_words(error)))
            )
        if answer is None:
            why = "it returned nothing, and in a process of its own it cannot have written. Return rows, [] for none"
            return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)))
        return _replace(self.warehouse, call, lambda cursor, called: _all_put(cursor, called, answer))

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

        def compute(cursor: duckdb.DuckDBPyConnection, _call: Call) -> _Results:
            relation = _RESULT.format(0)
            rows = "SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)"
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE {relation} AS {rows}", {"files": [str(file) for file in files]})
            return {call.processor.name: relation}

        return _replace(self.warehouse, call, compute)


def _all_put(cursor: duckdb.DuckDBPyConnection, call: Call, answer: Any) -> _Results:
    """Puts what a function returned into a table for each of those that it fills; None where it wrote by itself."""
    answers = rows_by_table(call.processor.tables, answer)
    if answers is None:
        return None
    tables = call.processor.tables
    return {name: _put(cursor, rows, _RESULT.format(place), tables[name]) for place, (name, rows) in enumerate(answers.items())}


def _put(cursor: duckdb.DuckDBPyConnection, answer: Any, relation: str, table: Table) -> str:
    """Puts rows, a relation or a frame into a table of that name, and returns it; nothing where there are no rows."""
    import duckdb

    if isinstance(answer, duckdb.DuckDBPyRelation):
        _check_date(answer.columns, table)
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {relation} AS {answer.sql_query()}")
        return relation
    if is_frame(answer):
        cursor.register(_FRAME, answer)
        try:
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT * FROM {_FRAME}")
        finally:
            cursor.unregister(_FRAME)
        return relation
    rows = list(answer)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not rows:
        return ""
    _check_date(columns, table)
    arrays = {f"c{place}": [row.get(column) for row in rows] for place, column in enumerate(columns)}
    picked = ", ".join(f"UNNEST(${key}) AS {DUCKDB.name(column)}" for key, column in zip(arrays, columns, strict=True))
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT {picked}", arrays)
    return relation


def _check_date(columns: Collection[str], table: Table) -> None:
    """Raises ValueError where rows say of no date. Names are the same in any case, as the engine has it."""
    if table.date.lower() not in {column.lower() for column in columns}:
        raise ValueError(f'its rows have no column "{table.date}", the date of {table.name}. They have: {", ".join(columns)}')


def _replace(warehouse: DuckDBWarehouse, call: Call, compute: _Compute) -> BatchResult:
    """Computes a call's rows, and puts them in the place of its dates' rows as one transaction.

    A date on which a table would hold fewer distinct keys than before is left as it is, in all tables, and failed.
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
            with attempt, ExitStack() as turns:
                known: frozenset[str] = frozenset()
                for table in sorted(call.processor.tables.values(), key=lambda table: table.name):
                    known = turns.enter_context(warehouse.turn_to_write(table))
                facts, shrunk = _in_transaction(warehouse, cursor, call, compute, known)
    except Exception as error:  # a processor may fail in any way; the run goes on, and says how
        return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=failure_words(error))))
    finally:
        cursor.close()
    outcomes = _all(call, Outcome(claim=Claim.DONE))
    for day, words in shrunk.items():
        why = f"shrank, {words}; nothing was changed"
        outcomes[Unit(call.processor.name, day)] = Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)
    return BatchResult(outcomes=outcomes, facts={call.processor.name: facts})


def _in_transaction(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, call: Call, compute: _Compute, known: frozenset[str]
) -> tuple[DateFacts, dict[date, str]]:
    """(what the tables hold afterwards, dates that were left alone because they would have shrunk, each with the words)."""
    import duckdb

    cursor.execute("BEGIN TRANSACTION")
    try:
        results = compute(cursor, call)
        shrunk = _put_in_place(warehouse, cursor, call, results, known) if results is not None else {}
        questions = {call.processor.name: call.question, **call.also}
        held = {name: _held(warehouse, cursor, question, known) for name, question in questions.items()}
        facts = facts_together(held, call.processor.name)
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # the first error is the one to tell; a failed commit has rolled back by itself
            cursor.execute("ROLLBACK")
        raise
    for name, relation in (results or {}).items():
        if relation:
            warehouse.stands(call.processor.tables[name])
    return facts, shrunk


def _put_in_place(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, call: Call, results: Mapping[str, str], known: frozenset[str]
) -> dict[date, str]:
    """Replaces the rows of the call's dates in every table, but for dates on which one of them would shrink; returns those."""
    tables, dates = call.processor.tables, call.batch.dates
    for name, relation in results.items():
        if relation:
            for content in call.contents if name == call.processor.name else ():
                _fill(warehouse, cursor, call, content, relation, known)
            if not tables[name].ddl:
                warehouse.make_like(tables[name], relation, cursor)
            _check_slice(cursor, tables[name], relation)
    there = {name: tables[name] for name in results if warehouse.holds(tables[name], cursor, known)}
    shrunk: dict[date, str] = {}
    for name, table in there.items():
        where = f" in {name}" if name != call.processor.name else ""
        found = {} if call.allow_shrink else _shrunk(warehouse, cursor, table, dates, results[name])
        for day, (before, after) in found.items():
            shrunk.setdefault(day, f"{before} keys -> {after}{where}")
    for name, table in there.items():
        _write(warehouse, cursor, table, [day for day in dates if day not in shrunk], results[name])
    return shrunk


def _held(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, question: TableQuestion, known: frozenset[str]
) -> DateFacts:
    return warehouse.facts(question.without(warehouse.missing(question, cursor, known)), cursor)


def _fill(
    warehouse: DuckDBWarehouse,
    cursor: duckdb.DuckDBPyConnection,
    call: Call,
    content: ContentColumn,
    relation: str,
    known: frozenset[str],
) -> None:
    """Says in the computed rows what they were computed from, where they do not say it themselves."""
    asked = [
        TableQuestion(processor=name, table=call.tables[name], span=span) for name in content.upstreams if (span := content.span)
    ]
    texts = content.texts({question.processor: _held(warehouse, cursor, question, known) for question in asked})
    column = DUCKDB.name(content.column)
    change = "ALTER COLUMN {} TYPE VARCHAR" if content.column in _columns(cursor, relation) else "ADD COLUMN {} VARCHAR"
    cursor.execute(f"ALTER TABLE {relation} {change.format(column)}")
    if not texts:
        return
    table = call.processor.tables[call.processor.name]
    rows = Slice(replace(table, only={}), "t", call.batch.dates.span, DUCKDB, warehouse.names)
    cursor.execute(
        f"UPDATE {relation} AS t SET {column} = v.text FROM (SELECT UNNEST($days) AS day, UNNEST($texts) AS text) AS v "
        f"WHERE {rows.where} AND {rows.day} = v.day AND t.{column} IS NULL",
        rows.params | {"days": [day_of(day) for day in texts], "texts": list(texts.values())},
    )


def _check_slice(cursor: duckdb.DuckDBPyConnection, table: Table, relation: str) -> None:
    """Raises ValueError for rows that belong to another processor's slice of a shared table."""
    columns = _columns(cursor, relation) if table.only else ()
    for column, value in table.only.items():
        if column not in columns:
            raise ValueError(f'its rows have no column "{column}", which only={{…}} of its table names')
        other = cursor.execute(
            f"SELECT {DUCKDB.name(column)} FROM {relation} WHERE {DUCKDB.name(column)} IS DISTINCT FROM $value LIMIT 1",
            {"value": value},
        ).fetchone()
        if other is not None:
            raise ValueError(f'a row has {column} = "{other[0]}", outside the slice "{value}" that it writes')


def _all(call: Call, outcome: Outcome) -> dict[Unit, Outcome]:
    return {Unit(call.processor.name, day): outcome for day in call.batch.dates}


def _columns(cursor: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    rows = cursor.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'temp' AND table_name = $name",
        {"name": relation},
    ).fetchall()
    return [name for (name,) in rows]


def _shrunk(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, table: Table, dates: DateSet, relation: str
) -> dict[date, tuple[int, int]]:
    """Dates that would hold fewer distinct keys than they do, with (before, after)."""
    if not table.key_on_date:
        return {}
    held = Slice(table, "t", dates.span, DUCKDB, warehouse.names)
    given = Slice(replace(table, only={}), "t", dates.span, DUCKDB, warehouse.names)
    before = _distinct(cursor, held.relation, held, dates)
    after = _distinct(cursor, f"{relation} AS t", given, dates) if before and relation else {}
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


def _write(warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, table: Table, dates: list[date], relation: str) -> None:
    if not dates:
        return
    span, chosen = DateSet.of(*dates).span, {"dates": dates}
    held = Slice(table, "t", span, DUCKDB, warehouse.names)
    given = Slice(replace(table, only={}), "t", span, DUCKDB, warehouse.names)
    mine = "IN (SELECT UNNEST($dates))"
    cursor.execute(f"DELETE FROM {held.rows(f'{held.day} {mine}')}", chosen | held.params)
    if relation:
        kept = f"SELECT t.* FROM {relation} AS t WHERE {given.where} AND {given.day} {mine}"
        cursor.execute(f"INSERT INTO {DUCKDB.name(*warehouse.names.parts(table))} BY NAME {kept}", chosen | given.params)
