"""What becomes of a call that came home: its units end, are looked at, or are called again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backfill_core.dates import DateSet, union
from backfill_core.events import (
    BatchEnded,
    BreakerMoved,
    Failure,
    IdentityBack,
    IdentityLost,
    UnitsClaimed,
    UnitsDeferred,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.flights import Landed
from backfill_core.live import Live, Refusal
from backfill_core.ports import BatchResult, Clock
from backfill_core.record import Record
from backfill_core.scheduling.breaker import Position
from backfill_core.scheduling.calling import Calling, Fate
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.verify import Lost, Taken, Verifier

#: What became of units says more than how they failed: whether they are split, or looked at first.
_TOLD_AS = {Fate.SPLIT: Failure.PERMANENT, Fate.LOOK: Failure.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Came:
    """A call that came home."""

    calling: Calling
    at: datetime
    #: The scheduler's seconds at that moment.
    now: float


class Homecoming:
    """Tells scheduler, record and the live coverage what came of calls."""

    def __init__(
        self, scheduler: Scheduler, verifier: Verifier, live: Live, record: Record, clock: Clock, ticks: Callable[[], float]
    ) -> None:
        """``ticks`` are the seconds that the scheduler goes by."""
        self.scheduler = scheduler
        self.verifier = verifier
        self.live = live
        self.record = record
        self.clock = clock
        self.ticks = ticks
        #: What came of units that went behind what they need, in the same call, until that has its final word.
        self._kept: dict[tuple[str, int], tuple[_Came, Taken]] = {}
        #: Units that went that way at some time.
        self._ahead: dict[str, DateSet] = {}

    def take(self, landed: Sequence[Landed]) -> None:
        """Takes in what came of calls."""
        self.verifier.absorb([(self.scheduler.in_flight[each.number].batch, each.result) for each in landed])
        for each in landed:
            self._take(each.number, each.result, each.started)

    def _take(self, number: int, result: BatchResult, started: datetime) -> None:
        now, at = self.ticks(), self.clock.now()
        taken = self.verifier.take(self.scheduler.in_flight[number].batch, result, started)
        failures = {lost.failure for each in taken.values() for lost in each.lost}
        calling, moved = self.scheduler.came_home(number, now, failures)
        seconds = now - calling.left
        self.record.say(BatchEnded(at=at, batch=number, seconds=seconds))
        for service in moved:
            self._say_breaker(service, at, now)
        if self.record.state.identity_lost and not self.scheduler.paused and Failure.AUTH not in failures:
            self.record.say(IdentityBack(at=at))
        came = _Came(calling=calling, at=at, now=now)
        for name, of_it in taken.items():
            (day, *_) = calling.batch.dates.numbers()
            if self.scheduler.went_ahead(name, day):
                self._kept[name, day] = came, of_it
                if any(lost.failure is Failure.UNKNOWN for lost in of_it.lost):
                    self.scheduler.stays(name, day)
                self._ahead[name] = self._ahead.get(name, DateSet()) | calling.batch.dates
            else:
                self._settle(name, came, of_it)
        self._take_up()

    def _settle(self, name: str, came: _Came, taken: Taken) -> None:
        self.end(name, taken.words, batch=came.calling.batch.number)
        for lost in taken.lost:
            self._lose(lost, came)
        if taken.claimed:
            self.scheduler.claimed(name, taken.claimed, came.now)
            self.record.say(UnitsClaimed(at=came.at, processor=name, dates=taken.claimed))

    def _take_up(self) -> None:
        """Settles what came of units in the same call as their needs, once these have their final word.

        Their tables decide. What is not there, and could not be for want of a need, is blocked by it rather than failed.
        """
        while followed := self.scheduler.followed():
            for name, day in followed:
                came, taken = self._kept.pop((name, day))
                refused = self.live.refused(name, came.calling.batch.dates)
                if refused:
                    taken = _without_failures(taken, refused)
                self._settle(name, came, taken)

    def verify_claims(self, *, stopping: bool) -> None:
        """Looks at claims that runners made outside a transaction of ours, all tables that are due side by side.

        ``stopping``: what is not there is not called again.
        """
        claims = self.scheduler.claims_due(self.ticks())
        for name, found in self.verifier.verify(claims, lambda name: self._tried_again(name, claims[name])):
            self.end(name, found.words)
            now, at = self.ticks(), self.clock.now()
            for why, days in found.absent.items():
                refused = self._refused_behind(name, days)
                self.end(name, refused)
                left = days - union(blocked for *_, blocked in refused)
                # Of those whose lock was waited out it has been said, and when they would be called again.
                unsaid = left - self.scheduler.waited(name)
                again = None if stopping or not left else at + timedelta(seconds=self.scheduler.unverified(name, left, now) - now)
                if unsaid:
                    self.record.say(UnitsUnverified(at=at, processor=name, dates=unsaid, why=why, again=again))
        self._take_up()

    def wait(self, name: str, dates: DateSet, until: datetime) -> None:
        """An earlier run called units whose service may still be at them: they have their turn again when it cannot be."""
        now, at = self.ticks(), self.clock.now()
        self.scheduler.rests(name, dates, now + (until - at).total_seconds())
        why = "a call of an earlier run may still be at work"
        self.record.say(
            UnitsDeferred(at=at, processor=name, dates=dates, failure=Failure.UNKNOWN, why=why, attempt=0, again=until)
        )

    def _tried_again(self, name: str, dates: DateSet) -> DateSet:
        """Those of claimed dates that had their one retry: if they are not there they failed, unless what they need did."""
        tried = dates & self.scheduler.retried(name)
        return tried - union(days for *_, days in self._refused_behind(name, tried))

    def _refused_behind(self, name: str, dates: DateSet) -> list[Refusal]:
        """Of dates that went behind what they need, those whose need is not there after all."""
        ahead = dates & self._ahead.get(name, DateSet())
        return self.live.refused(name, ahead) if ahead else []

    def end(
        self,
        name: str,
        words: Iterable[Refusal],
        *,
        batch: int | None = None,
        failure: Failure | None = None,
    ) -> None:
        """Gives units their final words."""
        for word, why, dates in words:
            if not dates:
                continue
            degraded = dates & self.live.degraded(name, dates) if word is Word.DONE else DateSet()
            attempts = self.scheduler.attempts(name, dates) if word is Word.FAILED else 1
            self.live.ended(name, dates, word, why)
            self.scheduler.ended(name, dates, failed=word is Word.FAILED)
            self.record.say(
                UnitsEnded(
                    at=self.clock.now(),
                    processor=name,
                    dates=dates,
                    word=word,
                    why=why,
                    degraded=degraded,
                    batch=batch,
                    failure=failure,
                    attempts=attempts,
                )
            )

    def _lose(self, lost: Lost, came: _Came) -> None:
        """Units failed: for good, or they get another chance."""
        calling = came.calling
        fate, again = self.scheduler.failed(lost.processor, lost.dates, calling, lost.failure, came.now, lost.retry_after)
        if fate is Fate.FINAL:
            self.end(lost.processor, [(Word.FAILED, lost.why, lost.dates)], batch=calling.batch.number, failure=lost.failure)
            return
        if fate is Fate.PARKED and self.record.state.identity_lost is None:
            self.record.say(IdentityLost(at=came.at, why=lost.why))
        self.record.say(
            UnitsDeferred(
                at=came.at,
                processor=lost.processor,
                dates=lost.dates,
                failure=_TOLD_AS.get(fate, lost.failure),
                why=lost.why,
                attempt=calling.attempt,
                again=came.at + timedelta(seconds=again - came.now),
                batch=calling.batch.number,
            )
        )

    def _say_breaker(self, service: str, at: datetime, now: float) -> None:
        breaker = self.scheduler.breaker(service)
        probe = None if breaker.position is Position.CLOSED else at + timedelta(seconds=breaker.until - now)
        self.record.say(BreakerMoved(at=at, service=service, position=str(breaker.position), probe=probe))


def _without_failures(taken: Taken, refused: Sequence[Refusal]) -> Taken:
    """What came of units whose needs are not there after all: what failed was refused, and what may be there is looked at."""
    unknown = union(lost.dates for lost in taken.lost if lost.failure is Failure.UNKNOWN)
    words = [each for each in taken.words if each[0] is not Word.FAILED and each[2]]
    words = words if words or unknown or taken.claimed else list(refused)
    return Taken(words=words, claimed=taken.claimed | unknown)
