"""What becomes of units that failed, or were said to be done and are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from backfill_core.dates import DateSet
from backfill_core.events import Failure
from backfill_core.scheduling.calling import Calling, Fate
from backfill_core.scheduling.claims import Claims
from backfill_core.scheduling.departures import Departures
from backfill_core.scheduling.history import History
from backfill_core.scheduling.later import Later, Then
from backfill_core.scheduling.pausing import PROBE_EVERY
from backfill_core.scheduling.retries import Tries, back_off
from backfill_core.scheduling.work import Work

_Key = TypeVar("_Key", Tries, float)


class Setbacks:
    """Decides whether units are called again, when, and with whom. Times are seconds on the run's clock."""

    def __init__(
        self, works: Sequence[Work], seed: int, departures: Departures, history: History, claims: Claims, later: Later
    ) -> None:
        self._works = {work.name: work for work in works}
        self._seed = seed
        self._departures = departures
        self._history = history
        self._claims = claims
        self._later = later

    def failed(
        self, name: str, dates: DateSet, calling: Calling, failure: Failure, now: float, retry_after: float | None = None
    ) -> tuple[Fate, float]:
        """Units of a call failed. Returns what becomes of them, and when; where it is final they are to be ended."""
        work, tries, days = self._works[name], calling.tries, dates.numbers()
        tried = tries._replace(calls=tries.calls + 1)
        if retry_after is not None:
            self._departures.lanes.hold(calling.lanes, now + retry_after)
        if work.adds and len(days) > 1 and failure is not Failure.AUTH:
            failure = Failure.UNKNOWN  # some of them may be there: none is called again unseen
        match failure:
            case Failure.AUTH:
                self._departures.pausing.pause("no identity", now + PROBE_EVERY)
                self._departures.budgets.called -= 0 if tries.calls else len(days)
                self._departures.enqueue(name, days, tries)
                return Fate.PARKED, now
            case Failure.TRANSIENT:
                if tries.strikes + 1 >= work.attempts:
                    # Where the whole service is ill, or a call has no second one, that says nothing of its dates.
                    alone = work.attempts < 2 or self._departures.lanes.ill(calling.lanes)
                    return Fate.FINAL if alone else self._set_apart(name, days, calling, tried), now
                tried = tried._replace(strikes=tries.strikes + 1)
                # What failed in one call comes back together.
                wait = back_off(work.backoff, tried.strikes, f"{self._seed} {calling.batch.number}")
                again = now + max(wait, retry_after or 0.0)
                self._defer(again, name, days, tried, Then.CALL)
                return Fate.AGAIN, again
            case Failure.UNKNOWN:
                self._history.tried(name, days, tries)
                if len(days) > 1:
                    self._history.alone(name, dates)
                self._claims.add(name, dates, now)
                return Fate.LOOK, now
            case Failure.PERMANENT:
                return self._set_apart(name, days, calling, tried), now

    def absent(self, name: str, dates: DateSet, now: float) -> float:
        """Units were looked at and are not there. They are called again once the service's lock has run out; returns when.

        Whoever held the lock may have done the work by then: they are looked at once more before.
        """
        waited = self._history.waited(name) & dates
        ends = {day: max(now, self._history.locked_until(name, day)) for day in (dates - waited).numbers()}
        ends |= dict.fromkeys(waited.numbers(), now)
        again = now
        for end, days in _grouped(ends).items():
            for tries, group in _grouped({day: self._history.tries(name, day) for day in days}).items():
                if end > now:
                    self._defer(end, name, group, tries, Then.LOOK)
                else:
                    self._retry(name, group, tries._replace(calls=tries.calls + 1, doubts=tries.doubts + 1))
                again = max(again, end)
        return again

    def _set_apart(self, name: str, days: Sequence[int], calling: Calling, tried: Tries) -> Fate:
        """Of dates that failed together, as a whole call, each half has one more call: one of them may spoil the others."""
        if len(days) < 2 or len(days) < len(calling.batch.dates):
            return Fate.FINAL
        half = len(days) // 2
        for part in (days[:half], days[half:]):
            self._departures.put(name, part, tried)
        return Fate.SPLIT

    def _retry(self, name: str, days: Sequence[int], tries: Tries) -> None:
        """Calls units once more.

        Those that were lost together go by themselves, for one of them may have spoiled the others, unless their whole service is
        ill.
        """
        dates = DateSet.from_numbers(days)
        self._history.retries(name, dates)
        ill = self._departures.lanes.ill(self._works[name].lanes)
        alone = DateSet() if ill else dates & self._history.lost_together(name)
        for day in alone.numbers():
            self._departures.put(name, [day], tries)
        self._departures.enqueue(name, (dates - alone).numbers(), tries)

    def _defer(self, until: float, name: str, days: Sequence[int], tries: Tries, then: Then) -> None:
        self._history.tried(name, days, tries)
        self._later.put(until, name, days, tries, then)


def _grouped(of: Mapping[int, _Key]) -> dict[_Key, list[int]]:
    """The days of each value."""
    found: dict[_Key, list[int]] = {}
    for day, key in of.items():
        found.setdefault(key, []).append(day)
    return found
