"""Runs as the journal tells them, for the commands that read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backfill_core.adapters.sqlite_journal import SqliteJournal
from backfill_core.errors import BadUsage, NoRunYet, UnknownRun
from backfill_core.events import Event
from backfill_core.project.session import STATE, Place
from backfill_core.run_state import RunState

_JOURNAL = f"{STATE}/journal.sqlite"
#: Runs that are named where none is known by a name, the latest.
_NAMED = 5


def read_run(place: Place, name: str | None) -> tuple[RunState, bool]:
    """(a run, or the latest; whether it still holds its lease). Raises NoRunYet or UnknownRun."""
    with reading(place) as journal:
        return _fold(journal, _named(journal, name))


class Watched:
    """A run that is looked at again and again: each time only what is new of it is read."""

    def __init__(self, place: Place, name: str | None) -> None:
        self.place = place
        self._state = RunState(name or "")
        self._seen = 0

    def look(self) -> tuple[RunState, bool]:
        """(the run, or the latest when it was first looked at; whether it holds its lease). Raises NoRunYet or UnknownRun."""
        with reading(self.place) as journal:
            self._state.name = _named(journal, self._state.name or None)
            for number, event in journal.events(self._state.name, after=self._seen):
                self._state.apply(event)
                self._seen = number
            return self._state, journal.held_by(self._state.name) is not None


def read_events(place: Place, name: str | None) -> tuple[str, list[Event]]:
    """(the name of a run, or of the latest; its events). Raises NoRunYet or UnknownRun."""
    with reading(place) as journal:
        chosen = _named(journal, name)
        return chosen, [event for _, event in journal.events(chosen)]


def read_runs(place: Place, most: int) -> list[tuple[RunState, bool]]:
    """The latest runs, latest first, each with whether it still holds its lease."""
    with reading(place) as journal:
        return [_fold(journal, name) for name in reversed(journal.runs()[-most:])]


def unfinished(place: Place, name: str | None) -> RunState:
    """A run, or the latest of its target that left units without a final word.

    Raises NoRunYet, UnknownRun, or BadUsage where every run has finished.
    """
    if name is not None:
        return read_run(place, name)[0]
    with reading(place) as journal:
        _named(journal, None)
        for each in reversed(journal.runs()):
            state, _ = _fold(journal, each)
            assert state.started is not None
            if state.started.target == place.target_name and (state.ended is None or state.left):
                return state
    raise BadUsage(message="every run has finished. To repeat one, name it: backfill resume RUN; all: backfill runs")


@contextmanager
def reading(place: Place) -> Iterator[SqliteJournal]:
    """The journal, open to read."""
    journal = place.journal(read_only=True)
    try:
        yield journal
    finally:
        journal.close()


def _named(journal: SqliteJournal, name: str | None) -> str:
    runs = journal.runs()
    if not runs:
        raise NoRunYet(journal=_JOURNAL)
    chosen = name or runs[-1]
    if chosen not in runs:
        more = len(runs) - _NAMED
        known = ", ".join(runs[-_NAMED:]) + (f" and {more} more: backfill runs --limit {len(runs)}" if more > 0 else "")
        raise UnknownRun(name=chosen, journal=_JOURNAL, known=known)
    return chosen


def _fold(journal: SqliteJournal, name: str) -> tuple[RunState, bool]:
    return RunState.fold(name, (event for _, event in journal.events(name))), journal.held_by(name) is not None
