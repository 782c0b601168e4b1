"""Whether a target is fit for what a project would do there: what is wrong, and what to do about it. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.dates import Span
from backfill_core.errors import PreflightFailed, Problem, did_you_mean
from backfill_core.graph import Pipeline
from backfill_core.model.command import Command
from backfill_core.model.http import Http
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.observe import missing_tables, read_calendars, table_questions
from backfill_core.plan import Plan
from backfill_core.project.runners import check_environment
from backfill_core.project.session import Session

if TYPE_CHECKING:
    from backfill_core.adapters.bigquery_tables import LiveTable
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
    from backfill_core.project.targets import OpenWarehouse

#: Seconds by which the clocks may differ: rows are told new from old by when they say they were written.
_SKEW_WARNS, _SKEW_STOPS = 5.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person should know before a run."""

    what: str
    #: It would spoil the run: nothing is started.
    stops: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What would be done: with which tables, from which day on."""

    #: Processors that would write, each with the first day that it would fill.
    fills: Mapping[str, date]
    today: date


def use_of(plan: Plan) -> Use:
    """What carrying out a plan would do."""
    fills = {name: chosen.dates.first for name, chosen in plan.planned().items() if chosen.dates}
    return Use(fills=fills, today=plan.request.today)


def preflight(session: Session, warehouse: OpenWarehouse, use: Use) -> list[Finding]:
    """Everything that was found, what stops a run first. Raises CloudError where the target cannot be asked at all."""
    if isinstance(warehouse, DuckDBWarehouse):
        found = list(_local(session, warehouse, use))
    else:
        found = list(_cloud(session.pipeline, _columns_named(session, use.today), warehouse, use))
    found += _services(session, use.fills)
    return sorted(dict.fromkeys(found), key=lambda finding: not finding.stops)


def refuse_unfit(session: Session, warehouse: OpenWarehouse, plan: Plan) -> list[Finding]:
    """The findings that do not stop the plan. Raises PreflightFailed with those that do, UnsetVariable before anybody is asked.

    Of an embedded warehouse the plan has shown all but the services.
    """
    check_environment(session.pipeline, plan, session.variables)
    use = use_of(plan)
    embedded = isinstance(warehouse, DuckDBWarehouse)
    found = _services(session, use.fills) if embedded else preflight(session, warehouse, use)
    stopping = [finding.what for finding in found if finding.stops]
    if stopping:
        last = f"{stopping[-1]} Nothing was run" if stopping[-1].endswith(".") else f"{stopping[-1]}; nothing was run"
        raise PreflightFailed(Problem("", what) for what in (*stopping[:-1], last))
    return found


def _services(session: Session, names: Iterable[str]) -> list[Finding]:
    pipeline = session.pipeline
    called = [name for name in names if isinstance(pipeline.processors[name].spec_for(pipeline.runtime), Http | Command)]
    if not called:
        return []
    from backfill_core.project.service_checks import service_findings  # it asks over HTTP, which few runs need

    return service_findings(session, called)


def _local(session: Session, warehouse: DuckDBWarehouse, use: Use) -> Iterator[Finding]:
    if not session.landing.root.is_dir():
        yield Finding(what=f"landing folder {session.landing.root} is not there: make it, or name another", stops=False)
    calendars = read_calendars(session.pipeline, session.landing, Span(use.today, use.today))
    reach = dict.fromkeys(session.pipeline.processors, Span(use.today, use.today))
    questions = table_questions(session.pipeline, calendars, reach)
    asked = [question for each in questions.values() for question in each.values()]
    for name in sorted(missing_tables(session.pipeline, warehouse, asked)):
        yield Finding(what=f"{name} is not there yet; the first run makes it", stops=False)


def _columns_named(session: Session, today: date) -> dict[str, dict[str, str]]:
    """The columns that the graph names of each table, each with the processor that first does."""
    span = Span(today, today)
    calendars = read_calendars(session.pipeline, session.landing, span)
    found: dict[str, dict[str, str]] = {}
    questions = table_questions(session.pipeline, calendars, dict.fromkeys(session.pipeline.processors, span))
    for name, asked in questions.items():
        for table, columns in (pair for question in asked.values() for pair in question.columns().items()):
            for column in sorted(columns - {""}):
                found.setdefault(table, {}).setdefault(column, name)
    return found


def _cloud(
    pipeline: Pipeline, columns: Mapping[str, Mapping[str, str]], warehouse: BigQueryWarehouse, use: Use
) -> Iterator[Finding]:
    from backfill_core.adapters.bigquery_tables import clock_ahead, live_tables

    writers = [(processor, processor.writes) for processor in pipeline.processors.values() if isinstance(processor.writes, Table)]
    live = live_tables(warehouse, [table for _, table in writers])
    for processor, table in writers:
        seen, where = live[table.name], pipeline.declared[processor.name].where
        if seen is None:
            yield _missing(table, where, stops=processor.name in use.fills)
            continue
        yield from _lacking(table, seen, columns.get(table.name, {}), pipeline)
        yield from _partitioned(table, seen, where)
        if processor.name in use.fills and isinstance(processor.spec_for(pipeline.runtime), Sql):
            yield from _kept(processor, table, seen, use)
        if not seen.readable:
            yield Finding(what=f"{table.name} may not be read. Grant roles/bigquery.dataViewer on {table.dataset}")
    yield from _clock(clock_ahead(warehouse))
    yield from _rivals(warehouse)


def _missing(table: Table, where: str, *, stops: bool) -> Finding:
    mend = "Make it: backfill create-tables --yes" if table.ddl else f"{where}: declare its ddl"
    return Finding(what=f"{table.name} is not there. {mend}", stops=stops)


def _lacking(table: Table, seen: LiveTable, named: Mapping[str, str], pipeline: Pipeline) -> Iterator[Finding]:
    for column, processor in named.items():
        where = pipeline.declared[processor].where
        if column in seen.columns:
            continue
        days = [
            f"{name} {kind}" for name, kind in seen.columns.items() if kind in ("DATE", "TIMESTAMP") and name != table.updated
        ]
        if column == table.date and days:
            mend = f'{where}: write date="{days[0].split()[0]}".'
            yield Finding(what=f"{table.name} has no column {column} (it has {', '.join(days)}). {mend}")
        else:
            hint = did_you_mean(column, seen.columns)
            yield Finding(what=f"{table.name} has no column {column}, which {processor} names.{hint} See {where}")
    kind = seen.columns.get(table.date, table.date_type)
    if kind != table.date_type:
        what = f"{table.name}.{table.date} is {kind}, and declared as {table.date_type}"
        yield Finding(what=f'{what}. {pipeline.declared[_writer(pipeline, table)].where}: write date_type="{kind}"')


def _writer(pipeline: Pipeline, table: Table) -> str:
    return next(name for name, processor in pipeline.processors.items() if processor.writes == table)


def _partitioned(table: Table, seen: LiveTable, where: str) -> Iterator[Finding]:
    """A table whose partitions a filter on its date column does not pick."""
    ingestion = {table.date, seen.partition or ""} <= {"_PARTITIONDATE", "_PARTITIONTIME"}
    if seen.partition == table.date or ingestion:
        return
    if seen.filter_required:
        what = f"{table.name} wants a filter on {seen.partition}, and its dates are in {table.date}"
        yield Finding(what=f"{what}. {where}: date is the partition column")
    else:
        by = f"by {seen.partition}" if seen.partition else "at all"
        what = f"{table.name} is not partitioned by {table.date} ({by}): every question reads all of it"
        yield Finding(what=what.replace("(at all)", "or anything else"), stops=False)


def _kept(processor: Processor, table: Table, seen: LiveTable, use: Use) -> Iterator[Finding]:
    """Whether what is written may be written, and stays."""
    first = use.fills[processor.name]
    if seen.expires_days is not None and first < use.today - timedelta(days=seen.expires_days):
        what = f"{table.name} deletes partitions after {seen.expires_days:g} days; this plan fills {first}"
        yield Finding(what=f"{what}. Remove the expiration")
    if not seen.writable:
        yield Finding(what=f"{table.name} may not be written. Grant roles/bigquery.dataEditor on {table.dataset}")


def _clock(ahead: float) -> Iterator[Finding]:
    if abs(ahead) >= _SKEW_WARNS:
        which = "behind" if ahead > 0 else "ahead of"
        what = f"this machine's clock is {abs(ahead):.0f} s {which} BigQuery's: new rows could be taken for old. Set it right"
        yield Finding(what=what, stops=abs(ahead) >= _SKEW_STOPS)


def _rivals(warehouse: BigQueryWarehouse) -> Iterator[Finding]:
    from backfill_core.adapters.bigquery_jobs import cloud_error

    try:
        running = warehouse.jobs.running({})
    except Exception as error:
        raise cloud_error(error, warehouse.account) from error
    jobs: Iterable[tuple[str, str]] = sorted(
        (job.labels.get("backfill_table", ""), job.job_id) for job in running if "backfill_work" in (job.labels or {})
    )
    for table, job in jobs:
        yield Finding(what=f"job {job} of a run before is still writing {table}: it will be waited for", stops=False)
