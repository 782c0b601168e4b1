"""The shell that carries out a plan: batches leave, come home, are verified, and gates judge between layers.

The scheduler decides what is next; only the thread that calls `Execution.run` asks it and writes the journal. Runners work in
threads of a pool.
"""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from time import monotonic
from typing import assert_never

from backfill_core.calls import make_call, occasion_of
from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.errors import BackfillError, ExitCode, did_you_mean
from backfill_core.events import (
    BatchStarted,
    Claim,
    Control,
    DrainAsked,
    Failure,
    Heartbeat,
    Instructed,
    Instruction,
    Outcome,
    RunEnded,
    RunStarted,
    RunStopped,
)
from backfill_core.graph import Pipeline
from backfill_core.homecoming import Homecoming
from backfill_core.live import Live
from backfill_core.model.runs import RunSpec
from backfill_core.model.units import Unit
from backfill_core.observe import observe
from backfill_core.plan import Plan
from backfill_core.ports import BatchResult, Clock, Holds, Journal, Landing, Listener, Occasion, Runner, Warehouse
from backfill_core.record import Record
from backfill_core.reports.jsons import coverage_json
from backfill_core.reports.words import plural
from backfill_core.run_state import RunState
from backfill_core.scheduling.calling import Calling
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.terms import Stop, Terms
from backfill_core.scheduling.work import layers_before, plan_work
from backfill_core.turns import Turns
from backfill_core.verify import Verifier

#: Threads for calls at most: what a run may have in flight.
MOST_CALLS = 256
#: Seconds between two signs of life.
HEARTBEAT = 5.0
#: Seconds between two looks for what others ask of the run.
LISTEN = 0.5
#: Threads for calls at most: what a run may be throttled up to.
MOST_CALLS = 256

