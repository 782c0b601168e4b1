"""Units that wait for their time: to be called again, to be looked at before that, or to have their turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from heapq import heappop, heappush
from typing import NamedTuple

from backfill_core.scheduling.lanes import NEVER
from backfill_core.scheduling.retries import Tries


class Then(StrEnum):
    """What becomes of units when their time has come."""

    #: They are called again.
    CALL = "call"
    #: They are looked at first.
    LOOK = "look"
    #: They have their turn once more.
    TURN = "turn"


class Deferred(NamedTuple):
    """Units of one processor. The earliest comes first."""

    until: float
    #: Order of coming.
    number: int
    name: str
    days: tuple[int, ...]
    tries: Tries
    then: Then


class Later:
    """Holds them until they are ripe."""

    def __init__(self) -> None:
        self._heap: list[Deferred] = []
        self._came = 0

    def put(self, until: float, name: str, days: Sequence[int], tries: Tries, then: Then) -> None:
        self._came += 1
        heappush(self._heap, Deferred(until, self._came, name, tuple(days), tries, then))

    def ripe(self, now: float) -> Iterator[Deferred]:
        """Takes out what has waited long enough."""
        while self._heap and self._heap[0].until <= now:
            yield heappop(self._heap)

    def next_at(self) -> float:
        return self._heap[0].until if self._heap else NEVER

    def __bool__(self) -> bool:
        return bool(self._heap)
