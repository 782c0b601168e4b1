"""Calls that are ready, until one of their lanes and the run have a place for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from backfill_core.scheduling.lanes import Lanes
from backfill_core.scheduling.retries import Tries


class Waiting(NamedTuple):
    """A call that is ready. The lowest goes first."""

    urgency: float
    #: Order of coming.
    number: int
    #: A processor, or what several go together as.
    name: str
    #: Day numbers, ascending. Bare, for a large plan has a million calls that wait.
    days: tuple[int, ...]
    tries: Tries


class Queue:
    """Holds calls by the lanes that bind them: where one cannot leave, none behind it can."""

    def __init__(self, lanes: Lanes, lanes_of: Mapping[str, Sequence[str]]) -> None:
        self._lanes = lanes
        self._lanes_of = lanes_of
        self._binding: dict[str, tuple[str, ...]] = {}
        self._heaps: dict[tuple[str, ...], list[Waiting]] = {}
        self._came = 0

    def put(self, urgency: float, name: str, days: Sequence[int], tries: Tries) -> None:
        self._came += 1
        self._push(Waiting(urgency, self._came, name, tuple(days), tries))

    def take(self, now: float) -> Waiting | None:
        """The most urgent of those that may leave now."""
        free = [(heap[0], lanes) for lanes, heap in self._heaps.items() if self._lanes.free_at(lanes) <= now]
        if not free:
            return None
        first, lanes = min(free)
        heappop(self._heaps[lanes])
        if not self._heaps[lanes]:
            del self._heaps[lanes]
        return first

    def may_leave_at(self) -> float:
        """From when on one of them may leave; infinite where there is none, or none before a call comes home."""
        return min((self._lanes.free_at(lanes) for lanes in self._heaps), default=float("inf"))

    def rearrange(self) -> None:
        """Other lanes bind now than did."""
        every = [waiting for heap in self._heaps.values() for waiting in heap]
        self._binding, self._heaps = {}, {}
        for waiting in every:
            self._heaps.setdefault(self._bound(waiting.name), []).append(waiting)
        for heap in self._heaps.values():
            heapify(heap)

    def __bool__(self) -> bool:
        return bool(self._heaps)

    def _push(self, waiting: Waiting) -> None:
        heappush(self._heaps.setdefault(self._bound(waiting.name), []), waiting)

    def _bound(self, name: str) -> tuple[str, ...]:
        if name not in self._binding:
            self._binding[name] = self._lanes.that_bind(self._lanes_of[name])
        return self._binding[name]
