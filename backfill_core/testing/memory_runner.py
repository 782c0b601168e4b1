"""A runner on a warehouse of plain rows: what a function returns replaces its dates' rows at once, verified inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NoReturn

from backfill_core.coverage import NO_FACTS
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.runs import Python
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.ports import BatchResult, Call, RunContext
from backfill_core.testing.memory_warehouse import MemoryWarehouse
from backfill_core.testing.row_facts import Row, day_in, in_slice


class NoCursor:
    """What stands where a cursor would: there is no SQL in memory, and whoever asks for it is told so."""

    def execute(self, *_: object) -> NoReturn:
        """Raises RuntimeError."""
        raise RuntimeError("a runner in memory has no SQL: read the rows of its warehouse")

    sql = executemany = execute

    def __bool__(self) -> bool:
        return False


class MemoryRunner:
    """Runs `Python` specs. A date that would hold fewer distinct keys than before is left as it is, and failed."""

    def __init__(self, warehouse: MemoryWarehouse, files: Mapping[str, Mapping[date, str]] | None = None) -> None:
        """``files`` are the paths a context names, by source and then by day."""
        self.warehouse = warehouse
        self.files = files or {}

    def run(self, call: Call) -> BatchResult:
        table = call.processor.writes
        assert isinstance(call.spec, Python) and isinstance(table, Table)
        try:
            self.warehouse.make_declared(call.tables.values())
            answer = call.spec.function(list(call.batch.dates), self._context(call))
            rows: list[Row] = list(answer or ())
            if answer is None or not (rows or self.warehouse.holds(table.name)):
                facts = self.warehouse.facts(call.question) if self.warehouse.holds(table.name) else NO_FACTS
                return BatchResult(outcomes=_all(call, Outcome(claim=Claim.DONE)), facts={call.processor.name: facts})
            shrunk = {} if call.allow_shrink else _shrunk(table, call.batch.dates, self.warehouse.rows(table.name), rows)
            dates = [day for day in call.batch.dates if day not in shrunk]
            facts = self.warehouse.replace_verified(table, dates, rows, call.question)
        except Exception as error:  # a processor may fail in any way; the run goes on, and says how
            why = str(error).strip().split("\n", 1)[0] or type(error).__name__
            return BatchResult(outcomes=_all(call, _failed(why)))
        outcomes = _all(call, Outcome(claim=Claim.DONE))
        for day, (before, after) in shrunk.items():
            outcomes[Unit(call.processor.name, day)] = _failed(f"shrank, {before} keys -> {after}; nothing was changed")
        return BatchResult(outcomes=outcomes, facts={call.processor.name: facts})

    def _context(self, call: Call) -> RunContext:
        known = {name: self.files.get(name, {}) for name in call.sources}
        return RunContext(
            cursor=NoCursor(),
            tables={name: table.name for name, table in call.tables.items()},
            files={name: {day: paths[day] for day in call.batch.dates if day in paths} for name, paths in known.items()},
        )


def _all(call: Call, outcome: Outcome) -> dict[Unit, Outcome]:
    return {Unit(call.processor.name, day): outcome for day in call.batch.dates}


def _failed(why: str) -> Outcome:
    return Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)


def _shrunk(table: Table, dates: Iterable[date], held: Sequence[Row], given: Sequence[Row]) -> dict[date, tuple[int, int]]:
    """Dates that would hold fewer distinct keys than they do, with (before, after)."""
    if not table.key_on_date:
        return {}
    before, after = _keys(table, [row for row in held if in_slice(table, row)]), _keys(table, given)
    counts = {day: (len(before.get(day, ())), len(after.get(day, ()))) for day in dates}
    return {day: (was, now) for day, (was, now) in counts.items() if now < was}


def _keys(table: Table, rows: Iterable[Row]) -> dict[date, set[tuple[object, ...]]]:
    """The keys that rows hold, by date."""
    found: dict[Any, set[tuple[object, ...]]] = {}
    for row in rows:
        found.setdefault(day_in(table, row) if table.date in row else None, set()).add(
            tuple(row.get(column) for column in table.key_on_date)
        )
    return found
