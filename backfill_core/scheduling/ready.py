"""Which units may be judged now: those whose planned upstream units all have their final word."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backfill_core.scheduling.work import Wait, Work

#: A day number after every other.
_NEVER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Freed:
    """(processor, day) of units that a final word let go."""

    #: What nothing holds up any longer.
    units: list[tuple[str, int]] = field(default_factory=list)
    #: What is held up by inner waits alone.
    behind: list[tuple[str, int]] = field(default_factory=list)


class Ready:
    """Counts for each unit the waits that still hold it up.

    A wait lets a date go when the last unended upstream date in its window ends. The two unended dates around the one that ends
    say which windows held nothing else, and windows never fall, so that these are a range: a unit is touched once a wait,
    however wide its window is.
    """

    def __init__(self, works: Sequence[Work], inner: Mapping[str, Sequence[Wait]] | None = None) -> None:
        """``inner`` are waits that may be satisfied on the way, in the same call, by processor."""
        self._days = {work.name: work.dates.numbers() for work in works}
        self._unended = {name: _Chain(len(days)) for name, days in self._days.items()}
        self._held = {name: [0] * len(days) for name, days in self._days.items()}
        #: Of processors with inner waits: how many others hold each unit up.
        self._outer = {name: [0] * len(self._days[name]) for name in inner or {}}
        self._readers: dict[str, list[tuple[str, Wait, list[int] | None]]] = {name: [] for name in self._days}
        for work in works:
            for wait in work.waits:
                if wait.upstream in self._days:
                    outer = None if wait in (inner or {}).get(work.name, ()) else self._outer.get(work.name)
                    self._readers[wait.upstream].append((work.name, wait, outer))
                    self._hold(wait, self._held[work.name])
                    if outer is not None:
                        self._hold(wait, outer)

    def at_once(self) -> Iterator[tuple[str, int]]:
        """What nothing holds up from the start."""
        for name, days in self._days.items():
            yield from ((name, day) for day, held in zip(days, self._held[name], strict=True) if not held)

    def behind_at_once(self) -> Iterator[tuple[str, int]]:
        """What inner waits alone hold up from the start."""
        for name, others in self._outer.items():
            each = zip(self._days[name], self._held[name], others, strict=True)
            yield from ((name, day) for day, held, outer in each if held and not outer)

    def held(self, name: str, day: int) -> int:
        """How many waits hold a unit up."""
        return self._held[name][bisect_left(self._days[name], day)]

    def ended(self, name: str, ended: Sequence[int]) -> Freed:
        """Takes in final words; returns what they let go."""
        freed = Freed()
        days, chain, readers = self._days[name], self._unended[name], self._readers[name]
        for day in ended:
            before, after = chain.unlink(bisect_left(days, day))
            earlier = days[before] if before >= 0 else -1
            later = days[after] if after < len(days) else _NEVER
            for reader, wait, outer in readers:
                low = max(bisect_right(wait.firsts, earlier), bisect_left(wait.lasts, day))
                high = min(bisect_right(wait.firsts, day), bisect_left(wait.lasts, later))
                held = self._held[reader]
                for place in range(low, high):
                    held[place] -= 1
                    if not held[place]:
                        freed.units.append((reader, self._days[reader][place]))
                if outer is not None:
                    self._let_near(freed, reader, outer, range(low, high))
        return freed

    def _let_near(self, freed: Freed, name: str, outer: list[int], places: range) -> None:
        for place in places:
            outer[place] -= 1
            if not outer[place] and self._held[name][place]:
                freed.behind.append((name, self._days[name][place]))

    def _hold(self, wait: Wait, held: list[int]) -> None:
        upstream = self._days[wait.upstream]
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
