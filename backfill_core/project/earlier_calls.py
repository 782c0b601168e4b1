"""What the journal knows of units that fail again and again, and of those that an earlier run left behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.errors import JournalError
from backfill_core.events import Event, RunStarted, UnitsEnded, Word
from backfill_core.plan import Plan
from backfill_core.planning.exhausted import PastFailure, exhausted
from backfill_core.planning.left_behind import LeftBehind, left_behind, locks_of
from backfill_core.project.session import Session

#: Runs that are looked at, the latest.
_RUNS = 20


def exhausted_units(session: Session, plan: Plan, coverage: Coverage) -> dict[str, dict[str, DateSet]]:
    """The planned units that are not worth another call, by processor and reason."""
    try:
        past = list(_past(session))
    except JournalError:
        return {}  # history may hold work back; that there is none to read must not
    return exhausted(session.pipeline, plan, coverage, past)


def units_left_behind(session: Session, plan: Plan, now: datetime) -> dict[str, dict[int, LeftBehind]]:
    """The planned units whose service may still be at them, by processor and day number."""
    if not locks_of(session.pipeline, plan):
        return {}
    try:
        return left_behind(session.pipeline, plan, _runs(session), now)
    except JournalError:
        return {}


def _past(session: Session) -> Iterator[PastFailure]:
    """Units that failed on this target, oldest first. A unit that was done later is not planned, or for another reason."""
    for events in _runs(session):
        for event in events:
            if isinstance(event, UnitsEnded) and event.word is Word.FAILED:
                yield PastFailure(at=event.at, processor=event.processor, dates=event.dates, why=event.why)


def _runs(session: Session) -> Iterator[list[Event]]:
    """The events of the latest runs on this target, oldest first."""
    journal = session.journal(read_only=True)
    try:
        for run in journal.runs()[-_RUNS:]:
            events = [event for _, event in journal.events(run)]
            if events and isinstance(events[0], RunStarted) and events[0].target == session.target_name:
                yield events
    finally:
        journal.close()
