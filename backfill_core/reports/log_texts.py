"""What a run did, looked back on: its events as lines, all of them or those of some units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from backfill_core.dates import DateSet
from backfill_core.events import BatchEnded, BatchStarted, Event, UnitsDeferred, UnitsEnded, UnitsUnverified
from backfill_core.reports.event_texts import event_line
from backfill_core.run_state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Whose events: of one processor, of one date, of both, or all."""

    processor: str | None = None
    day: date | None = None

    def has(self, processors: Iterable[str], days: DateSet) -> bool:
        return (self.processor is None or self.processor in processors) and (self.day is None or self.day in days)

    def __bool__(self) -> bool:
        return self.processor is not None or self.day is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Lines of a run's log, and the numbers of the calls that they tell of."""

    lines: list[str]
    calls: list[int]
    #: The events themselves, in the same order.
    events: list[Event]


def look_back(name: str, events: Iterable[Event], about: About) -> Looked:
    """The events of a run that are about those units, in their order; without any, those of the run as a whole too."""
    state = RunState(name)
    found = Looked(lines=[], calls=[], events=[])
    for event in events:
        state.apply(event)
        if not _told(event, about, found.calls):
            continue
        if isinstance(event, BatchStarted):
            found.calls.append(event.batch)
        line = event_line(event, state)
        if line:
            found.lines.append(f"{event.at:%H:%M:%S} {line}")
            found.events.append(event)
    return found


def _told(event: Event, about: About, calls: list[int]) -> bool:
    match event:
        case BatchStarted():
            return about.has(event.processors, event.dates)
        case BatchEnded():
            return event.batch in calls
        case UnitsEnded() | UnitsUnverified() | UnitsDeferred():
            return about.has((event.processor,), event.dates)
        case _:
            return not about
