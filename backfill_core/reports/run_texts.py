"""A run's status and its closing words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backfill_core.dates import DateSet, union
from backfill_core.events import Word
from backfill_core.reports.causes import cause, cluster_lines, clusters, degraded_lines
from backfill_core.reports.event_texts import instructed_line, limits_words
from backfill_core.reports.gate_texts import verdict_line
from backfill_core.reports.pace_texts import (
    breaker_lines,
    claims_line,
    duration_words,
    eta_told,
    flying,
    per_minute,
    rate_words,
    seconds_left,
    slow_lines,
)
from backfill_core.reports.plan_texts import blocked_lines
from backfill_core.reports.remaining import Gap, remaining
from backfill_core.reports.trouble_texts import identity_line, sight_line
from backfill_core.reports.words import WIDTH, dates_words, key_words, number, percent, plural
from backfill_core.run_state import RunState

SCHEMA = "backfill.status/1"


def run_word(state: RunState, *, alive: bool) -> str:
    """Whether a run goes on, in a word."""
    if state.ended:
        return "ENDED"
    if not alive:
        return "DIED"
    if state.draining:
        return "DRAINING"
    return "PAUSED" if state.resting else "RUNNING"


def took_words(state: RunState, now: datetime, *, alive: bool) -> str:
    """How long a run took, or has been going."""
    assert state.started is not None
    going = state.ended is None and alive
    return duration_words((now - state.started.at).total_seconds() if going else state.lasted)


def status_lines(state: RunState, now: datetime, *, alive: bool) -> list[str]:
    """Where a run stands, and what to type next."""
    assert state.started is not None and state.plan is not None
    heard = ""
    if state.last_at and not state.ended:
        heard = f"  {'alive' if alive else 'last heard of'} {duration_words((now - state.last_at).total_seconds())} ago"
    plan, who = state.plan, f"pid {state.started.pid}  {state.plan.request.target}"
    took = took_words(state, now, alive=alive)
    lines = [
        f"run {state.name}  {run_word(state, alive=alive)} {took}  {who}  plan {plan.hash[:8]}{heard}",
        f"span {plan.request.span}  through {plan.request.through}",
        *table_lines(state),
    ]
    if state.ended is None and alive:
        lines += progress_lines(state, now)
    lines += [*cluster_lines(state), *degraded_lines(state), *map(verdict_line, state.verdicts)]
    if state.ended:
        lines.append(f"exit {state.ended.exit_code}: {state.ended.exit_reason}")
    elif not alive:
        left = plural(state.left, "unit")
        lines.append(f"it was killed or hangs; {left} had no final word, and are looked at again when it is resumed")
    return [*lines, f"next: {next_command(state, alive=alive)}"]


def status_json(state: RunState, now: datetime, *, alive: bool) -> dict[str, Any]:
    """The same as data."""
    assert state.started is not None and state.plan is not None
    left = seconds_left(state)
    return {
        "schema": SCHEMA,
        "run": state.name,
        "state": run_word(state, alive=alive).lower(),
        "pid": state.started.pid,
        "host": state.started.host,
        "target": state.started.target,
        "plan": state.plan.hash,
        "started": state.started.at.isoformat(),
        "heard": state.last_at.isoformat() if state.last_at else None,
        "seconds": round((now - state.started.at).total_seconds() if not state.ended and alive else state.lasted, 3),
        "units": state.units,
        "left": state.left,
        "in_flight": flying(state),
        "claimed": state.claimed,
        "seconds_left": [round(seconds, 1) for seconds in left] if left and not state.ended else None,
        "wrote_nothing": {name: dates.to_json() for name, dates in state.wrote_nothing.items()},
        "unverified": state.unverified,
        "degraded": {name: dates.to_json() for name, dates in state.degraded.items() if dates},
        "processors": [
            {
                "name": name,
                "units": len(planned.dates),
                "words": {str(word): len(state.dates(word, name)) for word in Word},
                "per_minute": per_minute(state, name),
            }
            for name, planned in state.plan.planned().items()
        ],
        "breakers": [
            {"service": name, "position": moved.position, "probe": moved.probe.isoformat() if moved.probe else None}
            for name, moved in sorted(state.breakers.items())
        ],
        "causes": [each.to_json() for each in clusters(state)],
        "exit_code": state.ended.exit_code if state.ended else None,
        "exit_reason": state.ended.exit_reason if state.ended else None,
        "next": next_command(state, alive=alive),
    }


def progress_lines(state: RunState, now: datetime) -> list[str]:
    """How a run under way is getting on."""
    eta = eta_told(state, now)
    lines = [
        f"in flight {flying(state)}   to go {state.left:,}   {eta}",
        claims_line(state),
    ]
    if waiting := state.waiting(now):
        lines.append(f"waiting {plural(len(waiting), 'unit')}, the first until {waiting[0].astimezone(UTC):%H:%M:%S} UTC")
    if state.paused:
        lines.append(instructed_line(state.paused))
    if state.identity_lost:
        lines.append(identity_line(state.identity_lost, state.name))
    if state.sight_lost:
        lines.append(sight_line(state.sight_lost, state.name))
    if state.cancelled:
        lines.append(instructed_line(state.cancelled))
    if state.concurrency or state.caps:
        lines.append(f"throttled: {limits_words(state.concurrency, state.caps)}")
    return [*lines, *breaker_lines(state), *slow_lines(state, now)]


def next_command(state: RunState, *, alive: bool) -> str:
    """What to type next."""
    if state.ended is None and alive and state.resting and not state.draining:
        return f"backfill continue {state.name}"
    failed = clusters(state, (Word.FAILED, Word.DECLINED))
    if failed:
        return f"backfill logs {state.name} --processor {failed[0].processor} --date {failed[0].day}"
    if state.ended is None:
        return f"backfill status {state.name} --watch" if alive else f"backfill resume {state.name}"
    return next_after(state)


def next_after(state: RunState) -> str:
    """What to type after a run in which nothing failed."""
    return f"backfill {'resume' if state.left else 'report'} {state.name}"


def closing_lines(state: RunState, look: str) -> list[str]:
    """What a run came to. ``look`` is the command that shows why something of its request is left."""
    assert state.ended is not None and state.plan is not None
    lines = [f"run {state.name} ended", *table_lines(state), *cluster_lines(state), *degraded_lines(state)]
    if state.plan.blocked:
        lines += ["blocked when planned:", *blocked_lines(state.plan.blocked)]
    lines += [*coverage_change(state), *remaining_lines(state)]
    lines.append("queries: " + ", ".join(f"{count} {what}" for what, count in state.ended.queries.items()))
    lines.append(f"exit {state.ended.exit_code}: {state.ended.exit_reason}")
    mended = not state.ended.exit_code or state.left
    lines.append(f"next: {next_after(state) if mended else look}")
    return lines


def table_lines(state: RunState) -> list[str]:
    """A run by processor: where its units ended; blocked ones with those that were blocked when it was planned.

    While it goes on, a layer that is done takes one line.
    """
    assert state.plan is not None
    before, planned = state.plan.blocked_dates(), state.plan.planned()
    names = [name for name in state.started.chosen if name in planned or name in before] if state.started else []
    layers = {} if state.ended else _done_layers(state)
    rows: dict[str, list[int]] = {}
    for name in names or planned:
        row = counted(state, name, before, planned[name].dates if name in planned else DateSet())
        title = layers.get(name, name)
        rows[title] = [a + b for a, b in zip(rows[title], row, strict=True)] if title in rows else row
    shown = [n for n, title in enumerate(_COLUMNS) if title not in _WHERE_ANY or any(row[n] for row in rows.values())]
    paced = not state.ended and bool(state.last_done)
    wide = sum(len(_COLUMNS[n]) + 2 for n in shown) + (9 if paced else 0)
    room = max(10, WIDTH - wide)
    width = min(room, max([20, *map(len, rows)]))
    lines = [" " * width + "".join(f"  {_COLUMNS[n]}" for n in shown) + ("  PER MIN" if paced else "")]
    for title, row in rows.items():
        rate = per_minute(state, title) if paced else None
        fits = title if len(title) <= width else title[: width - 1] + "…"
        cells = "".join(f"{row[n]:>{len(_COLUMNS[n]) + 2},}" for n in shown)
        lines.append(f"{fits:{width}}{cells}" + (f"{rate_words(rate):>9}" if rate else ""))
    return lines


_COLUMNS = (" DONE", "UNITS", "FAILED", "BLOCKED", "WITHHELD", "SKIPPED")
#: Columns that are shown only where there is something in them.
_WHERE_ANY = ("WITHHELD", "SKIPPED")


def counted(state: RunState, name: str, before: Mapping[str, DateSet], planned: DateSet) -> list[int]:
    """How many units of a processor are done, planned, failed, blocked, withheld and skipped."""
    words = {word: len(state.dates(word, name)) for word in Word}
    blocked = words[Word.BLOCKED] + len(before.get(name, DateSet()))
    failed = words[Word.FAILED] + words[Word.DECLINED] + words[Word.EXHAUSTED]
    return [words[Word.DONE], len(planned), failed, blocked, words[Word.WITHHELD], words[Word.SKIPPED]]


def _done_layers(state: RunState) -> dict[str, str]:
    """The processors of layers whose units all ended well, where there are several of them, each with its layer."""
    assert state.plan is not None
    found: dict[str, str] = {}
    for stage in state.plan.stages:
        names = [each.name for each in stage.processors]
        well = sum(len(state.dates(word, name)) for name in names for word in (Word.DONE, Word.SKIPPED))
        if len(names) > 1 and well == stage.units:
            found |= dict.fromkeys(names, stage.layer)
    return found


def coverage_change(state: RunState) -> list[str]:
    """The measure before and after of each layer that the run was about."""
    assert state.started is not None and state.ended is not None
    after = {layer["layer"]: layer for layer in _layers(state.ended.after)}
    chosen = state.started.chosen  # none: the journal is older than that it was kept
    told: Any = state.started.before.get("processors", ())
    meant = {each["layer"] for each in told if not chosen or each["name"] in chosen}
    lines = []
    for was in _layers(state.started.before):
        now = after.get(was["layer"])
        if now and was["layer"] in meant:
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
    alike: dict[tuple[str, str, str], list[Gap]] = {}
    for gap in gaps:
        alike.setdefault((gap.processor, gap.state, cause(gap.why)), []).append(gap)
    return ["remaining:", *map(_remaining_line, alike.values())]


def _remaining_line(alike: Sequence[Gap]) -> str:
    """Gaps of one processor in one state for one cause: the very reason, or that of the first as an example."""
    first = min(alike, key=lambda gap: gap.dates.first)
    dates = dates_words(union(gap.dates for gap in alike), most=2)
    why = first.why if len(alike) == 1 else f"{cause(first.why)}, such as {first.dates.first}: {first.why}"
    return f"  {first.processor} {dates}: {first.state}: {why}"


def _layers(coverage: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(coverage.get("layers", ()))
