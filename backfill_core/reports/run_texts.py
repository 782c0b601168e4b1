"""A run's status, its closing words and its completion report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.events import Word
from backfill_core.graph import Pipeline
from backfill_core.reports.texts import run_lines
from backfill_core.reports.words import dates_words, number, percent
from backfill_core.run_state import RunState

REPORT_SCHEMA = "backfill.report/1"


def pace_words(state: RunState) -> str:
    """Rate and remaining time, from verified work only."""
    done = state.count(Word.DONE)
    if state.started is None or state.last_done is None or done == 0:
        return "rate not known yet"
    seconds = (state.last_done - state.started.at).total_seconds()
    if seconds <= 0:
        return "rate not known yet"
    rate = done / seconds
    return f"{60 * rate:,.0f} a minute, {_duration(state.left / rate)} to go"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02}"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def status_lines(state: RunState, pipeline: Pipeline, now: datetime, *, alive: bool) -> list[str]:
    """Where a run stands."""
    assert state.started is not None and state.plan is not None
    end = state.ended.at if state.ended else now
    word = "ENDED" if state.ended else ("DRAINING" if state.draining else "RUNNING") if alive else "DIED"
    took = _duration((end - state.started.at).total_seconds())
    heard = f"  heard of {_duration((now - state.last_at).total_seconds())} ago" if state.last_at and not state.ended else ""
    lines = [
        f"run {state.name}  {word} {took}  pid {state.started.pid}  {state.started.target}  plan {state.plan.hash[:8]}{heard}",
        f"span {state.plan.request.span}  through {state.plan.request.through}",
        *run_lines(state, pipeline),
    ]
    if state.ended:
        lines.append(f"exit {state.ended.exit_code}: {state.ended.exit_reason}")
        lines.append(f"next: backfill report {state.name}")
    elif alive:
        flying = sum(len(batch.dates) * len(batch.processors) for batch in state.in_flight.values())
        lines.append(f"in flight {flying}   to go {state.left}   {pace_words(state)} (verified work only)")
        lines.append(f"next: backfill status {state.name}")
    else:
        lines.append(f"it did not end by itself; {state.left} units had no final word")
        lines.append("next: backfill execute")
    return lines


def closing_lines(state: RunState, pipeline: Pipeline) -> list[str]:
    """What a run came to."""
    assert state.ended is not None and state.plan is not None
    lines = [f"run {state.name} ended", *run_lines(state, pipeline), *_coverage_change(state, pipeline)]
    lines += _gaps(state)
    queries = state.ended.queries
    lines.append("queries: " + ", ".join(f"{count} {what}" for what, count in queries.items()))
    lines.append(f"exit {state.ended.exit_code}: {state.ended.exit_reason}")
    lines.append(f"next: backfill report {state.name}" if state.ended.exit_code == 0 else "next: backfill plan")
    return lines


def _coverage_change(state: RunState, pipeline: Pipeline) -> list[str]:
    assert state.started is not None and state.ended is not None
    after = {layer["layer"]: layer for layer in _layers(state.ended.after)}
    lines = []
    for was in _layers(state.started.before):
        now = after.get(was["layer"])
        if now:
            short = pipeline.layer(was["layer"]).short
            lines.append(
                f"{short} {was['key']} {number(was['now'])} ({percent(was['now'], was['wanted'])}) -> "
                f"{number(now['now'])} ({percent(now['now'], now['wanted'])}) of {number(was['wanted'])}, "
                f"ceiling {number(now['ceiling'])} ({percent(now['ceiling'], now['wanted'])})"
            )
    return lines


def remaining(after: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """What is still not complete after a run: processor -> state -> dates as in JSON."""
    return {
        processor["name"]: found
        for processor in after.get("processors", ())
        if (
            found := {
                state: list(processor["states"][state])
                for state in ("missing", "partial", "invalid", "stale")
                if processor["states"][state]
            }
        )
    }


def _gaps(state: RunState) -> list[str]:
    assert state.ended is not None
    gaps = remaining(state.ended.after)
    if not gaps:
        return ["remaining: nothing"]
    lines = ["remaining:"]
    for name, states in gaps.items():
        for word, ranges in states.items():
            dates = DateSet.from_json(ranges)
            lines.append(f"  {name}: {len(dates)} {word}: {dates_words(dates, most=2)}")
    return lines


def report_json(state: RunState) -> dict[str, Any]:
    """The completion report as data."""
    assert state.started is not None and state.plan is not None
    return {
        "schema": REPORT_SCHEMA,
        "run": state.name,
        "command": state.started.command,
        "target": state.started.target,
        "plan": state.plan.hash,
        "span": [str(state.plan.request.span.first), str(state.plan.request.span.last)],
        "through": state.plan.request.through,
        "started": state.started.at.isoformat(),
        "ended": state.ended.at.isoformat() if state.ended else None,
        "exit_code": state.ended.exit_code if state.ended else None,
        "exit_reason": state.ended.exit_reason if state.ended else "not ended",
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
        "remaining": remaining(state.ended.after) if state.ended else {},
    }


def report_markdown(state: RunState, pipeline: Pipeline) -> str:
    """The completion report as a page."""
    assert state.started is not None and state.plan is not None
    ended = state.ended
    parts = [
        f"# Run {state.name}",
        "",
        f"- command: `{state.started.command}`",
        f"- target {state.started.target}, span {state.plan.request.span}, through {state.plan.request.through}",
        f"- started {state.started.at:%Y-%m-%d %H:%M:%S} UTC" + (f", ended {ended.at:%H:%M:%S} UTC" if ended else ", not ended"),
        f"- exit {ended.exit_code}: {ended.exit_reason}" if ended else "- under way",
        "",
        "## Units",
        "",
        "| Processor | Planned | Done | Failed | Blocked | Withheld | Skipped |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, planned in state.plan.planned().items():
        counts = [len(state.dates(word, name)) for word in (Word.DONE, Word.FAILED, Word.BLOCKED, Word.WITHHELD, Word.SKIPPED)]
        parts.append(f"| {name} | {len(planned.dates)} | " + " | ".join(map(str, counts)) + " |")
    parts += ["", "## Details", "", "```", *run_lines(state, pipeline), "```"]
    if ended and ended.after:
        parts += ["", "## Coverage, before -> after", "", *(f"- {line}" for line in _coverage_change(state, pipeline))]
        parts += ["", "## What remains", "", "```", *_gaps(state), "```"]
    return "\n".join([*parts, "", "next: `backfill plan`", ""])


def _layers(coverage: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(coverage.get("layers", ()))
