"""The shell that carries out a plan: batches leave, come home, are verified, and gates judge between layers.

The scheduler decides what is next; only the thread that calls `Execution.run` asks it and writes the journal. Runners work in
threads of a pool.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from time import monotonic

from backfill_core.calls import make_call
from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet, union
from backfill_core.errors import BackfillError, ExitCode, did_you_mean
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    Claim,
    Control,
    DrainAsked,
    Failure,
    GateJudged,
    Heartbeat,
    Instructed,
    Instruction,
    Outcome,
    RunEnded,
    RunStarted,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.gates import judge_gate
from backfill_core.graph import Pipeline
from backfill_core.live import Live, Refusal
from backfill_core.model.processor import Gate, Layer
from backfill_core.model.runs import RunSpec
from backfill_core.model.units import Unit
from backfill_core.observe import observe
from backfill_core.plan import Plan
from backfill_core.planning.make_plan import asked_dates
from backfill_core.ports import BatchResult, Clock, Journal, Landing, Listener, Runner, Warehouse
from backfill_core.record import Record
from backfill_core.reports.jsons import coverage_json
from backfill_core.run_state import RunState
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.work import layers_before, plan_work
from backfill_core.verify import Verifier

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
        concurrency: int,
        drain: Drain,
        allow_blocked: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.plan = plan
        self.world = world
        self.today = today
        self.drain = drain
        self.allow_blocked = allow_blocked
        self.calendars = coverage.calendars
        self.live = Live(pipeline, coverage, today)
        self.verifier = Verifier(pipeline, world.warehouse, self.live, self.calendars)
        work, layers = plan_work(pipeline, plan, self.calendars), layers_before(pipeline, plan)
        self.scheduler = Scheduler(work, layers, concurrency=concurrency)
        self.unsettled = {name: chosen.unsettled for name, chosen in plan.planned().items()}
        self.gates = {stage.layer: stage.gates for stage in plan.stages}
        self.record = Record(world.journal, world.listeners)
        self.home: queue.SimpleQueue[_Home | None] = queue.SimpleQueue()
        #: When each call in flight left, by its number: the instant, and on the monotonic clock.
        self.left: dict[int, tuple[datetime, float]] = {}
        #: Seconds of the slowest call so far.
        self.slowest = 0.0
        #: When it was last looked for instructions, and the last one's number.
        self.listened, self.instruction = float("-inf"), 0

    def run(self, started: RunStarted, resource: str) -> RunState:
        """Carries the plan out under a lease on ``resource`` and returns how it ended.

        Raises WarehouseHeld when another run holds it, and any BackfillError that ends the run early, after recording it.
        """
        self.record.begin(started, resource)
        self.drain.wakes(self.home)
        code, reason = ExitCode.INCOMPLETE, "stopped by an error"
        after: Mapping[str, object] = {}
        try:
            pool = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="batch")  # how many run at once is the scheduler's to say
            try:
                self._loop(pool)
            finally:
                pool.shutdown(wait=not self.drain.at_once, cancel_futures=True)
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
        while not self.drain.at_once:
            self._obey()
            if self.drain.asked and not self.record.state.draining:
                self._say_draining()
            self._verify_claims()
            if not self.drain.asked:
                self._advance()
            self._launch(pool)
            if not self.scheduler.in_flight and not self._due():
                return
            self._welcome_home()
            if monotonic() - beat > HEARTBEAT:
                self.record.say(Heartbeat(at=self.world.clock.now()))
                beat = monotonic()

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
        self.record.say(DrainAsked(at=self.world.clock.now(), in_flight=in_flight, slowest=self.slowest))

    def _advance(self) -> None:
        """Judges gates that are due, and the needs of every unit whose upstream has its final word, until nothing moves."""
        while True:
            layers = self.scheduler.layers_due()
            for layer in map(self.pipeline.layer, layers):
                for gate in layer.gates:
                    if gate.name in self.gates[layer.name]:
                        self._judge(gate, layer)
                self.scheduler.judged(layer.name)
            chosen = self.scheduler.to_judge()
            for name, dates in chosen.items():
                self._decide(name, dates)
            if not layers and not chosen:
                return

    def _judge(self, gate: Gate, layer: Layer) -> None:
        if gate.measure in self.scheduler.waiting:
            self.verifier.look(gate.measure, DateSet.of_span(self.plan.request.span))
        coverage = self.live.coverage(self.plan.request.span)
        blocked = self.plan.blocked_dates().get(gate.measure, DateSet())
        verdict = judge_gate(gate, layer, coverage, asked_dates(self.plan.request), blocked)
        if not verdict.passed:
            verdict = replace(verdict, withheld=self.live.would_withhold(verdict, self.scheduler.waiting))
        at = self.world.clock.now()
        self.record.say(GateJudged(at=at, layer=layer.name, gate=gate.name, verdict=verdict.to_json(), passed=verdict.passed))
        self.live.close(layer.name, verdict)

    def _decide(self, name: str, dates: DateSet) -> None:
        """Ends those of the units at their turn that may not run or need not, and lets the scheduler call the others."""
        refused = self.live.refused(name, dates)
        self._end(name, refused)
        dates -= union(days for *_, days in refused)
        settled = self.verifier.settled(name, dates & self.unsettled[name])
        self._end(name, settled)
        dates -= union(days for *_, days in settled)
        if dates:
            self.scheduler.admitted(name, dates)

    def _launch(self, pool: ThreadPoolExecutor) -> None:
        """Sends calls into free places. The journal has them on disk before they leave."""
        leaving = [] if self.drain.asked or self.record.state.paused else self.scheduler.next_calls(monotonic())
        for calling in leaving:
            now, batch = self.world.clock.now(), calling.batch
            self.left[batch.number] = (now, monotonic())
            self.record.say(
                BatchStarted(at=now, batch=batch.number, processors=batch.processors, dates=batch.dates, attempt=calling.attempt)
            )
        self.record.flush()
        for calling in leaving:
            call = make_call(self.pipeline, self.calendars, calling.batch)
            future = pool.submit(self.world.runners[type(call.spec)].run, call)
            future.add_done_callback(partial(self._came_home, calling.batch.number))

    def _came_home(self, number: int, future: Future[BatchResult]) -> None:
        """Called in a runner's thread: it only hands over."""
        self.home.put((number, future))

    def _welcome_home(self) -> None:
        """Waits for a call to come home, a moment at most, and takes in all that have."""
        try:
            came = [self.home.get(timeout=1.0)]
        except queue.Empty:
            return
        while not self.home.empty():
            came.append(self.home.get())
        for each in came:
            if each is not None:
                self._take(*each)

    def _take(self, number: int, future: Future[BatchResult]) -> None:
        """Takes in a call that came home: failures end now, claims are verified."""
        calling = self.scheduler.came_home(number)
        started, since = self.left.pop(number)
        seconds = monotonic() - since
        self.slowest = max(self.slowest, seconds)
        self.record.say(BatchEnded(at=self.world.clock.now(), batch=number, seconds=seconds))
        name = calling.processor
        error = future.exception()
        if error is None:
            result = future.result()
        else:
            outcome = Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=f"{type(error).__name__}: {error}")
            result = BatchResult(outcomes={Unit(name, day): outcome for day in calling.batch.dates})
        words, claimed = self.verifier.take(name, result, started)
        self._end(name, words, batch=number)
        if claimed:
            self.scheduler.claimed(name, claimed, monotonic())

    def _verify_claims(self) -> None:
        """Looks at claims that runners made outside a transaction of ours, a table at a time."""
        for name, dates in self.scheduler.claims_due(monotonic()).items():
            words, absent = self.verifier.verify(name, dates, self.scheduler.retried(name))
            self._end(name, words)
            for why, days in absent.items():
                self.record.say(UnitsUnverified(at=self.world.clock.now(), processor=name, dates=days, why=why))
            again = union(absent.values())
            if again and not self.drain.asked:
                self.scheduler.unverified(name, again)

    def _end(self, name: str, words: Iterable[Refusal], *, batch: int | None = None) -> None:
        """Gives units their final words."""
        for word, why, dates in words:
            if not dates:
                continue
            degraded = dates & self.live.degraded(name, dates) if word is Word.DONE else DateSet()
            self.live.ended(name, dates, word, why)
            self.scheduler.ended(name, dates)
            at = self.world.clock.now()
            self.record.say(UnitsEnded(at=at, processor=name, dates=dates, word=word, why=why, degraded=degraded, batch=batch))

    def _look_again(self) -> Coverage:
        """The warehouse after the run: every table asked once more."""
        world, span, reviews = self.world, self.plan.request.span, self.live.reviews
        return observe(
            self.pipeline, world.warehouse, world.landing, self.calendars, span=span, today=self.today, reviews=reviews
        )
