"""Looking at a project by what partitions say, which reads no row: a date has rows or has none, and no more is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from backfill_core.coverage import NO_FACTS, Coverage, DateFacts
from backfill_core.dates import DateSet, Span
from backfill_core.errors import BadUsage
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.processor import Processor
from backfill_core.model.reviews import Reviews
from backfill_core.model.table import Files, Table
from backfill_core.observe import missing_tables, reach_of, table_questions
from backfill_core.planning.judge import judge_coverage
from backfill_core.planning.presence import by_presence, untold, without_keys
from backfill_core.ports import Warehouse
from backfill_core.project.session import Session
from backfill_core.project.settings import LocalTarget
from backfill_core.queries.files import files_facts
from backfill_core.reports.words import plural

if TYPE_CHECKING:
    from backfill_core.adapters.bigquery_partitions import Partitions

NOTE = "by partitions alone: rows there or not; keys, counts, rules, gates and staleness were not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Which dates hold rows."""

    #: The graph as it was judged.
    pipeline: Pipeline
    coverage: Coverage
    #: What whoever reads it has to know.
    notes: tuple[str, ...]


def refuse_embedded(session: Session) -> None:
    """Raises BadUsage where a target has no such metadata."""
    if isinstance(session.target, LocalTarget):
        problem = f'target "{session.target_name}" keeps its tables in a file, where rows are read at no cost'
        raise BadUsage(message=f"--observe partitions reads BigQuery's metadata, and {problem}. Take it away")


def observe_partitions(
    session: Session,
    warehouse: Warehouse,
    calendars: Mapping[str, CalendarDays],
    span: Span,
    today: date,
    reviews: Reviews,
) -> Presence:
    """What partitions say of every table, over a span. Raises UnreadableTable."""
    from backfill_core.adapters.bigquery_partitions import partitions_of
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse

    assert isinstance(warehouse, BigQueryWarehouse), "an embedded target was refused"
    reach = reach_of(session.pipeline, calendars, span)
    asked = [each for about in table_questions(session.pipeline, calendars, reach).values() for each in about.values()]
    missing = missing_tables(session.pipeline, warehouse, asked)
    pipeline, dates = by_presence(session.pipeline), without_keys(calendars)
    tables = [table for processor in pipeline.processors.values() for table in processor.tables.values()]
    said = partitions_of(warehouse, [table for table in tables if table.name not in missing])
    facts = {name: _facts(session, processor, dates, reach[name], said) for name, processor in pipeline.processors.items()}
    coverage = judge_coverage(pipeline, dates, facts, reach, span=span, today=today, reviews=reviews)
    hidden = {table: found.why_not for table, found in said.items() if found.why_not}
    coverage = untold(
        coverage,
        [name for name, each in pipeline.processors.items() if any(table.name in hidden for table in each.tables.values())],
    )
    return Presence(pipeline=pipeline, coverage=coverage, notes=(NOTE, *_notes(said)))


def _facts(
    session: Session, processor: Processor, calendars: Mapping[str, CalendarDays], reach: Span, said: Mapping[str, Partitions]
) -> DateFacts:
    if isinstance(processor.writes, Files):
        calendar = calendars[processor.calendar]
        days = calendar.expected & DateSet.of_span(reach)
        return files_facts(processor.writes, calendar, days, session.landing.files(processor.writes))
    also = {part.table.short: _of(part.table, said) for part in processor.also}
    own = _of(processor.writes, said)
    return DateFacts(exists=own.exists, rows=own.rows, distinct=own.rows, also=also)


def _of(table: Table, said: Mapping[str, Partitions]) -> DateFacts:
    if table.name not in said:
        return NO_FACTS
    return DateFacts(rows=said[table.name].rows, distinct=said[table.name].rows)


def _notes(said: Mapping[str, Partitions]) -> list[str]:
    notes = [f"unknown: {table}: {found.why_not}" for table, found in said.items() if found.why_not]
    for table, found in said.items():
        if found.undated:
            notes.append(f"{table} has {plural(found.undated, 'row')} without a date")
        if found.unassigned:
            held = plural(found.unassigned, "row")
            notes.append(f"{table} has {held} that are in no partition yet: their dates may be told as missing")
    return notes
