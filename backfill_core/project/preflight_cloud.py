"""Whether tables in BigQuery are fit for what a project would do to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from backfill_core.dates import DateSet, Span
from backfill_core.graph import Pipeline
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.project.findings import Finding, Use
from backfill_core.project.preflight_columns import column_findings, declared_findings
from backfill_core.project.session import Session
from backfill_core.project.sql_calls import call_query
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.types import alike, google_type
from backfill_core.reports.words import plural

if TYPE_CHECKING:
    from backfill_core.adapters.bigquery_tables import LiveTable
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse

#: Seconds by which the clocks may differ: rows are told new from old by when they say they were written.
_SKEW_WARNS, _SKEW_STOPS = 5.0, 60.0
_INGESTION = {"_PARTITIONDATE", "_PARTITIONTIME"}


def cloud_findings(
    session: Session, warehouse: BigQueryWarehouse, use: Use, questions: Iterable[TableQuestion]
) -> Iterator[Finding]:
    """Everything that is found. Raises CloudError where BigQuery cannot be asked at all."""
    from backfill_core.adapters.bigquery_conditions import clock_ahead
    from backfill_core.adapters.bigquery_tables import live_tables

    pipeline = session.pipeline
    written = [(name, table) for name, processor in pipeline.processors.items() for table in processor.tables.values()]
    live = live_tables(warehouse, [table for _, table in written])
    there = {name: found.columns for name, found in live.items() if found is not None}
    yield from column_findings(pipeline, questions, there)
    yield from declared_findings(pipeline, written, there)
    for name, table in written:
        seen, where = live[table.name], pipeline.declared[name].where
        if seen is None:
            yield _missing(table, where, stops=name in use.fills)
            continue
        if seen.location.lower() != warehouse.account.location.lower():
            is_in = f"dataset {table.dataset} is in {seen.location}, not {warehouse.account.location}"
            yield Finding(what=f'{is_in}. Set location = "{seen.location}" in the target\'s settings')
        yield from _partitioned(table, seen, where)
        if name in use.fills:
            yield from _kept(table, seen, use, name)
        if name in use.fills and isinstance(pipeline.processors[name].spec_for(pipeline.runtime), Sql) and not seen.writable:
            yield Finding(what=f"{table.name} may not be written. Grant roles/bigquery.dataEditor on {table.dataset}")
        if not seen.readable:
            yield Finding(what=f"{table.name} may not be read. Grant roles/bigquery.dataViewer on {table.dataset}")
    yield from _sql(session, warehouse, use, there)
    yield from _clock(clock_ahead(warehouse))
    filled = [table for name, table in written if name in use.fills]
    yield from _rivals(warehouse, {warehouse.path(table): table.name for _, table in written}, filled)


def _missing(table: Table, where: str, *, stops: bool) -> Finding:
    mend = "Make it: backfill create-tables --yes" if table.ddl else f"{where}: declare its ddl"
    return Finding(what=f"{table.name} is not there. {mend}", stops=stops)


def _partitioned(table: Table, seen: LiveTable, where: str) -> Iterator[Finding]:
    """A table whose partitions a filter on its date column does not pick."""
    ingestion = {table.date, seen.partition or ""} <= _INGESTION
    if seen.partition == table.date or ingestion:
        return
    if seen.filter_required:
        what = f"{table.name} wants a filter on {seen.partition}, and its dates are in {table.date}"
        yield Finding(what=f"{what}. {where}: date is the partition column")
    else:
        by = f"(by {seen.partition})" if seen.partition else "or anything else"
        what = f"{table.name} is not partitioned by {table.date} {by}: every question reads all of it"
        yield Finding(what=f"{what}. Make it anew with PARTITION BY {table.date}", stops=False)


def _kept(table: Table, seen: LiveTable, use: Use, name: str) -> Iterator[Finding]:
    """Whether what is written stays."""
    first = use.fills[name]
    if seen.expires_days is not None and first < use.today - timedelta(days=seen.expires_days):
        what = f"{table.name} deletes partitions after {seen.expires_days:g} days; this plan fills {first}"
        yield Finding(what=f"{what}. Remove the expiration")
    if seen.ends is not None:
        what = f"{table.name} is deleted as a whole on {seen.ends:%Y-%m-%d}, and what is filled with it"
        yield Finding(what=f"{what}. Remove the expiration")


def _sql(session: Session, warehouse: BigQueryWarehouse, use: Use, schema: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """What is wrong with the files of processors that would be called, as dry runs tell: they cost nothing."""
    pipeline = session.pipeline
    names = [name for name in use.fills if isinstance(pipeline.processors[name].spec_for(pipeline.runtime), Sql)]
    asked = [name for name in names if _all_there(pipeline, name, schema)]
    with ThreadPoolExecutor(warehouse.side_by_side, thread_name_prefix="dry") as pool:
        told = pool.map(lambda name: list(_file(session, warehouse, use, name, schema)), asked)
        for findings in told:
            yield from findings


def _all_there(pipeline: Pipeline, name: str, schema: Mapping[str, Mapping[str, str]]) -> bool:
    upstreams = (up for edge in pipeline.edges_into[name] for up in edge.upstreams)
    return all(table.name in schema for each in (name, *upstreams) for table in pipeline.processors[each].tables.values())


def _file(
    session: Session, warehouse: BigQueryWarehouse, use: Use, name: str, schema: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    from backfill_core.adapters.bigquery_errors import reason_of, words_of
    from backfill_core.adapters.bigquery_jobs import cloud_error

    table = session.pipeline.processors[name].writes
    assert isinstance(table, Table)
    first = use.fills[name]
    file, query = call_query(session, warehouse.names, name, DateSet.of_span(Span(first, first)))
    try:
        answer = warehouse.jobs.dry_run(query, within=warehouse.within)
    except Exception as error:
        if reason_of(error) not in ("invalidQuery", "invalid", "notFound", "accessDenied"):
            raise cloud_error(error, warehouse.account) from error
        yield Finding(what=f"{file}: {words_of(error).rstrip('.')}. Mend it")
        return
    live = schema[table.name]
    for column in answer.schema or ():
        kind = google_type(column.field_type)
        if column.name not in live and column.name == table.date:
            continue  # that is told of the table
        if column.name not in live:
            yield Finding(what=f"{file} returns {column.name} {kind}, and {table.name} has no such column. Mend one of them")
        elif column.mode != "REPEATED" and not alike(kind, live[column.name]):
            is_so = f"{file} returns {column.name} {kind}, and {table.name} has it as {live[column.name]}"
            yield Finding(what=f"{is_so}. Mend one of them")


def _clock(ahead: float) -> Iterator[Finding]:
    if abs(ahead) >= _SKEW_WARNS:
        which = "behind" if ahead > 0 else "ahead of"
        what = f"this machine's clock is {abs(ahead):.0f} s {which} BigQuery's: new rows could be taken for old. Set it right"
        yield Finding(what=what, stops=abs(ahead) >= _SKEW_STOPS)


def _rivals(warehouse: BigQueryWarehouse, tables: Mapping[str, str], filled: Iterable[Table]) -> Iterator[Finding]:
    """Who else writes these tables now, by their path in BigQuery; and what of BigQuery's quotas is used up.

    Of our own jobs those on tables that would be filled: other tables may be another run's.
    """
    from backfill_core.adapters.bigquery_conditions import MOST_MUTATING, under_way

    now = under_way(warehouse)
    labels = {warehouse.table_label(table): table.name for table in filled}
    for job, label in now.ours.items():
        if label in labels:
            what = f"job {job} of a run before is still writing {labels[label]}: it will be waited for"
            yield Finding(what=what, stops=False)
    for path, jobs in now.others.items():
        if path not in tables:
            continue
        table, count = tables[path], now.mutating[path]
        if count >= MOST_MUTATING:
            full = f"{count} statements change {table} now, as many as BigQuery takes of one table"
            yield Finding(what=f"{full}: a call of ours would be refused. Wait, or stop {jobs[0]}")
        else:
            is_so = f"{plural(len(jobs), 'job')} of somebody else {'is' if len(jobs) == 1 else 'are'} writing {table} now"
            yield Finding(what=f"{is_so}, {jobs[0]} for one. Wait for them, or what is filled may be mixed", stops=False)
    if now.waiting:
        is_so = f"{plural(now.waiting, 'job')} of the project {'waits' if now.waiting == 1 else 'wait'} to be begun"
        yield Finding(what=f"{is_so}: its slots or quotas are used up, and calls will wait too. Lower --concurrency", stops=False)
    if now.ours_alone:
        is_so = "jobs of other accounts may not be seen, and so neither who else writes nor what waits"
        yield Finding(what=f"{is_so}. Grant roles/bigquery.resourceViewer", stops=False)