#: A call that came home, by its number; none: somebody only wakes the loop.
_Home = tuple[int, Future[BatchResult]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The adapters an execution works with."""

    warehouse: Warehouse
    landing: Landing
    #: The runner for each kind of spec.
    runners: Mapping[type[RunSpec], Runner]
    journal: Journal
    clock: Clock
    listeners: Sequence[Listener] = ()


class Drain:
    """Asks an execution to stop: set from a signal handler or another thread, read by the loop."""

    def __init__(self) -> None:
        self.asked = False
        #: Asked twice: nothing in flight is waited for.
        self.at_once = False
        #: Whether threads were left behind that may never end: whoever started the run must not wait for them.
        self.abandoned = False
        self._wake: queue.SimpleQueue[_Home | None] | None = None

    def ask(self) -> None:
        self.at_once = self.asked
        self.asked = True
        if self._wake is not None:
            self._wake.put(None)

    def wakes(self, sink: queue.SimpleQueue[_Home | None]) -> None:
        self._wake = sink


class Execution:
    """One run of one plan."""

    def __init__(
        self,
        pipeline: Pipeline,
        plan: Plan,
        coverage: Coverage,
        world: World,
        *,
        today: date,
        terms: Terms,
        drain: Drain,
        allow_blocked: bool = False,
        allow_shrink: bool = False,
        overridden: Mapping[str, str] | None = None,
        exhausted: Mapping[str, Mapping[str, DateSet]] | None = None,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        """Times in ``terms`` are those of `time.monotonic`; ``seconds`` are what a unit of each processor is known to take.

        ``exhausted`` are units that are not called, by processor and reason. ``allow_shrink`` takes dates that hold fewer keys
        than before.
        """
        self.pipeline = pipeline
        self.plan = plan
        self.world = world
        self.today = today
        self.drain = drain
        self.allow_blocked = allow_blocked
        self.allow_shrink = allow_shrink
        self.calendars = coverage.calendars
        self.live = Live(pipeline, coverage, today)
        self.verifier = Verifier(pipeline, world.warehouse, self.live, self.calendars, allow_shrink=allow_shrink)
        work = plan_work(pipeline, plan, self.calendars, pipelined=terms.pipelined, seconds=seconds)
        self.scheduler = Scheduler(work, layers_before(pipeline, plan), terms)
        self.record = Record(world.journal, world.listeners)
        self.coming = Homecoming(self.scheduler, self.verifier, self.live, self.record, world.clock, monotonic)
        self.turns = Turns(
            pipeline,
            plan,
            self.live,
            self.verifier,
            self.scheduler,
            self.coming,
            self.record,
            world.clock,
            exhausted or {},
            overridden or {},
        )
        self.home: queue.SimpleQueue[_Home | None] = queue.SimpleQueue()
        #: The instant at which each call in flight left, by its number.
        self.left: dict[int, datetime] = {}
        #: Calls that were taken for lost, and whose threads may still be at work.
        self.abandoned = 0
        #: When it was last looked for instructions, and the last one's number.
        self.listened, self.instruction = float("-inf"), 0

    def run(self, started: RunStarted, holds: Holds) -> RunState:
        """Carries the plan out under leases on what it ``holds`` and returns how it ended.

        Raises WarehouseHeld when another run is in the way, and any BackfillError that ends the run early, after recording it.
        """
        self.record.begin(started, holds)
        self.drain.wakes(self.home)
        code, reason = ExitCode.INCOMPLETE, "stopped by an error"
        after: Mapping[str, object] = {}
        try:
            # How many run at once is the scheduler's to say; a thread that never comes back takes no place away.
            pool = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="batch")
            try:
                self._loop(pool)
            finally:
                self.drain.abandoned = self.abandoned > 0
                pool.shutdown(wait=not (self.drain.at_once or self.abandoned), cancel_futures=True)
            after = {} if self.drain.at_once else coverage_json(self.pipeline, self._look_again())
            interrupted = self.drain.asked and self.record.state.left > 0
            code, reason = self.record.state.exit(interrupted=interrupted, allow_blocked=self.allow_blocked)
        except BackfillError as error:
            code, reason = error.exit_code, str(error)
            raise
        finally:
            ended = RunEnded(
                at=self.world.clock.now(),
                exit_code=int(code),
                exit_reason=reason,
                after=after,
                queries={"asked": self.world.warehouse.asked, "verified inside": self.verifier.inside},
            )
            self.record.end(ended)
        return self.record.state

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        beat = monotonic()
        self.turns.begin()
        while not self.drain.at_once:
            self._obey()
            if self.drain.asked and not self.record.state.draining:
                self._say_draining()
            self.coming.verify_claims(stopping=self._stopping)
            self.turns.tell_underneath()
            if not self._stopping:
                self.turns.advance()
            self._launch(pool)
            if self.scheduler.stopped and not self.record.state.stopped:
                self._say_stopped(self.scheduler.stopped)
            if not self.scheduler.in_flight and not self._due():
                self.record.flush()
                return
            self._welcome_home()
            for number in self.scheduler.lost(monotonic()):
                self._give_up(number)
            if monotonic() - beat > HEARTBEAT:
                self.record.say(Heartbeat(at=self.world.clock.now()))
                beat = monotonic()

    @property
    def _stopping(self) -> bool:
        """Whether nothing new is to leave."""
        return self.drain.asked or self.scheduler.stopped is not None

    def _due(self) -> bool:
        """Whether anything is still to come: claims to look at, or units that wait and may start."""
        return self.scheduler.claims or (not self.drain.asked and self.scheduler.unstarted)

    def _obey(self) -> None:
        """Takes in what others asked of this run since it last looked."""
        if monotonic() - self.listened < LISTEN:
            return
        for number, asked in self.world.journal.instructions(self.record.state.name, after=self.instruction):
            self.instruction = number
            refused = self._why_not(asked)
            if not refused and asked.control is Control.THROTTLE:
                self.scheduler.throttle(concurrency=asked.concurrency, caps=asked.caps)
            if not refused and asked.control is Control.PAUSE:
                self.scheduler.pause(f"asked by {asked.by}")
            if not refused and asked.control is Control.CONTINUE:
                self.scheduler.go_on()
            if not refused and asked.control is Control.CANCEL and not self.drain.asked:
                self.drain.ask()
            self.record.say(
                Instructed(
                    at=self.world.clock.now(),
                    number=number,
                    control=asked.control,
                    by=asked.by,
                    concurrency=asked.concurrency,
                    caps=asked.caps,
                    refused=refused,
                )
            )
        self.listened = monotonic()

    def _why_not(self, asked: Instruction) -> str:
        """Why an instruction cannot be followed, or nothing."""
        unknown = sorted(asked.caps.keys() - self.scheduler.lanes)
        if unknown:
            known = sorted(self.scheduler.lanes)
            return f'nothing here is called "{unknown[0]}".{did_you_mean(unknown[0], known)} There are: {", ".join(known)}'
        return ""

    def _say_draining(self) -> None:
        in_flight = sum(calling.units for calling in self.scheduler.in_flight.values())
        self.record.say(DrainAsked(at=self.world.clock.now(), in_flight=in_flight, slowest=self.coming.slowest))

    def _say_stopped(self, stop: Stop) -> None:
        match stop:
            case Stop.UNITS:
                why = f"{plural(self.scheduler.called, 'unit')} called, as many as allowed"
            case Stop.TIME:
                why = "no time for more"
            case Stop.FAILURES:
                why = f"{plural(self.scheduler.failures, 'unit')} failed, as many as allowed"
            case Stop.CANARY:
                why = "a date of the canary failed"
            case Stop.MOVED:
                moved = sorted({event.processor for event in self.record.state.underneath})
                why = f"{' and '.join(moved)} changed underneath"
            case _:
                assert_never(stop)
        self.record.say(RunStopped(at=self.world.clock.now(), why=why, asked=stop in (Stop.UNITS, Stop.TIME)))

    def _launch(self, pool: ThreadPoolExecutor) -> None:
        """Sends calls into free places. The journal has them on disk before they leave."""
        leaving = [] if self.drain.asked else self.scheduler.next_calls(monotonic())
        for calling in leaving:
            now, batch = self.world.clock.now(), calling.batch
            self.left[batch.number] = now
            self.verifier.leaves(batch)
            self.record.say(
                BatchStarted(at=now, batch=batch.number, processors=batch.processors, dates=batch.dates, attempt=calling.attempt)
            )
        self.record.flush()
        for calling in leaving:
            call = make_call(
                self.pipeline,
                self.calendars,
                calling.batch,
                allow_shrink=self.allow_shrink,
                occasion=self._occasion(calling),
            )
            future = pool.submit(self.world.runners[type(call.spec)].run, call)
            future.add_done_callback(partial(self._came_home, calling.batch.number))

    def _occasion(self, calling: Calling) -> Occasion:
        """What a program or a service may be told of a call."""
        started = self.record.state.started
        assert started is not None, "calls leave after the run began"
        return occasion_of(
            self.plan,
            calling.batch,
            {name: self.live.covered[name].facts.rows for name in calling.batch.processors},
            run=self.record.state.name,
            run_key=f"{started.host} {started.pid} {started.at.isoformat()}",
            attempt=calling.attempt,
        )

    def _came_home(self, number: int, future: Future[BatchResult]) -> None:
        """Called in a runner's thread: it only hands over."""
        self.home.put((number, future))

    def _welcome_home(self) -> None:
        """Waits for a call to come home or something to become due, a moment at most, and takes in all that have come."""
        now = monotonic()
        wait = min(1.0, max(0.0, self.scheduler.wake_at(now) - now)) if not self.drain.asked else 1.0
        try:
            came = [self.home.get(timeout=wait) if wait else self.home.get_nowait()]
        except queue.Empty:
            return
        while not self.home.empty():
            came.append(self.home.get())
        # A call that was taken for lost is over already, and what it wrote is looked at.
        home = [each for each in came if each is not None and each[0] in self.left]
        self.coming.take([(number, self._result(number, future), self.left.pop(number)) for number, future in home])

    def _result(self, number: int, future: Future[BatchResult]) -> BatchResult:
        error = future.exception()
        if error is None:
            return future.result()
        return self._all_failed(number, Failure.PERMANENT, f"{type(error).__name__}: {error}")

    def _give_up(self, number: int) -> None:
        """A call should have come home long ago: nobody knows what it did."""
        self.abandoned += 1
        waited = monotonic() - self.scheduler.in_flight[number].left
        result = self._all_failed(number, Failure.UNKNOWN, f"no answer in {waited:.0f} s")
        self.coming.take([(number, result, self.left.pop(number))])

    def _all_failed(self, number: int, failure: Failure, why: str) -> BatchResult:
        batch = self.scheduler.in_flight[number].batch
        outcome = Outcome(claim=Claim.FAILED, failure=failure, why=why)
        return BatchResult(outcomes={Unit(name, day): outcome for name in batch.processors for day in batch.dates})

    def _look_again(self) -> Coverage:
        """The warehouse after the run: every table asked once more."""
        world, span, reviews = self.world, self.plan.request.span, self.live.reviews
        return observe(
            self.pipeline, world.warehouse, world.landing, self.calendars, span=span, today=self.today, reviews=reviews
        )
