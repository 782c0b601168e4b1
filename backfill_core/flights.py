"""Calls in threads of a pool: they leave, and come home in the order in which they end."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.runs import RunSpec
from backfill_core.model.units import Batch
from backfill_core.ports import BatchResult, Call, Runner
from backfill_core.replies import same_for_all

#: Threads for calls at most: what a run may have in flight, or be throttled up to.
MOST_CALLS = 256


@dataclass(frozen=True, slots=True)
class Landed:
    """A call that came home, or that is waited for no longer."""

    number: int
    result: BatchResult
    #: When it left.
    started: datetime


class Flights:
    """Used by one thread, but for `wake`. How many calls are in flight at once is for others to say."""

    def __init__(self, runners: Mapping[type[RunSpec], Runner]) -> None:
        self.runners = runners
        #: Calls that were taken for lost, and whose threads may still be at work.
        self.abandoned = 0
        #: Calls in flight, each with when it left.
        self._out: dict[int, tuple[Batch, datetime]] = {}
        #: What came home, by number; none: somebody only wakes the loop.
        self._home: queue.SimpleQueue[tuple[int, Future[BatchResult]] | None] = queue.SimpleQueue()
        # A thread that never comes back takes no place away.
        self._pool = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="batch")

    def send(self, call: Call, started: datetime) -> None:
        number = call.batch.number
        self._out[number] = (call.batch, started)
        future = self._pool.submit(self.runners[type(call.spec)].run, call)
        future.add_done_callback(partial(self._came_home, number))

    def wake(self) -> None:
        """Ends a wait. May be called from a signal handler or another thread."""
        self._home.put(None)

    def landed(self, wait: float) -> list[Landed]:
        """All that has come home, after waiting at most so many seconds for the first of it."""
        try:
            came = [self._home.get(timeout=wait) if wait else self._home.get_nowait()]
        except queue.Empty:
            return []
        while not self._home.empty():
            came.append(self._home.get())
        # A call that was taken for lost is over already, and what it wrote is looked at.
        home = [each for each in came if each is not None and each[0] in self._out]
        return [self._land(number, _result(self._out[number][0], future)) for number, future in home]

    def give_up(self, number: int, waited: float) -> Landed:
        """A call should have come home long ago: nobody knows what it did."""
        self.abandoned += 1
        why = f"no answer in {waited:.0f} s"
        return self._land(number, _all_failed(self._out[number][0], Failure.UNKNOWN, why))

    def close(self, *, wait: bool) -> None:
        """Lets the threads go. Those that were abandoned are never waited for."""
        self._pool.shutdown(wait=wait and not self.abandoned, cancel_futures=True)

    def _land(self, number: int, result: BatchResult) -> Landed:
        _, started = self._out.pop(number)
        return Landed(number, result, started)

    def _came_home(self, number: int, future: Future[BatchResult]) -> None:
        """Called in a runner's thread: it only hands over."""
        self._home.put((number, future))


def _result(batch: Batch, future: Future[BatchResult]) -> BatchResult:
    error = future.exception()
    if error is None:
        return future.result()
    return _all_failed(batch, Failure.PERMANENT, f"{type(error).__name__}: {error}")


def _all_failed(batch: Batch, failure: Failure, why: str) -> BatchResult:
    return BatchResult(outcomes=same_for_all(batch, Outcome(claim=Claim.FAILED, failure=failure, why=why)))
