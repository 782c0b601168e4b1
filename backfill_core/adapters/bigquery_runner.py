"""The runner of `Sql` specs on BigQuery: what a file computes replaces its dates' rows, as one job.

Two transactions that write one table abort each other, so calls of one table go one after the other; BigQuery spreads each
over as many machines as it likes. What a job left behind by an earlier run is doing is waited for, not done again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

from backfill_core.adapters.bigquery_errors import failure_of, retry_after, words_of
from backfill_core.adapters.bigquery_jobs import JobLostError
from backfill_core.adapters.bigquery_warehouse import INGESTION, Asked, BigQueryWarehouse
from backfill_core.coverage import DateFacts
from backfill_core.dates import day_of
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.ports import BatchResult, Call
from backfill_core.queries.dialect import BIGQUERY, Query
from backfill_core.queries.named import named
from backfill_core.queries.packed import unpacked
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.replacing import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Came:
    """What a call's job told."""

    #: Dates that were left alone because they would have shrunk, with the keys held and given.
    shrunk: tuple[tuple[Any, ...], ...]
    #: What the table held before the transaction was committed; None: it was not asked inside.
    facts: DateFacts | None


class BigQuerySqlRunner:
    """Runs `Sql` specs. May be used from several threads."""

    def __init__(self, warehouse: BigQueryWarehouse, files: Mapping[str, Path], *, within: float = 3600.0) -> None:
        self.warehouse = warehouse
        #: The SQL file of each processor.
        self.files = files
        #: Seconds a call may take.
        self.within = within
        self._looking = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        #: The columns that each processor's file returns.
        self._columns: dict[str, tuple[str, ...]] = {}
        #: Jobs of earlier runs that were under way when this one first wrote, with their labels; None: not looked yet.
        self._left: dict[str, Mapping[str, str]] | None = None

    def run(self, call: Call) -> BatchResult:
        name = call.processor.name
        table = call.processor.writes
        assert isinstance(table, Table), "a processor that computes writes a table"
        try:
            if table.date in INGESTION:
                raise ValueError(f"{table.name} is partitioned by when rows come: no statement can put a date's rows there")
            with self._turns[table.name]:
                came = self._replace(call, table)
        except Exception as error:  # a processor may fail in any way; the run goes on, and says how
            return BatchResult(outcomes=dict.fromkeys(_units(call), _failed(error, self.within)))
        outcomes = dict.fromkeys(_units(call), Outcome(claim=Claim.DONE))
        for day, held, given in came.shrunk:
            why = f"shrank, {held} keys -> {given}; nothing was changed"
            outcomes[Unit(name, day)] = Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)
        return BatchResult(outcomes=outcomes, facts={} if came.facts is None else {name: came.facts})

    def _replace(self, call: Call, table: Table) -> _Came:
        """Does a call's work, or waits for a job that does."""
        jobs, name = self.warehouse.jobs, call.processor.name
        asked = self._asked_inside(call)
        script = self._script(call, table, [each.query for each in asked or ()])
        written = self.warehouse.table_label(table)
        labels = jobs.labels.of(call.processor.layer, backfill_table=written, backfill_work=_work(script))
        done = self._left_behind(labels)
        if done is not None:
            return self._came(asked, done)
        job = f"backfill-{jobs.labels.run}-{call.batch.number}-{uuid4().hex[:12]}"
        if self.warehouse.statements is not None:
            self.warehouse.statements.append((name, script))
        rows = jobs.write(script, job=job, labels=labels, within=self.within)
        return self._came(asked, rows)

    def _left_behind(self, labels: Mapping[str, str]) -> list[tuple[Any, ...]] | None:
        """Waits for jobs that a dead run left at work on the same table; the answer of one that does the same work, if any."""
        left = self._leftovers()
        for job, theirs in sorted(left.items()):
            if theirs.get("backfill_table") != labels["backfill_table"]:
                continue
            rows = None
            try:
                rows = self.warehouse.jobs.wait(job, within=self.within)
            except Exception as error:
                if not self.warehouse.jobs.failed(job, error):
                    raise  # it may still be at work, or have done it
            left.pop(job, None)
            if rows is not None and theirs.get("backfill_work") == labels["backfill_work"]:
                return rows
        return None

    def _asked_inside(self, call: Call) -> list[Asked] | None:
        """What the transaction is asked of the tables before it ends; None where that has to be asked afterwards.

        It is where a table is not partitioned by its dates: a question that is too dear would spoil the work.
        """
        tables = call.question.tables()
        schema = self.warehouse.schema([table.dataset for table in tables])
        question = call.question.without(frozenset(table.name for table in tables if table.name not in schema))
        if call.also or not all(self.warehouse.prunes(table) for table in question.tables()):
            return None
        return self.warehouse.statements_of(question)

    def _came(self, asked: list[Asked] | None, rows: Iterable[Sequence[Any]]) -> _Came:
        parts = unpacked(rows)
        shrunk = tuple(sorted(parts.get(0, ())))
        if not asked:
            return _Came(shrunk=shrunk, facts=None)
        answers = [(each, parts.get(place, [])) for place, each in enumerate(asked, start=1)]
        return _Came(shrunk=shrunk, facts=self.warehouse.facts_from(asked[0].question, answers))

    def _script(self, call: Call, table: Table, facts: Sequence[Query]) -> Query:
        name = call.processor.name
        select = named(self.files[name].read_text(encoding="utf-8"), call.tables, BIGQUERY, self.warehouse.names)
        if name not in self._columns:
            span = call.batch.dates.span
            dry = Query(select, {"date_from": span.first, "date_to": span.last})
            told = self.warehouse.jobs.dry_run(dry, within=self.warehouse.within)
            self._columns[name] = tuple(column.name for column in told.schema or ())
        return replacing(
            select,
            self._columns[name],
            table,
            call.batch.dates,
            self.warehouse.names,
            contents=self._contents(call),
            facts=facts,
            may_shrink=call.allow_shrink,
        )

    def _contents(self, call: Call) -> dict[str, dict[date, str]]:
        """What the rows of each date are computed from, for the columns that say it.

        Looked at before they are computed: what changes in between is taken for newer, and never the other way round.
        """
        found = {}
        for content in call.contents:
            asked = [
                TableQuestion(processor=name, table=call.tables[name], span=span)
                for name in content.upstreams
                if (span := content.span)
            ]
            facts = dict(zip((each.processor for each in asked), self.warehouse.observe_all(asked), strict=True))
            found[content.column] = {day_of(day): text for day, text in content.texts(facts).items()}
        return found

    def _leftovers(self) -> dict[str, Mapping[str, str]]:
        """Jobs that an earlier run left under way, looked for once."""
        with self._looking:
            if self._left is None:
                found = self.warehouse.jobs.running(within=self.warehouse.within)
                self._left = {job.job_id: job.labels for job in found if "backfill_work" in (job.labels or {})}
            return self._left


def _units(call: Call) -> list[Unit]:
    return [Unit(call.processor.name, day) for day in call.batch.dates]


def _work(script: Query) -> str:
    """What a job does, in one word: the same statements over the same dates."""
    return hashlib.sha256(repr((script.text, sorted(script.params.items()))).encode()).hexdigest()[:40]


def _failed(error: Exception, within: float) -> Outcome:
    if isinstance(error, TimeoutError):
        why = f"not done within {within:g} s; the job was cancelled"
        return Outcome(claim=Claim.FAILED, failure=Failure.UNKNOWN, why=why)
    if isinstance(error, JobLostError):
        return Outcome(claim=Claim.FAILED, failure=Failure.UNKNOWN, why=str(error))
    return Outcome(claim=Claim.FAILED, failure=failure_of(error), why=words_of(error), retry_after=retry_after(error))
