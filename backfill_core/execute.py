"""The shell that carries out a plan: batches leave, come home, are verified, and gates judge between layers.

The scheduler decides what is next; only the thread that calls `Execution.run` asks it and writes the journal. Runners work in
threads of a pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from time import monotonic

from backfill_core.calls import make_call, occasion_of
from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.drain import Drain
from backfill_core.errors import BackfillError, ExitCode
from backfill_core.events import (
    BatchStarted,
    Heartbeat,
    RunEnded,
    RunStarted,
)
from backfill_core.flights import Flights
from backfill_core.graph import Pipeline
from backfill_core.homecoming import Homecoming
from backfill_core.live import Live
from backfill_core.model.runs import RunSpec
from backfill_core.observe import observe
from backfill_core.plan import Plan
from backfill_core.planning.asked import concerned
from backfill_core.planning.left_behind import LeftBehind
from backfill_core.ports import Clock, Holds, Journal, Landing, Listener, Occasion, Runner, Warehouse
from backfill_core.record import Record
from backfill_core.reports.jsons import coverage_json
from backfill_core.run_state import RunState
from backfill_core.scheduling.calling import Calling
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.terms import Terms
from backfill_core.scheduling.work import layers_before, plan_work
from backfill_core.sight import PatientWarehouse
from backfill_core.steering import Steering
from backfill_core.turns import Turns
from backfill_core.verify import Verifier

#: Seconds between two signs of life.
HEARTBEAT = 5.0


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
        left_behind: Mapping[str, Mapping[int, LeftBehind]] | None = None,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        """Times in ``terms`` are those of `time.monotonic`; ``seconds`` are what a unit of each processor is known to take.

        ``exhausted`` are units that are not called, by processor and reason; ``left_behind`` those that are not called yet, by
        processor and day number. ``allow_shrink`` takes dates that hold fewer keys
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
        work = plan_work(pipeline, plan, self.calendars, pipelined=terms.pipelined, seconds=seconds)
        self.scheduler = Scheduler(work, layers_before(pipeline, plan), terms)
        self.record = Record(world.journal, world.listeners)
        self.steering = Steering(self.scheduler, self.record, world.journal, world.clock, drain)
        self.warehouse = PatientWarehouse(world.warehouse, self.record, world.clock, self.steering.rest)
        self.verifier = Verifier(pipeline, self.warehouse, self.live, self.calendars, allow_shrink=allow_shrink)
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
            left_behind or {},
            overridden or {},
        )
        self.flights = Flights(world.runners)

    def run(self, started: RunStarted, holds: Holds) -> RunState:
        """Carries the plan out under leases on what it ``holds`` and returns how it ended.

        Raises WarehouseHeld when another run is in the way, and any BackfillError that ends the run early, after recording it.
        """
        self.record.begin(started, holds)
        self.drain.wakes(self.flights.wake)
        code, reason = ExitCode.INCOMPLETE, "stopped by an error"
        after: Mapping[str, object] = {}
        try:
            try:
                self._loop()
            finally:
                self.drain.abandoned = self.flights.abandoned > 0
                self.flights.close(wait=not self.drain.at_once)
            after = {} if self.drain.at_once else coverage_json(self.pipeline, self._look_again(), only=concerned(self.plan))
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

    def _loop(self) -> None:
        beat = monotonic()
        self.turns.begin()
        while not self.drain.at_once:
            self.steering.obey()
            self.coming.verify_claims(stopping=self.steering.stopping)
            self.turns.tell_underneath()
            if not self.steering.stopping:
                self.turns.advance()
            self._launch()
            self.steering.tell_stopped()
            if not (self.scheduler.in_flight or self.scheduler.claims or self.scheduler.unstarted):
                self.record.flush()
                return
            self._welcome_home()
            if monotonic() - beat > HEARTBEAT:
                self.record.say(Heartbeat(at=self.world.clock.now()))
                beat = monotonic()

    def _launch(self) -> None:
        """Sends calls into free places. The journal has them on disk before they leave."""
        leaving = self.scheduler.next_calls(monotonic())
        now = self.world.clock.now()
        for calling in leaving:
            batch = calling.batch
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
            self.flights.send(call, now)

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

    def _welcome_home(self) -> None:
        """Waits for a call to come home or something to become due, a moment at most, and takes in all that have come."""
        now = monotonic()
        wait = min(1.0, max(0.0, self.scheduler.wake_at(now) - now))
        self.coming.take(self.flights.landed(wait))
        now = monotonic()
        for number in self.scheduler.lost(now):
            self.coming.take([self.flights.give_up(number, now - self.scheduler.in_flight[number].left)])

    def _look_again(self) -> Coverage:
        """The warehouse after the run: every table asked once more."""
        span, landing, reviews = self.plan.request.span, self.world.landing, self.live.reviews
        warehouse, today = self.world.warehouse, self.today
        return self.warehouse.patiently(  # landing files too may not be there to be read for a while
            lambda: observe(self.pipeline, warehouse, landing, self.calendars, span=span, today=today, reviews=reviews)
        )
