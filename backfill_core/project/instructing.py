"""Asking a run under way for something, and hearing what it says."""

from __future__ import annotations

import time
from collections.abc import Mapping

from backfill_core.adapters.system_clock import SystemClock
from backfill_core.errors import NotUnderWay
from backfill_core.events import Control, Instructed, Instruction
from backfill_core.project.checkout import whoami
from backfill_core.project.past_runs import read_run
from backfill_core.project.session import Place
from backfill_core.run_state import RunState

#: Seconds that a run is given to answer: its loop may be looking at a table.
PATIENCE = 10.0


def instruct(
    place: Place,
    name: str | None,
    control: Control,
    *,
    concurrency: int | None = None,
    caps: Mapping[str, int] | None = None,
) -> tuple[RunState, Instructed | None]:
    """Asks a run, or the latest, and waits for its answer: the run as it is then, and the answer; None: not yet.

    Raises NotUnderWay, NoRunYet or UnknownRun.
    """
    state, alive = read_run(place, name)
    if not alive or state.ended:
        raise NotUnderWay(run=state.name)
    asked = Instruction(at=SystemClock().now(), control=control, by=whoami(), concurrency=concurrency, caps=dict(caps or {}))
    journal = place.journal(read_only=False)
    try:
        number = journal.instruct(state.name, asked)
    finally:
        journal.close()
    deadline = time.monotonic() + PATIENCE
    while True:
        state, alive = read_run(place, state.name)
        answers = [event for event in state.instructed if event.number == number]
        if answers or not alive or time.monotonic() > deadline:
            return state, answers[0] if answers else None
        time.sleep(0.1)
