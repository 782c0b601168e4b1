"""Which units may be judged now: those whose planned upstream units all have their final word."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from backfill_core.scheduling.work import Wait, Work

#: A day number after every other.
_NEVER = 2**31 - 1


class Ready:
    """Counts for each unit the waits that still hold it up.

    A wait lets a date go when the last unended upstream date in its window ends. The two unended dates around the one that ends
    say which windows held nothing else, and windows never fall, so that these are a range: a unit is touched once a wait,
    however wide its window is.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        self._days = {work.name: work.dates.numbers() for work in works}
        self._unended = {name: _Chain(len(days)) for name, days in self._days.items()}
        self._held = {name: [0] * len(days) for name, days in self._days.items()}
        self._readers: dict[str, list[tuple[str, Wait]]] = {name: [] for name in self._days}
        for work in works:
            for wait in work.waits:
                if wait.upstream in self._days:
                    self._readers[wait.upstream].append((work.name, wait))
                    self._hold(work.name, wait)

    def at_once(self) -> dict[str, list[int]]:
        """The days of each processor that nothing holds up from the start."""
        free = {
            name: [day for day, held in zip(self._days[name], self._held[name], strict=True) if not held] for name in self._days
        }
        return {name: days for name, days in free.items() if days}

    def ended(self, name: str, ended: Sequence[int]) -> list[tuple[str, int]]:
        """Takes in final words; returns the (processor, day) of the units that nothing holds up any longer."""
        free: list[tuple[str, int]] = []
        days, chain, readers = self._days[name], self._unended[name], self._readers[name]
        for day in ended:
            before, after = chain.unlink(bisect_left(days, day))
            earlier = days[before] if before >= 0 else -1
            later = days[after] if after < len(days) else _NEVER
            for reader, wait in readers:
                low = max(bisect_right(wait.firsts, earlier), bisect_left(wait.lasts, day))
                high = min(bisect_right(wait.firsts, day), bisect_left(wait.lasts, later))
                held = self._held[reader]
                for place in range(low, high):
                    held[place] -= 1
                    if not held[place]:
                        free.append((reader, self._days[reader][place]))
        return free

    def _hold(self, name: str, wait: Wait) -> None:
        upstream, held = self._days[wait.upstream], self._held[name]
        for place, (first, last) in enumerate(zip(wait.firsts, wait.lasts, strict=True)):
            at = bisect_left(upstream, first)
            if at < len(upstream) and upstream[at] <= last:
                held[place] += 1


class _Chain:
    """Places 0, 1, 2, … that can be taken out, each telling its neighbours that are still in."""

    __slots__ = ("_after", "_before")

    def __init__(self, length: int) -> None:
        self._before = list(range(-1, length - 1))
        self._after = list(range(1, length + 1))

    def unlink(self, place: int) -> tuple[int, int]:
        """Takes a place out; returns those before it (-1: none) and after it (the length: none)."""
        before, after = self._before[place], self._after[place]
        if before >= 0:
            self._after[before] = after
        if after < len(self._before):
            self._before[after] = before
        return before, after
