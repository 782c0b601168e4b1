"""Finding a run in the journal, for the commands that read it."""

from __future__ import annotations

from backfill_core.errors import NoRunYet, UnknownRun
from backfill_core.project.session import STATE, Place
from backfill_core.run_state import RunState


def read_run(place: Place, name: str | None) -> tuple[RunState, bool]:
    """(a run, or the latest; whether it still holds its lease). Raises NoRunYet or UnknownRun."""
    journal = place.journal(read_only=True)
    try:
        runs = journal.runs()
        if not runs:
            raise NoRunYet(journal=f"{STATE}/journal.sqlite")
        chosen = name or runs[-1]
        if chosen not in runs:
            raise UnknownRun(name=chosen, journal=f"{STATE}/journal.sqlite", known=", ".join(runs[-5:]))
        state = RunState.fold(chosen, (event for _, event in journal.events(chosen)))
        held = journal.lease(place.resource)
        return state, held is not None and held.run == chosen
    finally:
        journal.close()
