"""A run's completion report, as a page and as data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.events import Word
from backfill_core.reports.causes import cluster_lines, clusters, degraded_lines
from backfill_core.reports.event_texts import instructed_line
from backfill_core.reports.gate_texts import verdict_line
from backfill_core.reports.plan_texts import blocked_lines
from backfill_core.reports.remaining import remaining
from backfill_core.reports.run_texts import (
    counted,
    coverage_change,
    next_command,
    progress_lines,
    remaining_lines,
    run_word,
    took_words,
)
from backfill_core.reports.words import plural
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
        "user": state.started.user,
        "host": state.started.host,
        "pid": state.started.pid,
        "commit": state.started.commit,
        "target": state.started.target,
        "overrides": dict(sorted(state.started.overrides.items())),
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
        "causes": [each.to_json() for each in clusters(state)],
        "blocked": [blocked.to_json() for blocked in state.plan.blocked],
        "gates": [verdict.to_json() for verdict in state.verdicts],
        "before": dict(state.started.before),
        "after": dict(state.ended.after) if state.ended else {},
        "left": state.left,
        "next": next_commands(state, alive=alive),
        "remaining": [gap.to_json() for gap in remaining(state)],
    }


def report_markdown(state: RunState, now: datetime, *, alive: bool, folder: str = "") -> list[str]:
    """The completion report as the lines of a page; of a run under way, what a colleague needs to take it over.

    ``folder`` is the project's, as whoever reads it would find it.
    """
    assert state.started is not None and state.plan is not None
    parts = [f"# Run {state.name}", "", *_hand_off(state, now, alive=alive, folder=folder), "", "## Units", "", *_units(state)]
    going = state.ended is None and alive
    if going:
        parts += ["", "## Progress", "", *(f"- {line}" for line in progress_lines(state, now))]
    for title, lines in {
        "What was lost, by cause": cluster_lines(state),
        "Done on less": degraded_lines(state),
        "Blocked when planned": [line.strip() for line in blocked_lines(state.plan.blocked)],
        "Gates": [verdict_line(verdict) for verdict in state.verdicts],
        "Asked of it": [instructed_line(event) for event in state.instructed],
    }.items():
        if lines:
            parts += ["", f"## {title}", "", *(f"- {line}" for line in lines)]
    if state.ended and state.ended.after:
        parts += ["", "## Coverage, before -> after", "", *(f"- {line}" for line in coverage_change(state))]
        gaps = remaining_lines(state)
        parts += ["", "## What remains", "", *([f"- {line.strip()}" for line in gaps[1:]] or ["Nothing."])]
    commands = next_commands(state, alive=alive)
    parts += ["", "## What to type", "", *(f"- `{command}`" for command in commands)]
    return [*parts, "", f"next: `{commands[0]}`"]


def next_commands(state: RunState, *, alive: bool) -> list[str]:
    """What may be typed now, the first first."""
    name, going = state.name, state.ended is None and alive
    found = [next_command(state, alive=alive)]
    if going:
        found += [f"backfill status {name} --watch", f"backfill {'continue' if state.resting else 'pause'} {name}"]
        found.append(f"backfill cancel {name}")
    else:
        found += [f"backfill resume {name}"] if state.left else []
        found += [f"backfill retry {name}"] if state.count(Word.FAILED, Word.DECLINED) else []
        found += ["backfill plan"]
    report = f"backfill report {name}"
    return [command for command in dict.fromkeys(found) if command != report]


def _hand_off(state: RunState, now: datetime, *, alive: bool, folder: str) -> list[str]:
    """Who, where, what, and how far."""
    assert state.started is not None and state.plan is not None
    started, ended, request = state.started, state.ended, state.plan.request
    where = f"{started.host}:{folder}" if folder else started.host
    lines = [
        f"- who: {started.user or 'not recorded'}, pid {started.pid}",
        f"- where: {where}",
        f"- command: `{started.command}`",
        f"- commit: {started.commit or 'not recorded'}",
        f"- target {started.target}, span {request.span}, through {request.through}",
        *(f"- set aside: {guard} ({why})" for guard, why in sorted(started.overrides.items())),
        f"- started {started.at:%Y-%m-%d %H:%M:%S} UTC" + (f", ended {ended.at:%Y-%m-%d %H:%M:%S} UTC" if ended else ""),
        f"- {state.units - state.left:,} of {plural(state.units, 'unit')} have their final word",
    ]
    if ended:
        return [*lines, f"- exit {ended.exit_code}: {ended.exit_reason}"]
    word = run_word(state, alive=alive).lower()
    return [*lines, f"- {word} after {took_words(state, now, alive=alive)}"]


def _units(state: RunState) -> list[str]:
    """A table of units by processor; those blocked when it was planned are blocked."""
    assert state.started is not None and state.plan is not None
    lines = ["| Processor | Units | Done | Failed | Blocked | Withheld | Skipped |", "|---|---:|---:|---:|---:|---:|---:|"]
    before, planned = state.plan.blocked_dates(), state.plan.planned()
    for name in dict.fromkeys((*state.started.chosen, *planned)):
        if name in planned or name in before:
            counts = counted(state, name, before, planned[name].dates if name in planned else DateSet())
            lines.append(f"| {name} | " + " | ".join(map(str, [counts[1], counts[0], *counts[2:]])) + " |")
    return lines
