"""Whether a target is fit for what a project would do there: what is wrong, and what to do about it. Nothing is changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.dates import Span
from backfill_core.errors import EmptyCalendar, JournalError, LandingError, PreflightFailed, Problem, UnreadableTable
from backfill_core.model.calendar import CalendarDays, calendar_days
from backfill_core.model.http import Http
from backfill_core.model.runs import SOURCE, Sql
from backfill_core.model.table import Files
from backfill_core.observe import read_calendars, table_questions
from backfill_core.plan import Plan
from backfill_core.project.findings import Finding, Use, use_of
from backfill_core.project.preflight_columns import column_findings, declared_findings
from backfill_core.project.runners import check_environment
from backfill_core.project.service_checks import service_findings
from backfill_core.project.session import Session
from backfill_core.project.targets import landing_folder
from backfill_core.queries.asking import sql_path, tables_named
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.types import google_type

if TYPE_CHECKING:
    from backfill_core.project.targets import OpenWarehouse

#: Free bytes on an embedded warehouse's disk below which a person is warned.
_ROOM = 1_000_000_000


def preflight(session: Session, warehouse: OpenWarehouse, use: Use) -> list[Finding]:
    """Everything that was found, what stops a run first. Raises CloudError where the target cannot be asked at all."""
    calendars, found = _calendars(session, use)
    questions = _questions(session, use, calendars)
    if isinstance(warehouse, DuckDBWarehouse):
        found += _local(session, warehouse, use, questions)
    else:
        from backfill_core.project.preflight_cloud import cloud_findings

        found += [*_landing(session), *cloud_findings(session, warehouse, use, questions)]
    found += [*_unrecorded(session, use), *service_findings(session, use.fills)]
    return sorted(dict.fromkeys(found), key=lambda finding: not finding.stops)


def refuse_unfit(session: Session, warehouse: OpenWarehouse, plan: Plan) -> list[Finding]:
    """The findings that do not stop the plan. Raises PreflightFailed with those that do, UnsetVariable before anybody is asked.

    Of an embedded warehouse the plan has shown all but what services need.
    """
    check_environment(session.pipeline, plan, session.variables)
    use = use_of(plan)
    found = (
        _beside_the_plan(session, warehouse, use)
        if isinstance(warehouse, DuckDBWarehouse)
        else preflight(session, warehouse, use)
    )
    stopping = sorted(finding.what for finding in found if finding.stops)
    if stopping:
        raise PreflightFailed(Problem("", f"{what}.") for what in (*stopping[:-1], f"{stopping[-1]}; nothing was run"))
    return found


def _beside_the_plan(session: Session, warehouse: DuckDBWarehouse, use: Use) -> list[Finding]:
    """What a plan on an embedded warehouse has not shown: services, and tables that they cannot make."""
    pipeline = session.pipeline
    found = service_findings(session, use.fills)
    served = [name for name in use.fills if isinstance(pipeline.processors[name].spec_for(pipeline.runtime), Http)]
    if not served:
        return found
    datasets = sorted({table.dataset for name in served for table in pipeline.processors[name].tables.values()})
    absent = _absent(session, warehouse.schema(datasets), use)
    return [*(finding for finding in absent if finding.stops), *found]


def _calendars(session: Session, use: Use) -> tuple[dict[str, CalendarDays], list[Finding]]:
    """The calendars. Where one cannot be read that is found, and none expects anything: columns can be looked at all the same."""
    day = Span(use.today, use.today)
    try:
        return read_calendars(session.pipeline, session.landing, day), []
    except (EmptyCalendar, LandingError, UnreadableTable) as error:
        empty = {name: calendar_days(calendar, day) for name, calendar in session.pipeline.calendars.items()}
        return empty, [Finding(what=str(error).rstrip("."))]


def _questions(session: Session, use: Use, calendars: Mapping[str, CalendarDays]) -> list[TableQuestion]:
    """What would be asked of every table, about one day: which columns it names does not depend on the dates."""
    day = Span(use.today, use.today)
    asked = table_questions(session.pipeline, calendars, dict.fromkeys(session.pipeline.processors, day))
    return [question for about in asked.values() for question in about.values()]


def _unrecorded(session: Session, use: Use) -> Iterator[Finding]:
    """Why a run could not begin: no journal, or another run that holds what this one would write or read."""
    try:
        with closing(session.journal(read_only=True)) as journal:
            rival = journal.in_the_way(session.holds(use.fills))
    except JournalError as error:
        yield Finding(what=str(error))
        return
    if rival is not None:
        yield Finding(what=str(rival))
    for path in (session.state, session.state / "journal.sqlite"):
        if problem := _unwritable(path):
            yield Finding(what=f"no run can be recorded: {problem}. Let yourself write there")
            return


def _local(session: Session, warehouse: DuckDBWarehouse, use: Use, questions: list[TableQuestion]) -> Iterator[Finding]:
    pipeline = session.pipeline
    yield from _landing(session)
    tables = [(name, table) for name, processor in pipeline.processors.items() for table in processor.tables.values()]
    live = warehouse.schema(sorted({table.dataset for _, table in tables}))
    # This engine compares what BigQuery would not, and has timestamps of both kinds.
    schema = {name: {column: _lenient(kind) for column, kind in columns.items()} for name, columns in live.items()}
    yield from column_findings(pipeline, questions, schema)
    yield from declared_findings(pipeline, tables, schema)
    yield from _absent(session, live, use)
    yield from _files(session, warehouse, use)
    if problem := _unwritable(warehouse.path):
        yield Finding(what=f"nothing can be filled: {problem}. Let yourself write there, or name another warehouse")
    free = shutil.disk_usage(_there(warehouse.path)).free
    if free < _ROOM:
        yield Finding(what=f"{free / 1e6:,.0f} MB are free where {warehouse.path.name} lies. Make room", stops=False)


def _absent(session: Session, live: Mapping[str, Mapping[str, str]], use: Use) -> Iterator[Finding]:
    """Tables that are not there: the first call that writes one makes it, but a service cannot do so in an embedded warehouse."""
    pipeline, told = session.pipeline, set[str]()
    for name, processor in pipeline.processors.items():
        spec = processor.spec_for(pipeline.runtime)
        for table in processor.tables.values():
            if table.name in live or table.name in told:
                continue
            told.add(table.name)
            if isinstance(spec, Http):
                ddl = "" if table.ddl else f"declare a view over its files as its ddl ({pipeline.declared[name].where}), then "
                what = f"{table.name} is not there, and a service cannot make it here: {ddl}backfill create-tables --yes"
                yield Finding(what=what, stops=name in use.fills)
            elif spec is SOURCE:
                yield Finding(what=f"{table.name} is not there, and nothing here fills it", stops=False)
            else:
                yield Finding(what=f"{table.name} is not there yet; the first run makes it", stops=False)


def _unwritable(path: Path) -> str:
    """Why a file could not be made or written; nothing where it could."""
    there = _there(path.parent)
    if not os.access(there, os.W_OK | os.X_OK):
        return f"folder {there} cannot be written"
    return f"{path} cannot be written" if path.exists() and not os.access(path, os.W_OK) else ""


def _there(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def _landing(session: Session) -> Iterator[Finding]:
    pipeline, folder = session.pipeline, landing_folder(session.target, session.root)
    if pipeline.reads_files and folder is not None and not folder.is_dir():
        yield Finding(what=f"landing folder {folder} is not there: make it, or name another", stops=False)
        return
    for name, processor in pipeline.processors.items():
        try:
            there = not isinstance(processor.writes, Files) or session.files.files(processor.writes)
        except LandingError as error:
            yield Finding(what=str(error).rstrip("."))
            return
        if isinstance(processor.writes, Files) and not there:
            where = session.files.describe(processor.writes.pattern)
            yield Finding(what=f"{name} has no file: {where}. Put them there, or name another landing folder", stops=False)


def _files(session: Session, warehouse: DuckDBWarehouse, use: Use) -> Iterator[Finding]:
    """SQL files that this engine cannot read."""
    pipeline = session.pipeline
    for name in use.fills:
        spec = pipeline.processors[name].spec_for(pipeline.runtime)
        if isinstance(spec, Sql):
            file = sql_path(pipeline, name, spec.file)
            upstreams = (up for edge in pipeline.edges_into[name] for up in edge.upstreams)
            try:
                warehouse.check((session.root / file).read_text(encoding="utf-8"), tables_named(pipeline, (name, *upstreams)))
            except ValueError as error:
                yield Finding(what=f"{file} is no GoogleSQL that can be run here: {error}. Mend it")


def _lenient(kind: str) -> str:
    found = google_type(kind)
    return "TIMESTAMP" if found == "DATETIME" else found
