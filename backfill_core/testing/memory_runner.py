"""A runner on a warehouse of plain rows: what a function returns replaces its dates' rows at once, verified inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NoReturn

from backfill_core.coverage import NO_FACTS, DateFacts
from backfill_core.dates import day_number
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.runs import Python, rows_by_table
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.planning.contents import ContentColumn
from backfill_core.ports import BatchResult, Call, RunContext
from backfill_core.queries.asking import facts_together
from backfill_core.queries.question import TableQuestion
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
        assert isinstance(call.spec, Python)
        name, tables = call.processor.name, call.processor.tables
        try:
            self.warehouse.make_declared(call.tables.values())
            answers = rows_by_table(tables, call.spec.function(list(call.batch.dates), self._context(call)))
            rows = {table: self._filled(call, table, answer) for table, answer in (answers or {}).items()}
            writes = {table: given for table, given in rows.items() if given or self.warehouse.holds(tables[table].name)}
            shrunk = self._all_shrunk(call, writes)
            questions = {name: call.question, **call.also}
            there = [table for table in tables if table in writes or self.warehouse.holds(tables[table].name)]
            held = self.warehouse.replace_verified(
                [(tables[table], given) for table, given in writes.items()],
                [day for day in call.batch.dates if day not in shrunk],
                [questions[table] for table in there],
            )
        except Exception as error:  # a processor may fail in any way; the run goes on, and says how
            why = str(error).strip().split("\n", 1)[0] or type(error).__name__
            return BatchResult(outcomes=_all(call, _failed(why)))
        facts = facts_together(dict.fromkeys(tables, NO_FACTS) | dict(zip(there, held, strict=True)), name)
        outcomes = _all(call, Outcome(claim=Claim.DONE))
        for day, words in shrunk.items():
            outcomes[Unit(name, day)] = _failed(f"shrank, {words}; nothing was changed")
        return BatchResult(outcomes=outcomes, facts={name: facts})

    def _all_shrunk(self, call: Call, writes: Mapping[str, Sequence[Row]]) -> dict[date, str]:
        """Dates on which one of the tables would shrink, with the words for it."""
        shrunk: dict[date, str] = {}
        for name, rows in writes.items():
            table, where = call.processor.tables[name], f" in {name}" if name != call.processor.name else ""
            found = _shrunk(table, call.batch.dates, self.warehouse.rows(table.name), rows)
            for day, (before, after) in found.items():
                shrunk.setdefault(day, f"{before} keys -> {after}{where}")
        return shrunk

    def _filled(self, call: Call, name: str, answer: Iterable[Row]) -> list[Row]:
        """The rows; those of the first table say what they were computed from, where they do not say it themselves."""
        rows, table = [dict(row) for row in answer], call.processor.tables[name]
        for content in call.contents if name == call.processor.name else ():
            texts = content.texts({name: self._held(call.tables[name], content) for name in content.upstreams})
            for row in rows:
                if row.get(content.column) is None and (day := day_in(table, row)) is not None:
                    row[content.column] = texts.get(day_number(day))
        return list(rows)

    def _held(self, table: Table, content: ContentColumn) -> DateFacts:
        if content.span is None or not self.warehouse.holds(table.name):
            return NO_FACTS
        return self.warehouse.facts(TableQuestion(processor="", table=table, span=content.span))

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
