"""Units that an earlier run left behind: their call left, and nobody knows how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backfill_core.events import BatchStarted, Event, Failure, UnitsDeferred, UnitsEnded
from backfill_core.graph import Pipeline
from backfill_core.model.runs import Called
from backfill_core.plan import Plan

#: Seconds between two looks at the same table: no more than 12 a minute.
_APART = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A call that may still be at work."""

    #: When it left, and until when its service may hold a lock for it.
    left: datetime
    until: datetime


def left_behind(
    pipeline: Pipeline, plan: Plan, runs: Iterable[Iterable[Event]], now: datetime
) -> dict[str, dict[int, LeftBehind]]:
    """The planned units that must not be called yet, by processor and day number: their service may be at them.

    ``runs`` are the events of earlier ones, in order of time.
    """
    found: dict[str, dict[int, LeftBehind]] = {}
    locks = locks_of(pipeline, plan)
    calls = _unanswered(runs) if locks else {}
    for name, lock in locks.items():
        planned = set(plan.planned()[name].dates.numbers())
        behind = {
            day: LeftBehind(left=left, until=_together(left + lock))
            for day, left in sorted(calls.get(name, {}).items())
            if left + lock > now and day in planned
        }
        if behind:
            found[name] = behind
    return found


def locks_of(pipeline: Pipeline, plan: Plan) -> dict[str, timedelta]:
    """How long the service of each planned processor may hold a lock after a call that was lost, where it may at all."""
    specs = {name: pipeline.processors[name].spec_for(pipeline.runtime) for name in plan.planned()}
    return {
        name: timedelta(seconds=spec.service.lock)
        for name, spec in specs.items()
        if isinstance(spec, Called) and spec.service and spec.service.lock
    }


def _together(until: datetime) -> datetime:
    """A moment later, so that those that are looked at about the same time are looked at together."""
    return datetime.fromtimestamp(-(-until.timestamp() // _APART) * _APART, UTC)


def _unanswered(runs: Iterable[Iterable[Event]]) -> dict[str, dict[int, datetime]]:
    """When the latest call of each unit left that nothing is known of, by processor and day number."""
    calls: dict[str, dict[int, datetime]] = {}
    for events in runs:
        for event in events:
            match event:
                case BatchStarted():
                    for name in event.processors:
                        calls.setdefault(name, {}).update(dict.fromkeys(event.dates.numbers(), event.at))
                case UnitsDeferred(failure=Failure.UNKNOWN):
                    pass
                case UnitsEnded() | UnitsDeferred():  # it has its word, or its service answered
                    of_it = calls.get(event.processor, {})
                    for day in event.dates.numbers():
                        of_it.pop(day, None)
                case _:
                    pass
    return calls
