"""A run's status and its closing words, 80 columns wide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.events import Word
from backfill_core.reports.gate_texts import verdict_line
from backfill_core.reports.plan_texts import blocked_lines
from backfill_core.reports.remaining import remaining
from backfill_core.reports.words import dates_words, key_words, number, percent, plural, wrapped
from backfill_core.run_state import RunState

_NAME = 30


def pace_words(state: RunState) -> str:
    """Rate and remaining time, from verified work only."""
    done = state.count(Word.DONE)
    if state.started is None or state.last_done is None or done == 0:
        return "rate not known yet"
    seconds = (state.last_done - state.started.at).total_seconds()
    if seconds <= 0:
        return "rate not known yet"
    rate = done / seconds
    return f"{60 * rate:,.0f} a minute, {duration_words(state.left / rate)} to go"


def duration_words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02}"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def run_word(state: RunState, *, alive: bool) -> str:
    """Whether a run goes on, in a word."""
    if state.ended:
        return "ENDED"
    return ("DRAINING" if state.draining else "RUNNING") if alive else "DIED"


def status_lines(state: RunState, now: datetime, *, alive: bool) -> list[str]:
    """Where a run stands."""
    assert state.started is not None and state.plan is not None
    end = state.ended.at if state.ended else now
    if not state.ended and not alive:
        end = state.last_at or now
    took = duration_words((end - state.started.at).total_seconds())
    heard = ""
    if state.last_at and not state.ended:
        heard = f"  {'alive' if alive else 'last heard of'} {duration_words((now - state.last_at).total_seconds())} ago"
    plan, who = state.plan, f"pid {state.started.pid}  {state.plan.request.target}"
    lines = [
        f"run {state.name}  {run_word(state, alive=alive)} {took}  {who}  plan {plan.hash[:8]}{heard}",
        f"span {plan.request.span}  through {plan.request.through}",
        *_table(state),
        *_lost_lines(state),
        *map(verdict_line, state.verdicts),
    ]
    if state.ended:
        lines.append(f"exit {state.ended.exit_code}: {state.ended.exit_reason}")
        lines.append(f"next: backfill report {state.name}")
    elif alive:
        flying = sum(len(batch.dates) * len(batch.processors) for batch in state.in_flight.values())
        lines.append(f"in flight {flying}   to go {state.left}   {pace_words(state)} (verified work only)")
        lines.append(f"next: backfill status {state.name}")
    else:
        lines.append(f"it was killed; {plural(state.left, 'unit')} had no final word, and are looked at again by the next run")
        lines.append(f"next: {state.started.command}")
    return wrapped(lines)


def closing_lines(state: RunState, again: str, look: str) -> list[str]:
    """What a run came to. ``again`` goes on with the same request, ``look`` shows why something of it is left."""
    assert state.ended is not None and state.plan is not None
    lines = [f"run {state.name} ended", *_table(state)]
    if state.plan.blocked:
        lines += ["blocked when planned:", *blocked_lines(state.plan.blocked)]
    lines += [*coverage_change(state), *remaining_lines(state)]
    lines.append("queries: " + ", ".join(f"{count} {what}" for what, count in state.ended.queries.items()))
    lines.append(f"exit {state.ended.exit_code}: {state.ended.exit_reason}")
    if state.ended.exit_code == 0:
        lines.append(f"next: backfill report {state.name}")
    else:
        lines.append(f"next: {again if state.left else look}")
    return wrapped(lines)


def _table(state: RunState) -> list[str]:
    """A run by processor: where its units ended; blocked ones with those that were blocked when it was planned."""
    assert state.plan is not None
    lines = [f"{'':{_NAME}}{'DONE':>6}{'UNITS':>7}{'FAILED':>7}{'BLOCKED':>8}{'WITHHELD':>9}{'SKIPPED':>8}"]
    before, planned = state.plan.blocked_dates(), state.plan.planned()
    names = [name for name in state.started.chosen if name in planned or name in before] if state.started else []
    for name in names or planned:
        words = {word: len(state.dates(word, name)) for word in Word}
        units = planned[name].dates if name in planned else DateSet()
        blocked = words[Word.BLOCKED] + len(before.get(name, DateSet()))
        failed = words[Word.FAILED] + words[Word.DECLINED]
        lines.append(
            f"{name:{_NAME}}{words[Word.DONE]:>6}{len(units):>7}{failed:>7}{blocked:>8}"
            f"{words[Word.WITHHELD]:>9}{words[Word.SKIPPED]:>8}"
        )
    return lines


def _lost_lines(state: RunState) -> list[str]:
    """Why units were lost: those of a processor that ended the same way for the same reason together."""
    lost: dict[tuple[str, Word, str], DateSet] = {}
    for ending in state.endings:
        if ending.word not in (Word.DONE, Word.SKIPPED):
            group = (ending.processor, ending.word, ending.why)
            lost[group] = lost.get(group, DateSet()) | ending.dates
    return [f"{word}: {name} {dates_words(dates)}: {why}" for (name, word, why), dates in lost.items()]


def coverage_change(state: RunState) -> list[str]:
    """Each layer's measure before and after."""
    assert state.started is not None and state.ended is not None
    after = {layer["layer"]: layer for layer in _layers(state.ended.after)}
    lines = []
    for was in _layers(state.started.before):
        now = after.get(was["layer"])
        if now:
            lines.append(
                f"{was['short']} {key_words(was['key'])} {number(was['now'])} ({percent(was['now'], was['wanted'])}) -> "
                f"{number(now['now'])} ({percent(now['now'], now['wanted'])}) of {number(was['wanted'])}, "
                f"ceiling {number(now['ceiling'])} ({percent(now['ceiling'], now['wanted'])})"
            )
    return lines


def remaining_lines(state: RunState) -> list[str]:
    """What is still not complete, and why."""
    assert state.ended is not None
    if not state.ended.after:
        return ["remaining: not looked at"]
    gaps = remaining(state)
    if not gaps:
        return ["remaining: nothing"]
    return ["remaining:", *(f"  {gap.processor} {dates_words(gap.dates, most=2)}: {gap.state}: {gap.why}" for gap in gaps)]


def _layers(coverage: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(coverage.get("layers", ()))
