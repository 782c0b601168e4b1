"""What becomes of a call that came home: its units end, are looked at, or are called again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from backfill_core.dates import DateSet
from backfill_core.events import (
    BatchEnded,
    BreakerMoved,
    Failure,
    IdentityBack,
    IdentityLost,
    UnitsDeferred,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.live import Live, Refusal
from backfill_core.ports import BatchResult, Clock
from backfill_core.record import Record
from backfill_core.scheduling.breaker import Position
from backfill_core.scheduling.scheduler import Calling, Fate, Scheduler
from backfill_core.verify import Lost, Verifier


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
        #: Seconds of the slowest call so far.
        self.slowest = 0.0

    def take(self, came: Sequence[tuple[int, BatchResult, datetime]]) -> None:
        """Takes in what came of calls: number, result, and when it left."""
        self.verifier.absorb([(self.scheduler.in_flight[number].batch, result) for number, result, _ in came])
        for number, result, started in came:
            self._take(number, result, started)

    def _take(self, number: int, result: BatchResult, started: datetime) -> None:
        now, at = self.ticks(), self.clock.now()
        taken = self.verifier.take(self.scheduler.in_flight[number].batch, result, started)
        calling, moved = self.scheduler.came_home(number, now, {lost.failure for lost in taken.lost})
        seconds = now - calling.left
        self.slowest = max(self.slowest, seconds)
        self.record.say(BatchEnded(at=at, batch=number, seconds=seconds))
        for service in moved:
            self._say_breaker(service, at, now)
        unknown = any(lost.failure is Failure.AUTH for lost in taken.lost)
        if self.record.state.identity_lost and not self.scheduler.paused and not unknown:
            self.record.say(IdentityBack(at=at))
        for name, words in taken.words.items():
            self.end(name, words, batch=number)
        for lost in taken.lost:
            self._lose(lost, calling, at, now)
        for name, dates in taken.claimed.items():
            self.scheduler.claimed(name, dates, now)

    def verify_claims(self, *, stopping: bool) -> None:
        """Looks at claims that runners made outside a transaction of ours, a table at a time.

        ``stopping``: what is not there is not called again.
        """
        for name, dates in self.scheduler.claims_due(self.ticks()).items():
            words, absent = self.verifier.verify(name, dates, self.scheduler.retried(name))
            self.end(name, words)
            now, at = self.ticks(), self.clock.now()
            for why, days in absent.items():
                again = None if stopping else at + timedelta(seconds=self.scheduler.unverified(name, days, now) - now)
                self.record.say(UnitsUnverified(at=at, processor=name, dates=days, why=why, again=again))

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

    def _lose(self, lost: Lost, calling: Calling, at: datetime, now: float) -> None:
        """Units failed: for good, or they get another chance."""
        fate, again = self.scheduler.failed(lost.processor, lost.dates, calling, lost.failure, now, lost.retry_after)
        if fate is Fate.FINAL:
            self.end(lost.processor, [(Word.FAILED, lost.why, lost.dates)], batch=calling.batch.number, failure=lost.failure)
            return
        if fate is Fate.PARKED and self.record.state.identity_lost is None:
            self.record.say(IdentityLost(at=at, why=lost.why))
        self.record.say(
            UnitsDeferred(
                at=at,
                processor=lost.processor,
                dates=lost.dates,
                failure=lost.failure,
                why=lost.why,
                attempt=calling.attempt,
                again=at + timedelta(seconds=again - now),
                batch=calling.batch.number,
            )
        )

    def _say_breaker(self, service: str, at: datetime, now: float) -> None:
        breaker = self.scheduler.breaker(service)
        probe = None if breaker.position is Position.CLOSED else at + timedelta(seconds=breaker.until - now)
        self.record.say(BreakerMoved(at=at, service=service, position=str(breaker.position), probe=probe))
