"""An event as a line of text: on a terminal, in a run's log file, and when somebody looks back."""

from __future__ import annotations

from typing import assert_never

from backfill_core.dates import DateSet
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    Control,
    DrainAsked,
    Event,
    GateJudged,
    Heartbeat,
    Instructed,
    RunEnded,
    RunStarted,
    UnitsEnded,
    Word,
)
from backfill_core.gates import Verdict
from backfill_core.reports.gate_texts import verdict_line
from backfill_core.reports.pace_texts import duration_words
from backfill_core.reports.trouble_texts import trouble_line
from backfill_core.reports.words import dates_words, plural
from backfill_core.run_state import RunState


def event_line(event: Event, state: RunState) -> str:
    """One line; empty for what only the machine cares about. ``state`` has taken the event in already."""
    match event:
        case RunStarted():
            return f"run {state.name}  {plural(state.units, 'unit')}  watch: backfill status {state.name} --watch"
        case BatchStarted():
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"called {', '.join(event.processors)} {_days(event.dates)}  call {event.batch}{again}"
        case BatchEnded():
            return f"call {event.batch} came home after {duration_words(event.seconds)}"
        case UnitsEnded(word=Word.DONE):
            return f"done {event.processor} {_days(event.dates)}  {state.units - state.left:,}/{state.units:,}"
        case UnitsEnded(word=Word.SKIPPED):
            return f"skipped {event.processor} {dates_words(event.dates, most=1)}: {event.why}"
        case UnitsEnded():
            tried = f" ({event.attempts} attempts)" if event.attempts > 1 else ""
            look = f". Look: backfill explain {event.processor} {event.dates.first}" if event.why.startswith("shrank") else ""
            return f"{event.word}: {event.processor} {dates_words(event.dates, most=1)}: {event.why}{tried}{look}"
        case GateJudged():
            return verdict_line(Verdict.from_json(event.verdict))
        case DrainAsked():
            if not event.in_flight:
                return "stopping: nothing is in flight, and nothing new starts"
            limit = f", within {duration_words(event.at_most)} at most" if event.at_most is not None else ""
            slowest = f" (the slowest call so far took {duration_words(event.slowest)})" if event.slowest else ""
            come = "comes" if event.in_flight == 1 else "come"
            units = f"{plural(event.in_flight, 'unit')} in flight {come} home first"
            return f"stopping: {units}{limit}{slowest}; nothing new starts"
        case Instructed():
            return instructed_line(event)
        case RunEnded():
            return f"exit {event.exit_code}: {event.exit_reason}"
        case Heartbeat():
            return ""
        case _:
            return trouble_line(event, state.name)


def instructed_line(event: Instructed) -> str:
    """What somebody asked of a run, and what came of it."""
    if event.refused:
        return f"{event.control} by {event.by} refused: {event.refused}"
    match event.control:
        case Control.PAUSE:
            return f"paused by {event.by} at {event.at:%H:%M} UTC: nothing new leaves"
        case Control.CONTINUE:
            return f"continued by {event.by}"
        case Control.CANCEL:
            return f"cancelled by {event.by}: what is in flight comes home, nothing new leaves"
        case Control.THROTTLE:
            return f"throttled by {event.by}: {limits_words(event.concurrency, dict(event.caps))}"
        case _:
            assert_never(event.control)


def limits_words(concurrency: int | None, caps: dict[str, int]) -> str:
    """``8 calls in flight at most, bigquery 2``."""
    parts = [f"{plural(concurrency, 'call')} in flight at most"] if concurrency else []
    return ", ".join([*parts, *(f"{name} {most}" for name, most in sorted(caps.items()))])


def _days(dates: DateSet) -> str:
    return f"{dates.span} ({len(dates)})" if len(dates) > 1 else str(dates.first)
