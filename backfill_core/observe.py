"""The one shell that reads: what every table of a graph holds over a span, in a number of questions that dates do not raise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from backfill_core.coverage import Coverage, DateFacts
from backfill_core.dates import DateSet, Span, day_number, day_of
from backfill_core.errors import (
    AfterHorizon,
    BeyondHorizon,
    EmptyCalendar,
    InvalidProject,
    UnknownSeason,
    UnreadableTable,
    did_you_mean,
)
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import Calendar, CalendarDays, Schedule, calendar_days
from backfill_core.model.reviews import NO_REVIEWS, Reviews
from backfill_core.model.table import Files, Table
from backfill_core.planning.fits import window_problems
from backfill_core.planning.judge import judge_coverage, window_map
from backfill_core.ports import Landing, Warehouse
from backfill_core.queries.asking import facts_together, questions_about
from backfill_core.queries.files import files_facts
from backfill_core.queries.question import TableQuestion

#: How far back calendars without a source are laid out before the days asked for, so that windows find their dates.
_LOOK_BACK = timedelta(days=1100)
#: What the names of two columns have in common where one may be a slip of the pen for the other.
_SLIP = 0.8


def read_calendars(pipeline: Pipeline, landing: Landing, span: Span) -> dict[str, CalendarDays]:
    """Every calendar of the graph. Raises EmptyCalendar for a schedule whose source holds no expected date, and
    InvalidProject for windows that no season is long enough for.
    """
    wide = Span(max(day_of(0), span.first - _LOOK_BACK), span.last)
    tables = pipeline.schedule_tables()
    calendars = {
        name: _read_calendar(calendar, landing, wide, tables.get(name)) for name, calendar in sorted(pipeline.calendars.items())
    }
    problems = window_problems(pipeline, calendars)
    if problems:
        raise InvalidProject(problems)
    return calendars


def _read_calendar(calendar: Calendar, landing: Landing, span: Span, table: Table | None) -> CalendarDays:
    if not isinstance(calendar, Schedule):
        return calendar_days(calendar, span)
    days = calendar_days(calendar, span, landing.schedule(calendar))
    if not days.expected:
        where = table.name if table else landing.describe(calendar.files)
        raise EmptyCalendar(calendar=calendar.name, problem=f"no expected entry in {where}")
    return days


def closed_span(first: date, last: date | None, yesterday: date, calendars: Mapping[str, CalendarDays]) -> tuple[Span, str]:
    """The span of a request: to ``last``, else to yesterday or the earliest horizon before it; and a word for which.

    Raises BeyondHorizon when ``last`` is past what a calendar knows.
    """
    horizons = sorted((days.horizon, name) for name, days in calendars.items() if days.horizon)
    if last is not None:
        for horizon, name in horizons:
            if last > horizon:
                raise BeyondHorizon(calendar=name, horizon=horizon, to=last)
        return Span(first, last), ""
    end = min([yesterday, *(horizon for horizon, _ in horizons)])
    if end < first:
        raise AfterHorizon(calendar=horizons[0][1], horizon=end, first=first)
    return Span(first, end), "yesterday" if end == yesterday else "horizon"


def season_span(name: str, calendars: Mapping[str, CalendarDays]) -> Span:
    """The span of a season, over all calendars that have it. Raises UnknownSeason."""
    spans = {season.name: season.span for days in calendars.values() for season in days.seasons}
    if name not in spans:
        raise UnknownSeason(name=name, known=", ".join(sorted(spans)) or "none, for no calendar has any")
    found = [season.span for days in calendars.values() for season in days.seasons if season.name == name]
    return Span(min(span.first for span in found), max(span.last for span in found))


def reach_of(pipeline: Pipeline, calendars: Mapping[str, CalendarDays], span: Span) -> dict[str, Span]:
    """How far back each processor must be read, so that every window of every date in ``span`` is known."""
    first = {name: day_number(span.first) for name in pipeline.processors}
    for name in reversed(list(pipeline.processors)):
        own = calendars[pipeline.processors[name].calendar].expected
        starting = (own & DateSet.between(first[name], day_number(span.last))).numbers()[:1]
        for edge in pipeline.edges_into[name]:
            for earliest, last in window_map(pipeline, edge, calendars).bounds(starting):
                for upstream in edge.upstreams:
                    if earliest <= last:
                        first[upstream] = min(first[upstream], earliest)
    return {name: Span(day_of(number), span.last) for name, number in first.items()}


def observe(
    pipeline: Pipeline,
    warehouse: Warehouse,
    landing: Landing,
    calendars: Mapping[str, CalendarDays],
    *,
    span: Span,
    today: date,
    reviews: Reviews = NO_REVIEWS,
) -> Coverage:
    """Reads every table of the graph and judges every date. Raises UnreadableTable."""
    reach = reach_of(pipeline, calendars, span)
    questions = table_questions(pipeline, calendars, reach)
    asked = [question for about in questions.values() for question in about.values()]
    missing = missing_tables(pipeline, warehouse, asked)
    answers = iter(warehouse.observe_all([question.without(missing) for question in asked]))
    facts = {name: facts_together(dict(zip(about, answers, strict=False)), name) for name, about in questions.items()}
    return judged_with_files(pipeline, landing, calendars, facts, reach, span=span, today=today, reviews=reviews)


def judged_with_files(
    pipeline: Pipeline,
    landing: Landing,
    calendars: Mapping[str, CalendarDays],
    tables: Mapping[str, DateFacts],
    reach: Mapping[str, Span],
    *,
    span: Span,
    today: date,
    reviews: Reviews,
) -> Coverage:
    """Judges every date by the facts of its table, or by the files that are there now."""
    facts = dict(tables)
    for name, processor in pipeline.processors.items():
        if isinstance(processor.writes, Files):
            calendar = calendars[processor.calendar]
            days = calendar.expected & DateSet.of_span(reach[name])
            facts[name] = files_facts(processor.writes, calendar, days, landing.files(processor.writes))
    return judge_coverage(pipeline, calendars, facts, reach, span=span, today=today, reviews=reviews)


def table_questions(
    pipeline: Pipeline, calendars: Mapping[str, CalendarDays], reach: Mapping[str, Span]
) -> dict[str, dict[str, TableQuestion]]:
    """The questions to ask about each processor that writes tables, by their names."""
    return {
        name: questions_about(pipeline, processor, calendars, reach[name])
        for name, processor in pipeline.processors.items()
        if isinstance(processor.writes, Table)
    }


def missing_tables(pipeline: Pipeline, warehouse: Warehouse, questions: Iterable[TableQuestion]) -> frozenset[str]:
    """The tables that are not there yet. Raises UnreadableTable where one lacks a column that the graph names."""
    asked = list(questions)
    datasets = sorted({question.table.dataset for question in asked})
    schema = warehouse.schema(datasets)
    for question in asked:
        for table, columns in sorted(question.columns().items()):
            lacking = sorted(columns - schema[table].keys()) if table in schema else []
            if lacking:
                where = pipeline.declared[question.processor].where
                day = question.table.name == table and lacking[0] == question.table.date
                raise UnreadableTable(table=table, problem=f"it {no_column(question, lacking[0], schema[table], where, day=day)}")
        _check_date_type(question.table, schema.get(question.table.name, {}), pipeline.declared[question.processor].where)
    return frozenset(question.table.name for question in asked if question.table.name not in schema)


def no_column(question: TableQuestion, column: str, live: Mapping[str, str], where: str, *, day: bool) -> str:
    """What is said of a table that lacks a column which a question names; ``day``: the one that its dates are in."""
    dates = [name for name, kind in live.items() if kind.startswith(("DATE", "TIMESTAMP")) and name != question.table.updated]
    if day and dates:
        shown = ", ".join(f"{name} {live[name]}" for name in dates)
        return f'has no column {column} (it has {shown}). {where}: write date="{dates[0]}"'
    # Columns are alike that have nothing to do with each other: only a slip of the pen is one, and none that is named as well.
    others = live.keys() - {name for columns in question.columns().values() for name in columns}
    hint = did_you_mean(column, sorted(others), likeness=_SLIP)
    return f'has no column "{column}", which processor "{question.processor}" names.{hint} See {where}'


def _check_date_type(table: Table, columns: Mapping[str, str], where: str) -> None:
    """Raises UnreadableTable where a live date column is of another type than the one declared, whatever the engine calls it."""
    kind = columns.get(table.date, table.date_type)
    known = {"DATE": "DATE", "TIMESTAMP": "TIMESTAMP", "VARCHAR": "STRING", "STRING": "STRING", "DATETIME": "DATETIME"}
    found = known.get(kind.partition(" ")[0], table.date_type)
    if found != table.date_type:
        declared = f'declared as {table.date_type}: date_type="…" says which'
        problem = f'its date column "{table.date}" is {kind}, and {declared}. See {where}'
        raise UnreadableTable(table=table.name, problem=problem)
