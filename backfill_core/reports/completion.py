"""A run's completion report, as a page and as data."""

from __future__ import annotations

from typing import Any

from backfill_core.dates import DateSet
from backfill_core.events import Word
from backfill_core.reports.gate_texts import verdict_line
from backfill_core.reports.plan_texts import blocked_lines
from backfill_core.reports.remaining import remaining
from backfill_core.reports.run_texts import coverage_change, remaining_lines, run_word
from backfill_core.reports.words import dates_words
from backfill_core.run_state import RunState

SCHEMA = "backfill.report/1"


def report_json(state: RunState, *, alive: bool) -> dict[str, Any]:
    """The completion report as data."""
    assert state.started is not None and state.plan is not None
    return {
        "schema": SCHEMA,
        "run": state.name,
        "state": run_word(state, alive=alive).lower(),
        "command": state.started.command,
        "target": state.started.target,
        "plan": state.plan.hash,
        "span": [str(state.plan.request.span.first), str(state.plan.request.span.last)],
        "through": state.plan.request.through,
        "started": state.started.at.isoformat(),
        "ended": state.ended.at.isoformat() if state.ended else None,
        "exit_code": state.ended.exit_code if state.ended else None,
        "exit_reason": state.ended.exit_reason if state.ended else None,
        "processors": [
            {
                "name": name,
                "units": len(planned.dates),
                "degraded": state.degraded.get(name, DateSet()).to_json(),
                "words": {str(word): state.dates(word, name).to_json() for word in Word},
            }
            for name, planned in state.plan.planned().items()
        ],
        "endings": [
            {"processor": e.processor, "word": str(e.word), "why": e.why, "dates": e.dates.to_json()} for e in state.endings
        ],
        "blocked": [blocked.to_json() for blocked in state.plan.blocked],
        "gates": [verdict.to_json() for verdict in state.verdicts],
        "before": dict(state.started.before),
        "after": dict(state.ended.after) if state.ended else {},
        "remaining": [gap.to_json() for gap in remaining(state)],
    }


def report_markdown(state: RunState, *, alive: bool) -> str:
    """The completion report as a page."""
    assert state.started is not None and state.plan is not None
    ended, request = state.ended, state.plan.request
    parts = [
        f"# Run {state.name}",
        "",
        f"- command: `{state.started.command}`",
        f"- target {state.started.target}, span {request.span}, through {request.through}",
        f"- started {state.started.at:%Y-%m-%d %H:%M:%S} UTC" + (f", ended {ended.at:%Y-%m-%d %H:%M:%S} UTC" if ended else ""),
        f"- exit {ended.exit_code}: {ended.exit_reason}" if ended else f"- {run_word(state, alive=alive).lower()}",
        "",
        "## Units",
        "",
        "| Processor | Planned | Done | Failed | Blocked | Withheld | Skipped | Blocked when planned |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    before, planned = state.plan.blocked_dates(), state.plan.planned()
    for name in dict.fromkeys((*state.started.chosen, *planned)):
        if name in planned or name in before:
            words = (Word.DONE, Word.FAILED, Word.BLOCKED, Word.WITHHELD, Word.SKIPPED)
            counts = [len(planned[name].dates) if name in planned else 0, *(len(state.dates(word, name)) for word in words)]
            parts.append(f"| {name} | " + " | ".join(map(str, [*counts, len(before.get(name, DateSet()))])) + " |")
    lost = [
        f"- {e.word}: {e.processor} {dates_words(e.dates)}: {e.why}"
        for e in state.endings
        if e.word not in (Word.DONE, Word.SKIPPED)
    ]
    if lost:
        parts += ["", "## What was lost, and why", "", *lost]
    if state.plan.blocked:
        parts += ["", "## Blocked when planned", "", *(f"- {line.strip()}" for line in blocked_lines(state.plan.blocked))]
    if state.verdicts:
        parts += ["", "## Gates", "", *(f"- {verdict_line(verdict)}" for verdict in state.verdicts)]
    if ended and ended.after:
        parts += ["", "## Coverage, before -> after", "", *(f"- {line}" for line in coverage_change(state))]
        gaps = remaining_lines(state)
        parts += ["", "## What remains", "", *([f"- {line.strip()}" for line in gaps[1:]] or ["Nothing."])]
    return "\n".join([*parts, "", "next: `backfill plan`", ""])
