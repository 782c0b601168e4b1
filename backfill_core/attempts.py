"""What runs made of one unit: its calls and the words it got, from the events that tell of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from backfill_core.events import BatchEnded, BatchStarted, Event, UnitsEnded, UnitsUnverified
from backfill_core.model.units import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call that a unit was in, or one word that it got without a call."""

    run: str
    #: When the call left, or the word was given.
    at: datetime
    #: How it ended: a `Word`, or ``unverified`` where it was claimed, not found and tried again; empty: it got no word.
    word: str = ""
    why: str = ""
    degraded: bool = False
    #: The call it was in, None for none: its number in the run, how long it took, and how many units it held.
    batch: int | None = None
    seconds: float | None = None
    units: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "at": self.at.isoformat(),
            "word": self.word,
            "why": self.why,
            "degraded": self.degraded,
            "batch": self.batch,
            "seconds": self.seconds,
            "units": self.units,
        }


def tells_of(event: Event, unit: Unit) -> bool:
    """Whether an event is about that unit: a call it is in, or a word on it."""
    match event:
        case BatchStarted():
            return unit.processor in event.processors and unit.day in event.dates
        case UnitsEnded() | UnitsUnverified():
            return unit.processor == event.processor and unit.day in event.dates
        case _:
            return False


def about(unit: Unit, events: Iterable[Event]) -> list[Event]:
    """Of one run's events those that tell of a unit, and the ends of the calls it was in."""
    found: list[Event] = []
    calls: set[int] = set()
    for event in events:
        if tells_of(event, unit):
            found.append(event)
            if isinstance(event, BatchStarted):
                calls.add(event.batch)
        elif isinstance(event, BatchEnded) and event.batch in calls:
            found.append(event)
    return found


def attempts(run: str, events: Iterable[Event], unit: Unit) -> list[Attempt]:
    """The attempts of one run at a unit, newest first."""
    found: list[Attempt] = []
    for event in events:
        match event:
            case BatchEnded():
                found = [replace(each, seconds=event.seconds) if each.batch == event.batch else each for each in found]
            case BatchStarted() if tells_of(event, unit):
                units = len(event.dates) * len(event.processors)
                found.append(Attempt(run=run, at=event.at, batch=event.batch, units=units))
            case UnitsUnverified() if tells_of(event, unit):
                found = _worded(found, Attempt(run=run, at=event.at, word="unverified", why=event.why))
            case UnitsEnded() if tells_of(event, unit):
                degraded = unit.day in event.degraded
                found = _worded(found, Attempt(run=run, at=event.at, word=str(event.word), why=event.why, degraded=degraded))
            case _:
                pass
    return found[::-1]


def _worded(found: list[Attempt], word: Attempt) -> list[Attempt]:
    """The attempts, the last of which got that word if it had none yet; else the word is one of its own."""
    if not found or found[-1].word:
        return [*found, word]
    return [*found[:-1], replace(found[-1], word=word.word, why=word.why, degraded=word.degraded)]
