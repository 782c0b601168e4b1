"""How long units took, as a run's events tell it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from backfill_core.events import BatchEnded, BatchStarted, Event, UnitsEnded, Word


@dataclass(slots=True)
class Durations:
    """Seconds a unit, by processor, of units that were verified as done. A call's seconds are shared out evenly.

    `add` takes the events of one run in their order.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, events: Iterable[Event]) -> None:
        started: dict[int, BatchStarted] = {}
        #: Seconds a unit of the latest call of each unit: claims are verified later, and do not say which call made them.
        spent: dict[tuple[str, int], float] = {}
        for event in events:
            match event:
                case BatchStarted():
                    started[event.batch] = event
                case BatchEnded() if event.batch in started:
                    call = started.pop(event.batch)
                    days = call.dates.numbers()
                    each = event.seconds / max(1, len(days) * len(call.processors))
                    spent.update(((name, day), each) for name in call.processors for day in days)
                case UnitsEnded(word=Word.DONE):
                    found = [spent.pop((event.processor, day), None) for day in event.dates.numbers()]
                    self.seconds.setdefault(event.processor, []).extend(each for each in found if each is not None)
                case _:
                    pass
