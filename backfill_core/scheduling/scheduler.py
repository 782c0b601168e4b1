"""What may be judged, called, looked at and gated now: a state machine without clock, thread or file.

It is told what happened and asked what is next. Execution and simulation ask the very same one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backfill_core.dates import DateSet
from backfill_core.model.units import Batch
from backfill_core.scheduling.batches import date_runs
from backfill_core.scheduling.ready import Ready
from backfill_core.scheduling.work import Work

#: Claims of one table are observed together: at so many, or after so long, or when nothing else can start.
CLAIMS_TOGETHER = 50
CLAIMS_WAIT = 30.0
#: Seconds between two looks at the same table.
CLAIMS_PACE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """A batch that may leave."""

    batch: Batch
    #: How many units it has.
    units: int
    attempt: int = 1

    @property
    def processor(self) -> str:
        return self.batch.processors[0]


@dataclass(slots=True)
class _Claims:
    """Dates of one processor that a runner says are done, until they are observed."""

    dates: DateSet = field(default_factory=DateSet)
    since: float = 0.0
    looked: float = float("-inf")


class Scheduler:
    """Decides on the units of one run. Times are seconds on any one clock.

    ``layers`` are in their order, each with those before it. ``caps`` says how many calls of a lane may be in flight; a lane is
    whatever several processors name together, such as a service or a table.
    """

    def __init__(
        self,
        works: Sequence[Work],
        layers: Mapping[str, frozenset[str]],
        *,
        concurrency: int,
        caps: Mapping[str, int] | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.caps = dict(caps or {})
        #: Units that are not judged yet.
        self.waiting = {work.name: work.dates for work in works}
        self.in_flight: dict[int, Calling] = {}
        self._works = {work.name: work for work in works}
        self._rank = {work.name: place for place, work in enumerate(works)}
        self._layers = dict(layers)
        #: Units of each layer without a final word.
        self._left = dict.fromkeys(layers, 0)
        for work in works:
            self._left[work.layer] += len(work.dates)
        self._judged: set[str] = set()
        self._open = {layer for layer, before in layers.items() if not before}
        self._ready = Ready(works)
        self._free: dict[str, list[int]] = {}
        #: What is ready in layers that are not open yet.
        self._parked: dict[str, dict[str, list[int]]] = {layer: {} for layer in layers}
        for name, days in self._ready.at_once().items():
            self._shelf(name)[name] = days
        #: Calls that may leave, oldest first, by the capped lanes they are in.
        self._queues: dict[tuple[str, ...], deque[Calling]] = {}
        self._busy = dict.fromkeys(self.caps, 0)
        self._claims: dict[str, _Claims] = {}
        self._retried: dict[str, DateSet] = {}
        self._batches = 0

    # What happened.

    def ended(self, name: str, dates: DateSet) -> None:
        """Units have their final word."""
        days = dates.numbers()
        self._left[self._works[name].layer] -= len(days)
        for reader, day in self._ready.ended(name, days):
            self._shelf(reader).setdefault(reader, []).append(day)

    def admitted(self, name: str, dates: DateSet) -> None:
        """Units were judged, and what they need is there."""
        self._queue(name, dates, attempt=1)

    def came_home(self, number: int) -> Calling:
        """A call is over, whatever it says."""
        calling = self.in_flight.pop(number)
        for lane in self._capped(calling.processor):
            self._busy[lane] -= 1
        return calling

    def claimed(self, name: str, dates: DateSet, now: float) -> None:
        """A runner says that units are done; nobody has looked yet."""
        claims = self._claims.setdefault(name, _Claims())
        if not claims.dates:
            claims.since = now
        claims.dates |= dates

    def unverified(self, name: str, dates: DateSet) -> None:
        """Claimed units were not there, and are tried again."""
        self._retried[name] = self.retried(name) | dates
        self._queue(name, dates, attempt=2)

    def judged(self, layer: str) -> None:
        """A layer's gates have spoken; the layers after it may begin."""
        self._judged.add(layer)
        for later, before in self._layers.items():
            if later not in self._open and before <= self._judged:
                self._open.add(later)
                self._free |= self._parked.pop(later)

    def throttle(self, *, concurrency: int | None = None, caps: Mapping[str, int] | None = None) -> None:
        """Other limits hold from here on. What is in flight over them comes home first."""
        self.concurrency = concurrency or self.concurrency
        if caps:
            self.caps |= caps
            waiting = sorted((each for queue in self._queues.values() for each in queue), key=lambda c: c.batch.number)
            self._queues = {}
            for calling in waiting:
                self._queues.setdefault(self._capped(calling.processor), deque()).append(calling)
            self._busy = dict.fromkeys(self.caps, 0)
            for calling in self.in_flight.values():
                for lane in self._capped(calling.processor):
                    self._busy[lane] += 1

    @property
    def lanes(self) -> frozenset[str]:
        """Everything that may be capped."""
        return frozenset(lane for work in self._works.values() for lane in work.lanes)

    # What is next.

    def to_judge(self) -> dict[str, DateSet]:
        """Units whose upstream has its final word, each told once. They are to be admitted or ended."""
        free, self._free = self._free, {}
        found = {name: DateSet.from_numbers(free[name]) for name in sorted(free, key=self._rank.__getitem__)}
        for name, dates in found.items():
            self.waiting[name] -= dates
        return found

    def layers_due(self) -> list[str]:
        """Layers whose units all ended after all before them were judged: their gates are to be judged."""
        return [
            layer
            for layer, before in self._layers.items()
            if not self._left[layer] and layer not in self._judged and before <= self._judged
        ]

    def claims_due(self, now: float) -> dict[str, DateSet]:
        """Claims to look at now, each told once."""
        idle = not self.in_flight and not self.queued
        due = {}
        for name, claims in sorted(self._claims.items()):
            ripe = len(claims.dates) >= CLAIMS_TOGETHER or now - claims.since >= CLAIMS_WAIT
            if claims.dates and (idle or (ripe and now - claims.looked >= CLAIMS_PACE)):
                claims.looked = now
                due[name], claims.dates = claims.dates, DateSet()
        return due

    def next_calls(self, now: float) -> list[Calling]:  # noqa: ARG002  (paces and budgets go by it)
        """The calls that leave now: they count as in flight from here on."""
        leaving = []
        while len(self.in_flight) < self.concurrency and (lanes := self._next_lanes()) is not None:
            calling = self._queues[lanes].popleft()
            if not self._queues[lanes]:
                del self._queues[lanes]
            for lane in lanes:
                self._busy[lane] += 1
            self.in_flight[calling.batch.number] = calling
            leaving.append(calling)
        return leaving

    @property
    def queued(self) -> bool:
        """Whether calls wait for a place."""
        return bool(self._queues)

    @property
    def claims(self) -> bool:
        """Whether claims wait to be looked at."""
        return any(claims.dates for claims in self._claims.values())

    @property
    def unstarted(self) -> bool:
        """Whether units wait that may still start."""
        return self.queued or any(self.waiting.values())

    def retried(self, name: str) -> DateSet:
        """Units that have been tried again."""
        return self._retried.get(name, DateSet())

    def _shelf(self, name: str) -> dict[str, list[int]]:
        layer = self._works[name].layer
        return self._free if layer in self._open else self._parked[layer]

    def _queue(self, name: str, dates: DateSet, *, attempt: int) -> None:
        queue = self._queues.setdefault(self._capped(name), deque())
        for days in date_runs(dates.numbers(), self._works[name].most, share=self.concurrency):
            self._batches += 1
            batch = Batch(number=self._batches, processors=(name,), dates=DateSet.from_numbers(days))
            queue.append(Calling(batch=batch, units=len(days), attempt=attempt))

    def _capped(self, name: str) -> tuple[str, ...]:
        return tuple(lane for lane in self._works[name].lanes if lane in self.caps)

    def _next_lanes(self) -> tuple[str, ...] | None:
        """The lanes of the oldest call whose lanes have all a place left."""
        found, oldest = None, 0
        for lanes, queue in self._queues.items():
            number = queue[0].batch.number
            if (found is None or number < oldest) and all(self._busy[lane] < self.caps[lane] for lane in lanes):
                found, oldest = lanes, number
        return found
