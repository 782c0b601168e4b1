"""Finding a run in the journal, for the commands that read it."""

from __future__ import annotations

from backfill_core.errors import UnknownRun
from backfill_core.project.session import STATE, Session
from backfill_core.run_state import RunState


def read_run(session: Session, name: str | None) -> tuple[RunState, bool]:
    """(a run, or the latest; whether it still holds its lease). Raises UnknownRun."""
    journal = session.journal(read_only=True)
    try:
        runs = journal.runs()
        chosen = name or (runs[-1] if runs else "")
        if chosen not in runs:
            known = f"Known: {', '.join(runs[-5:])}." if runs else "Nothing was executed yet: backfill execute"
            raise UnknownRun(name=chosen or "any", journal=f"{STATE}/journal.sqlite", known=known)
        state = RunState.fold(chosen, (event for _, event in journal.events(chosen)))
        held = journal.lease(session.resource)
        return state, held is not None and held.run == chosen
    finally:
        journal.close()
