"""Which of the calls that are ready leaves first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from backfill_core.scheduling.terms import Priority
from backfill_core.scheduling.work import Work

#: From a processor and the days of a call, ascending, to its place: the lowest leaves first.
Urgency = Callable[[str, Sequence[int]], float]


def urgency(works: Sequence[Work], priority: Priority) -> Urgency:
    """How calls are put in order."""
    match priority:
        case Priority.OLDEST:
            return lambda _, days: days[0]
        case Priority.NEWEST:
            return lambda _, days: -days[-1]
        case Priority.CRITICAL:
            chains = _Chains(works)
            return lambda name, days: -chains.behind(name, days[0])


class _Chains:
    """How long the chain of units is that begins with a unit, by the seconds its processors are known to take."""

    def __init__(self, works: Sequence[Work]) -> None:
        """``works`` come after what they wait for."""
        self._days = {work.name: work.dates.numbers() for work in works}
        self._readers: dict[str, list[str]] = {name: [] for name in self._days}
        for work in works:
            for upstream in {wait.upstream for wait in work.waits} & self._days.keys() - {work.name}:
                self._readers[upstream].append(work.name)
        self._behind: dict[str, list[float]] = {}
        for work in reversed(works):
            days = self._days[work.name]
            # A processor that waits for its own earlier dates has all its later ones in the chain.
            chained = any(wait.upstream == work.name for wait in work.waits)
            # What nothing is known of counts the same everywhere: then the chain with most units is the longest.
            seconds = work.seconds or 1.0
            own = (seconds * (len(days) - place if chained else 1) for place in range(len(days)))
            self._behind[work.name] = [
                mine + max((self.behind(reader, day) for reader in self._readers[work.name]), default=0.0)
                for mine, day in zip(own, days, strict=True)
            ]

    def behind(self, name: str, day: int) -> float:
        """Seconds of the chain. A window makes a reader's first date on or after the day wait."""
        place = bisect_left(self._days[name], day)
        return self._behind[name][place] if place < len(self._days[name]) else 0.0
