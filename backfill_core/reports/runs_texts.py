"""The runs of a project, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backfill_core.events import Word
from backfill_core.reports.run_texts import next_command, run_word, took_words
from backfill_core.run_state import RunState

SCHEMA = "backfill.runs/1"

#: Runs, each with whether it still holds its lease.
Runs = Sequence[tuple[RunState, bool]]


def runs_lines(runs: Runs, now: datetime) -> list[str]:
    """A table of runs, and what to type next about the first."""
    if not runs:
        return ["no run yet", "next: backfill plan"]
    lines = [f"{'RUN':5} {'STATE':8} {'STARTED UTC':11} {'TOOK':>11} {'DONE':>6} {'UNITS':>6} {'FAILED':>6}  EXIT"]
    for state, alive in runs:
        assert state.started is not None
        exit_words = f"{state.ended.exit_code}: {state.ended.exit_reason}" if state.ended else ""
        line = (
            f"{state.name:5} {run_word(state, alive=alive):8} {state.started.at:%m-%d %H:%M} "
            f"{took_words(state, now, alive=alive):>11} {state.count(Word.DONE):>6,} {state.units:>6,} "
            f"{state.count(Word.FAILED, Word.DECLINED):>6,}  {exit_words}"
        ).rstrip()
        lines.append(line)
    latest, alive = runs[0]
    return [*lines, f"next: {next_command(latest, alive=alive)}"]


def runs_json(runs: Runs) -> dict[str, Any]:
    """The same as data."""
    return {"schema": SCHEMA, "runs": [_run_json(state, alive) for state, alive in runs]}


def _run_json(state: RunState, alive: bool) -> dict[str, Any]:
    assert state.started is not None and state.plan is not None
    return {
        "run": state.name,
        "state": run_word(state, alive=alive).lower(),
        "target": state.started.target,
        "command": state.started.command,
        "user": state.started.user,
        "host": state.started.host,
        "pid": state.started.pid,
        "commit": state.started.commit,
        "plan": state.plan.hash,
        "span": [str(state.plan.request.span.first), str(state.plan.request.span.last)],
        "started": state.started.at.isoformat(),
        "ended": state.ended.at.isoformat() if state.ended else None,
        "exit_code": state.ended.exit_code if state.ended else None,
        "exit_reason": state.ended.exit_reason if state.ended else None,
        "units": state.units,
        "words": {str(word): state.count(word) for word in Word},
        "left": state.left,
    }
