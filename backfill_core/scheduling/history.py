"""What units without a final word have behind them: calls, doubts, and locks that a service may still hold."""

from __future__ import annotations

from collections.abc import Iterable

from backfill_core.dates import DateSet
from backfill_core.scheduling.retries import UNTRIED, Tries


class History:
    """Forgets a unit when it ends. Times are seconds on the run's clock."""

    def __init__(self) -> None:
        #: Of units that were called more than once.
        self._tries: dict[tuple[str, int], Tries] = {}
        self._locked: dict[tuple[str, int], float] = {}
        self._waited: dict[str, DateSet] = {}
        self._retried: dict[str, DateSet] = {}
        self._alone: dict[str, DateSet] = {}

    def tried(self, name: str, days: Iterable[int], tries: Tries) -> None:
        self._tries |= {(name, day): tries for day in days}

    def tries(self, name: str, day: int) -> Tries:
        return self._tries.get((name, day), UNTRIED)

    def attempts(self, name: str, dates: DateSet) -> int:
        """Calls that the most often called of those units had; they have left at least once."""
        return 1 + max(self.tries(name, day).calls for day in dates.numbers()) if self._tries else 1

    def lock(self, name: str, days: Iterable[int], until: float) -> None:
        """A service may still work on units."""
        self._locked |= dict.fromkeys(((name, day) for day in days), until)

    def locked_until(self, name: str, day: int) -> float:
        return self._locked.get((name, day), 0.0)

    def waits(self, name: str, dates: DateSet) -> None:
        """The lock of units was waited out."""
        self._waited[name] = self.waited(name) | dates

    def waited(self, name: str) -> DateSet:
        """Units whose lock was waited out."""
        return self._waited.get(name, DateSet())

    def alone(self, name: str, dates: DateSet) -> None:
        """Units were lost in one call: if they are called again each goes by itself."""
        self._alone[name] = self.lost_together(name) | dates

    def lost_together(self, name: str) -> DateSet:
        """Units that were in one call with others of which nobody knows what became."""
        return self._alone.get(name, DateSet())

    def retries(self, name: str, dates: DateSet) -> None:
        """Units are called again because nobody knows what became of them."""
        self._retried[name] = self.retried(name) | dates

    def retried(self, name: str) -> DateSet:
        """Units that were called again because nobody knew what had become of them."""
        return self._retried.get(name, DateSet())

    def ended(self, name: str, days: Iterable[int]) -> None:
        if self._tries or self._locked:
            for day in days:
                self._tries.pop((name, day), None)
                self._locked.pop((name, day), None)
