"""Runners on an embedded warehouse: what a spec computes replaces its dates' rows in one transaction, verified inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.coverage import NO_FACTS
from backfill_core.dates import DateSet, day_number, day_of
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.runs import Python, Sql
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.ports import BatchResult, Call, RunContext
from backfill_core.queries.question import files_days
from backfill_core.queries.sql import DUCKDB

if TYPE_CHECKING:
    import duckdb

#: Name of the relation a call's rows are put into before they are written; temporary, so each cursor has its own.
_RESULT = "backfill_result"


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

    def _compute(self, cursor: duckdb.DuckDBPyConnection, call: Call) -> None:
        name, span = call.processor.name, call.batch.dates.span
        if name not in self._texts:
            text = self.files[name].read_text(encoding="utf-8")
            self._texts[name] = self.warehouse.translate(text, call.tables)
        params = {"date_from": span.first, "date_to": span.last}
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_RESULT} AS {self._texts[name]}", params)


class PythonRunner:
    """Runs `Python` specs."""

    def __init__(self, warehouse: DuckDBWarehouse, landing: Path) -> None:
        self.warehouse = warehouse
        self.landing = landing

    def run(self, call: Call) -> BatchResult:
        assert isinstance(call.spec, Python)
        return _replace(self.warehouse, call, self._compute)

    def _compute(self, cursor: duckdb.DuckDBPyConnection, call: Call) -> None:
        assert isinstance(call.spec, Python)
        context = RunContext(
            cursor=cursor,
            tables={name: DUCKDB.name(*self.warehouse.names.parts(table)) for name, table in call.tables.items()},
            files={name: self._paths(call, name) for name in call.sources},
        )
        _put(cursor, call.spec.function(list(call.batch.dates), context))

    def _paths(self, call: Call, name: str) -> dict[date, str]:
        paths = files_days(call.sources[name], call.seasons, call.batch.dates)
        there = {number: self.landing / path for number, path in paths.items() if (self.landing / path).exists()}
        return {day_of(number): str(path) for number, path in there.items()}


def _put(cursor: duckdb.DuckDBPyConnection, answer: Any) -> None:
    """Puts what a function returned, rows or a relation, into the result table."""
    import duckdb

    cursor.execute(f"DROP TABLE IF EXISTS {_RESULT}")
    if isinstance(answer, duckdb.DuckDBPyRelation):
        cursor.execute(f"CREATE TEMP TABLE {_RESULT} AS {answer.sql_query()}")
        return
    rows = list(answer or ())
    if not rows:
        return
    columns = list(rows[0])
    arrays = {f"c{place}": [row.get(column) for row in rows] for place, column in enumerate(columns)}
    picked = ", ".join(f"UNNEST(${key}) AS {DUCKDB.name(column)}" for key, column in zip(arrays, columns, strict=True))
    cursor.execute(f"CREATE TEMP TABLE {_RESULT} AS SELECT {picked}", arrays)


def _replace(warehouse: DuckDBWarehouse, call: Call, compute: Any) -> BatchResult:
    """Computes a call's rows, and puts them in the place of its dates' rows as one transaction.

    A date that would hold fewer distinct keys than before is left as it is, and failed.
    """
    import duckdb
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    table = call.processor.writes
    assert isinstance(table, Table)
    cursor = warehouse.cursor()
    try:
        warehouse.make_declared(call.tables.values(), cursor)
        compute(cursor, call)
        if not _has_result(cursor):
            return BatchResult(
                outcomes=_all(call, Outcome(claim=Claim.DONE)),
                facts={call.processor.name: _now(warehouse, call, cursor, table)},
            )
        if not table.ddl:
            warehouse.make_like(table, _RESULT, cursor)
        shrunk = _shrunk(warehouse, cursor, table, call.batch.dates)
        dates = [day for day in call.batch.dates if day not in shrunk]
        # Two transactions may touch one table's metadata at the same moment; the loser only has to try again.
        for attempt in Retrying(
            retry=retry_if_exception_type(duckdb.TransactionException),
            stop=stop_after_attempt(8),
            wait=wait_random_exponential(multiplier=0.02, max=0.5),
            reraise=True,
        ):
            with attempt:
                facts = _write(warehouse, cursor, table, call, dates)
    except Exception as error:  # a processor may fail in any way; the run goes on, and says how
        why = str(error).strip().split("\n", 1)[0] or type(error).__name__
        return BatchResult(outcomes=_all(call, Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)))
    finally:
        cursor.close()
    outcomes = _all(call, Outcome(claim=Claim.DONE))
    for day, (before, after) in shrunk.items():
        why = f"shrank, {before} keys -> {after}; nothing was changed"
        outcomes[Unit(call.processor.name, day)] = Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)
    return BatchResult(outcomes=outcomes, facts={call.processor.name: facts})


def _all(call: Call, outcome: Outcome) -> dict[Unit, Outcome]:
    return {Unit(call.processor.name, day): outcome for day in call.batch.dates}


def _has_result(cursor: duckdb.DuckDBPyConnection) -> bool:
    found = cursor.execute("SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = $name", {"name": _RESULT})
    return found.fetchone() is not None


def _now(warehouse: DuckDBWarehouse, call: Call, cursor: duckdb.DuckDBPyConnection, table: Table) -> Any:
    there = table.name in warehouse.schema_seen([table.dataset], cursor)
    return warehouse.facts(call.question, cursor) if there else NO_FACTS


def _shrunk(
    warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, table: Table, dates: DateSet
) -> dict[date, tuple[int, int]]:
    """Dates that would hold fewer distinct keys than they do, with (before, after)."""
    if not table.key_on_date:
        return {}
    before = _distinct(cursor, DUCKDB.name(*warehouse.names.parts(table)), table, dates, _only(table))
    after = _distinct(cursor, _RESULT, table, dates, "TRUE")
    return {
        day_of(number): (count, after.get(number, 0)) for number, count in sorted(before.items()) if after.get(number, 0) < count
    }


def _distinct(cursor: duckdb.DuckDBPyConnection, relation: str, table: Table, dates: DateSet, only: str) -> dict[int, int]:
    day = DUCKDB.name(table.date)
    key = ", ".join(DUCKDB.name(column) for column in table.key_on_date)
    params: dict[str, Any] = {"first": dates.first, "last": dates.last} | (_only_params(table) if only != "TRUE" else {})
    rows = cursor.execute(
        f"SELECT d, COUNT(*) FROM (SELECT DISTINCT {day} AS d, {key} FROM {relation} "
        f"WHERE {day} BETWEEN $first AND $last AND {only}) GROUP BY d",
        params,
    ).fetchall()
    wanted = set(dates.numbers())
    return {day_number(d): count for d, count in rows if day_number(d) in wanted}


def _write(warehouse: DuckDBWarehouse, cursor: duckdb.DuckDBPyConnection, table: Table, call: Call, dates: Iterable[date]) -> Any:
    name, day = DUCKDB.name(*warehouse.names.parts(table)), DUCKDB.name(table.date)
    chosen = {"dates": list(dates)}
    cursor.execute("BEGIN TRANSACTION")
    try:
        if chosen["dates"]:
            mine = f"{day} IN (SELECT UNNEST($dates))"
            cursor.execute(f"DELETE FROM {name} WHERE {mine} AND {_only(table)}", chosen | _only_params(table))
            cursor.execute(f"INSERT INTO {name} BY NAME SELECT * FROM {_RESULT} WHERE {mine}", chosen)
        facts = warehouse.facts(call.question, cursor)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return facts


def _only(table: Table) -> str:
    return " AND ".join(f"{DUCKDB.name(column)} = $only_{place}" for place, column in enumerate(table.only)) or "TRUE"


def _only_params(table: Table) -> dict[str, Any]:
    return {f"only_{place}": value for place, value in enumerate(table.only.values())}
