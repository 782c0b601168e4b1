"""How fast a run goes and when it will be done, from verified work alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backfill_core.events import Word
from backfill_core.reports.words import dates_words
from backfill_core.run_state import RunState

#: A call is slow at so many times what its processor's verified calls took, and at least so many seconds.
_SLOW, _SLOW_SECONDS = 3.0, 10.0
#: Estimates that agree are no better than this.
_MARGIN = 0.05


def per_minute(state: RunState, name: str) -> float | None:
    """Verified units a minute of one processor, from its first call to its latest verified unit; None: not known."""
    pace = state.paces.get(name)
    if pace is None or pace.latest is None or (seconds := (pace.latest - pace.first).total_seconds()) <= 0:
        return None
    return 60 * pace.done / seconds


def seconds_left(state: RunState) -> tuple[float, float] | None:
    """Least and most seconds to go, as of the latest verified unit; None before there is one.

    The range spans what the whole run, its latest units, and the calls of each processor make of it. A processor of which
    nothing was verified yet counts as one of the others.
    """
    done = state.count(Word.DONE)
    if state.last_done is None or not done:
        return None
    active = state.active_at_done
    found = [active / done * state.left]
    if len(state.lately) > 1 and not state.paused_for:
        since, until = state.lately[0][0], state.lately[-1][0]
        units = sum(count for _, count in state.lately) - state.lately[0][1]
        found.append((until - since).total_seconds() / units * state.left)
    found += _by_processor(state, active)
    return min(found) * (1 - _MARGIN), max(found) * (1 + _MARGIN)


def _by_processor(state: RunState, active: float) -> list[float]:
    """What is left of each processor at what its units took, with as many calls side by side as there were so far."""
    assert state.plan is not None
    takes = {name: seconds / count for name, (seconds, count) in state.worked.items() if count}
    beside = sum(seconds for seconds, _ in state.worked.values()) / active if active else 0.0
    if not takes or not beside:
        return []
    least = most = 0.0
    for name, planned in state.plan.planned().items():
        left = len(planned.dates) - sum(map(len, state.words.get(name, {}).values()))
        least += left * takes.get(name, min(takes.values()))
        most += left * takes.get(name, max(takes.values()))
    return [least / beside, most / beside]


def pace_words(state: RunState) -> str:
    """How many units a minute are verified."""
    if not state.active_at_done:
        return "rate not known yet"
    return f"{rate_words(60 * state.count(Word.DONE) / state.active_at_done)} a minute"


def rate_words(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def eta_words(state: RunState, now: datetime) -> str:
    """When the run will be done, as a range: ``ETA 13:25-13:50 UTC``."""
    left = seconds_left(state)
    if state.resting:
        return "ETA none while paused"
    if state.breakers and not state.in_flight and not state.draining:
        are = "is" if len(state.breakers) == 1 else "are"
        return f"ETA none while {' and '.join(sorted(state.breakers))} {are} left alone"
    if state.draining or state.stopped:
        return "ETA none: it is stopping"
    if (waiting := state.waiting(now)) and not state.in_flight and not state.claimed:
        return f"ETA none before {waiting[0].astimezone(UTC):%H:%M:%S} UTC"
    if left is None or state.last_done is None:
        return "ETA not known yet"
    passed = state.active(now) - state.active_at_done
    least, most = (max(0.0, seconds - passed) for seconds in left)
    if not most and state.left:
        return f"ETA overdue: nothing verified in {duration_words(passed)}"
    if most < 120:
        return f"ETA in {_range(least, most)}"
    first, last = ((now + timedelta(seconds=seconds)).astimezone(UTC) for seconds in (least, most))
    if first.date() == last.date() == now.astimezone(UTC).date():
        ends = f"{first:%H:%M}" if f"{first:%H:%M}" == f"{last:%H:%M}" else f"{first:%H:%M}-{last:%H:%M}"
        return f"ETA {ends} UTC"
    return f"ETA {first:%m-%d %H:%M} to {last:%m-%d %H:%M} UTC"


def slow_lines(state: RunState, now: datetime) -> list[str]:
    """Calls in flight that take much longer than verified ones of the same processor did."""
    found = []
    for batch in state.in_flight.values():
        out = (now - batch.at).total_seconds()
        known = [state.worked[name] for name in batch.processors if name in state.worked]
        usual = sum(spent / count for spent, count in known) * len(batch.dates)
        if len(known) == len(batch.processors) and out > max(_SLOW * usual, _SLOW_SECONDS):
            days = dates_words(batch.dates, most=1)
            found.append(
                f"slow: {', '.join(batch.processors)} {days} in flight {duration_words(out)}; usual {duration_words(usual)}"
            )
    return found


def eta_told(state: RunState, now: datetime) -> str:
    """The same, with what it rests on."""
    words = eta_words(state, now)
    return f"{words} (verified work only)" if any(sign.isdigit() for sign in words) and "overdue" not in words else words


def breaker_lines(state: RunState) -> list[str]:
    """The services that are left alone, and until when."""
    return [
        f"service {name} left alone until {moved.probe.astimezone(UTC):%H:%M:%S} UTC: it fails call after call"
        for name, moved in sorted(state.breakers.items())
        if moved.probe
    ]


def claims_line(state: RunState) -> str:
    """How many units were said to be done and were not, and how many are still to be looked at."""
    empty = sum(map(len, state.wrote_nothing.values()))
    waiting = f"   claimed {state.claimed:,}, not looked at yet" if state.claimed else ""
    return f"wrote nothing {empty}   unverified {state.unverified}{waiting}"


def flying(state: RunState) -> int:
    """Units in flight."""
    return sum(len(batch.dates) * len(batch.processors) for batch in state.in_flight.values())


def duration_words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02}"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _range(least: float, most: float) -> str:
    shown = duration_words(least), duration_words(most)
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"
