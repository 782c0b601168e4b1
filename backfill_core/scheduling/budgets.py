"""What a run may still begin: so many units, so many failures, and nothing that would not be back in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backfill_core.scheduling.terms import Stop, Terms
from backfill_core.scheduling.work import Work


class Budgets:
    """Counts what was called and what failed. Times are seconds on the run's clock."""

    def __init__(self, terms: Terms, works: Iterable[Work]) -> None:
        self._terms = terms
        #: Units that were called, and that failed for good.
        self.called = 0
        self.failures = 0
        #: Seconds of each processor's slowest unit so far, where it is slower than was known.
        self._slowest = {work.name: work.seconds or 0.0 for work in works}
        #: Units that are ready and left out, by the budget that has no room for them.
        self._left_out: dict[Stop, int] = {}

    def room(self, names: Iterable[str], dates: int, first: int, now: float) -> tuple[int, Stop | None]:
        """How many of a call's dates there is room for, and which budget has no room for all of them. A date goes whole.

        ``first`` are units a date that were never called before.
        """
        fits, budget = dates, None
        if self._terms.max_units is not None and first:
            room = (self._terms.max_units - self.called) // first
            if room < fits:
                fits, budget = room, Stop.UNITS
        each = sum(self._slowest[name] for name in names)
        if self._terms.stop_at is not None and each:
            room = int((self._terms.stop_at - now) / each)
            if room < fits:
                fits, budget = room, Stop.TIME
        return fits, budget

    def leave_out(self, budget: Stop, units: int) -> None:
        """There is no room for units that are ready."""
        self._left_out[budget] = self._left_out.get(budget, 0) + units

    @property
    def left_out(self) -> Stop | None:
        """The budget for which units were left out, if any."""
        return next(iter(self._left_out), None)

    def out_of_time(self, now: float) -> bool:
        return self._terms.stop_at is not None and now >= self._terms.stop_at

    def took(self, names: Sequence[str], seconds: float) -> None:
        """A unit of each of those took so long."""
        for name in names:
            self._slowest[name] = max(self._slowest[name], seconds)

    def failed(self, units: int) -> bool:
        """Units failed for good. Returns whether those are as many as are allowed."""
        self.failures += units
        return self._terms.max_failures is not None and self.failures >= self._terms.max_failures
