"""Explaining a unit of a project: what its tables, its plan and its journal say of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date

from backfill_core.attempts import Attempt, attempts
from backfill_core.coverage import Coverage, DateFacts, KeysFound, ProcessorCoverage, State
from backfill_core.dates import ONE_DAY, DateSet, Span, day_number
from backfill_core.errors import BadUsage, JournalError
from backfill_core.model.table import Files, Table
from backfill_core.model.units import Unit
from backfill_core.observe import read_calendars
from backfill_core.plan import Plan
from backfill_core.planning.explain import explain
from backfill_core.planning.explanation import Explanation
from backfill_core.planning.make_plan import make_plan
from backfill_core.ports import Warehouse
from backfill_core.project.look import Asking, Look, look
from backfill_core.project.reviews import in_range
from backfill_core.project.session import Session
from backfill_core.queries.asking import breaking_questions, keys_questions
from backfill_core.queries.files import files_days
from backfill_core.queries.named import row_words
from backfill_core.queries.question import NamingQuestion, OffendingQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An explanation, the plan that it speaks of, and what the journal remembers."""

    explanation: Explanation
    looked: Look
    plan: Plan
    #: Newest first; None: the journal could not be read.
    attempts: tuple[Attempt, ...] | None
    #: Whether there are older ones.
    more: bool
    #: The landing file of the date, of a source of files.
    file: str = ""


def explained(session: Session, warehouse: Warehouse, unit: Unit, asking: Asking, limit: int) -> Explained:
    """Explains a unit by the plan that ``asking`` gives, with at most ``limit`` keys of a kind and ``limit`` attempts.

    Raises BadUsage for a day its calendar does not know, and what `look` raises.
    """
    looked = look(session, warehouse, asking, also=_beside(session, unit, session.today(asking.today)))
    coverage, pipeline = looked.coverage, session.pipeline
    plan = make_plan(pipeline, coverage, looked.request)
    keys = _keys(session, warehouse, coverage, unit, limit)
    tried, unread = _attempts(session, unit, limit + 1)
    if unread:
        looked = replace(looked, warnings=(*looked.warnings, unread))
    table = pipeline.processors[unit.processor].writes
    named = files_days(table, coverage.calendar(unit.processor).seasons, DateSet.of(unit.day)) if isinstance(table, Files) else {}
    return Explained(
        explanation=explain(pipeline, coverage, plan, unit, keys, limit),
        looked=looked,
        plan=plan,
        attempts=None if unread else tuple(tried[:limit]),
        more=len(tried) > limit,
        file=named.get(day_number(unit.day), ""),
    )


def _beside(session: Session, unit: Unit, today: date) -> Span:
    """What has to be looked at whatever the plan is about: the day, and the later ones that it may spoil."""
    calendars = read_calendars(session.pipeline, session.landing, Span(unit.day, unit.day))
    known = in_range(unit.processor, session.pipeline, calendars)
    if unit.day not in known:
        calendar = session.pipeline.processors[unit.processor].calendar
        raise BadUsage(message=f"{unit.day} is out of the range of calendar {calendar}, which {unit.processor} follows")
    ends = [today - ONE_DAY, *(days.horizon for days in calendars.values() if days.horizon)]
    return Span(unit.day, max(unit.day, min(ends)))


def _keys(session: Session, warehouse: Warehouse, coverage: Coverage, unit: Unit, limit: int) -> dict[tuple[str, str], KeysFound]:
    """By table and expectation or rule, the keys by which the date differs; asked only where anything is expected."""
    pipeline, covered = session.pipeline, coverage.processors[unit.processor]
    processor = pipeline.processors[unit.processor]
    if not isinstance(processor.writes, Table) or unit.day in covered.of(State.NOT_EXPECTED, State.UNKNOWN):
        return {}
    missing = frozenset(
        table.name
        for name, other in pipeline.processors.items()
        for short, table in other.tables.items()
        if not _facts(coverage.processors[name], "" if short == name else short).exists
    )
    questions: dict[tuple[str, str], NamingQuestion] = {}
    for short, part in {"": processor, **processor.parts}.items():
        broken = (covered.also[short] if short else covered).findings.broken
        asked: dict[str, NamingQuestion] = {**keys_questions(pipeline, part, coverage.calendars, unit.day, missing)}
        if part.writes.name not in missing:
            asked |= breaking_questions(pipeline, part, unit.day, [rule for rule, dates in broken.items() if unit.day in dates])
        questions |= {(short, words): question for words, question in asked.items() if not _reads(question, missing)}
    return {about: _found(warehouse, question, limit) for about, question in questions.items()}


def _found(warehouse: Warehouse, question: NamingQuestion, limit: int) -> KeysFound:
    """What a question names, as a person reads it."""
    found = warehouse.differing_keys(question, limit)
    if not isinstance(question, OffendingQuestion):
        return found
    rows = [row_words(row or "", question.table) for (row,) in found.first_surplus]
    # A query that gives the date alone counts its rows, and nobody can tell which.
    return replace(found, first_surplus=tuple((row,) for row in rows)) if any(rows) else KeysFound(absent=0, surplus=0)


def _reads(question: NamingQuestion, missing: frozenset[str]) -> bool:
    """Whether a question reads another table that is not there."""
    return any(table.name in missing for table in question.counted.tables()[1:])


def _facts(covered: ProcessorCoverage, table: str) -> DateFacts:
    return covered.also[table].facts if table else covered.facts


def _attempts(session: Session, unit: Unit, limit: int) -> tuple[list[Attempt], str]:
    """(the latest attempts, why they cannot be told)."""
    found: list[Attempt] = []
    try:
        with closing(session.journal(read_only=True)) as journal:
            for run, events in journal.unit_events(session.target_name, unit):
                found += attempts(run, events, unit)
                if len(found) >= limit:
                    break
    except JournalError as error:
        return [], str(error)
    return found[:limit], ""
