"""The shell that carries out a plan: batches leave, come home, are verified, and gates judge between layers.

Only the thread that calls `Execution.run` decides and writes the journal; runners work in threads of a pool.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from time import monotonic

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.errors import BackfillError, ExitCode
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    Claim,
    DrainAsked,
    Event,
    Failure,
    GateJudged,
    Heartbeat,
    Outcome,
    RunEnded,
    RunStarted,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.gates import judge_gate
from backfill_core.graph import Pipeline
from backfill_core.live import Live
from backfill_core.model.processor import Gate, Processor
from backfill_core.model.runs import RunSpec
from backfill_core.model.table import Files, Table
from backfill_core.model.units import Batch, Unit
from backfill_core.observe import observe
from backfill_core.plan import Plan
from backfill_core.planning.judge import window_map
from backfill_core.ports import BatchResult, Call, Clock, Journal, Landing, Listener, Runner, Warehouse
from backfill_core.queries.question import question_about, tables_named
from backfill_core.reports.jsons import coverage_json
from backfill_core.run_state import RunState
from backfill_core.scheduling.batches import date_runs
from backfill_core.scheduling.ready import ready

#: Claims of one table are observed together: at so many, or after so long, or when nothing else can start.
CLAIMS_TOGETHER = 50
CLAIMS_WAIT = 30.0
#: Seconds between two looks at the same table.
CLAIMS_PACE = 5.0
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


@dataclass(slots=True)
class _Claims:
    """Units of one processor that a runner says are done, until they are observed."""

    dates: DateSet = field(default_factory=DateSet)
    since: float = 0.0
    started: dict[int, datetime] = field(default_factory=dict)
    looked: float = float("-inf")


class Drain:
    """Asks an execution to stop: set from a signal handler or another thread, read by the loop."""

    def __init__(self) -> None:
        self.asked = False
        self._wake: queue.SimpleQueue[object] | None = None

    def ask(self) -> None:
        self.asked = True
        if self._wake is not None:
            self._wake.put(None)

    def wakes(self, sink: queue.SimpleQueue[object]) -> None:
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
        self.concurrency = concurrency
        self.drain = drain
        self.allow_blocked = allow_blocked
        self.before = coverage
        self.calendars = coverage.calendars
        self.live = Live(pipeline, coverage, today)
        planned = plan.planned()
        self.waiting = {name: chosen.dates for name, chosen in planned.items()}
        self.unsettled = {name: chosen.unsettled for name, chosen in planned.items()}
        self.queued: list[Call] = []
        self.in_flight: dict[int, tuple[Call, datetime, float]] = {}
        self.claims: dict[str, _Claims] = {}
        self.retried: dict[str, DateSet] = {}
        self.judged: set[str] = set()
        self.layers = [stage.layer for stage in plan.stages]
        self.home: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.events: list[Event] = []
        self.batches = 0
        self.name = ""
        self.state = RunState("")
        self.verified_inside = 0
        self.waits = {
            name: [
                (upstream, window_map(pipeline, edge, self.calendars).dependents)
                for edge in pipeline.edges_into[name]
                for upstream in edge.upstreams
            ]
            for name in planned
        }

    def run(self, started: RunStarted, resource: str) -> RunState:
        """Carries the plan out under a lease on ``resource`` and returns how it ended.

        Raises WarehouseHeld when another run holds it, and any BackfillError that ends the run early, after recording it.
        """
        self.name = self.world.journal.begin(started, resource)
        self.state = RunState(self.name)
        self._tell([started])
        self.drain.wakes(self.home)
        code, reason = ExitCode.INCOMPLETE, "stopped by an error"
        after: Mapping[str, object] = {}
        try:
            with ThreadPoolExecutor(self.concurrency, thread_name_prefix="batch") as pool:
                self._loop(pool)
            after = coverage_json(self.pipeline, self._look_again())
            code, reason = self.state.exit(interrupted=self._stopped_early(), allow_blocked=self.allow_blocked)
        except BackfillError as error:
            code, reason = error.exit_code, str(error)
            raise
        finally:
            ended = RunEnded(
                at=self.world.clock.now(),
                exit_code=int(code),
                exit_reason=reason,
                after=after,
                queries={"asked": self.world.warehouse.asked, "verified inside": self.verified_inside},
            )
            self.world.journal.end(self.name, ended)
            self._tell([ended])
        return self.state

    def _stopped_early(self) -> bool:
        return self.drain.asked and self.state.left > 0

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        beat = monotonic()
        while True:
            if self.drain.asked and not self.state.draining:
                self._say(DrainAsked(at=self.world.clock.now(), in_flight=sum(c.batch.size for c, *_ in self.in_flight.values())))
            self._verify_claims()
            if not self.drain.asked:
                self._judge_layers()
                self._start_ready()
            self._launch(pool)
            if not self.in_flight and not self._due():
                self._flush()
                return
            try:
                came = self.home.get(timeout=1.0)
            except queue.Empty:
                came = None
            if isinstance(came, Future):
                self._came_home(came)
            while not self.home.empty():
                another = self.home.get()
                if isinstance(another, Future):
                    self._came_home(another)
            if monotonic() - beat > HEARTBEAT:
                self._say(Heartbeat(at=self.world.clock.now()))
                beat = monotonic()

    def _due(self) -> bool:
        """Whether anything is still to come: claims to look at, or units that wait and may start."""
        return any(claims.dates for claims in self.claims.values()) or (
            not self.drain.asked and (bool(self.queued) or any(self.waiting.values()))
        )

    def _came_home(self, future: Future[BatchResult]) -> None:
        number: int = future.batch_number  # type: ignore[attr-defined]
        call, started, since = self.in_flight.pop(number)
        error = future.exception()
        now = self.world.clock.now()
        self._say(BatchEnded(at=now, batch=number, seconds=monotonic() - since))
        if error is not None:
            why = f"{type(error).__name__}: {error}"
            outcome = Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why=why)
            dates = call.batch.dates
            result = BatchResult(outcomes={Unit(call.processor.name, day): outcome for day in dates})
        else:
            result = future.result()
        self._take(call, result, started)

    def _take(self, call: Call, result: BatchResult, started: datetime) -> None:
        """Sorts a call's outcomes: failures end now, claims are verified."""
        name, claimed = call.processor.name, []
        failed: dict[tuple[Word, str], list[date]] = {}
        for unit, outcome in result.outcomes.items():
            match outcome.claim:
                case Claim.DONE:
                    claimed.append(unit.day)
                case Claim.FAILED:
                    failed.setdefault((Word.FAILED, outcome.why), []).append(unit.day)
                case Claim.DECLINED:
                    failed.setdefault((Word.DECLINED, outcome.why), []).append(unit.day)
        for (word, why), days in failed.items():
            self._end(name, DateSet.of(*days), word, why, batch=call.batch.number)
        dates = DateSet.of(*claimed)
        if not dates:
            return
        if name in result.facts:
            self.verified_inside += 1
            self.live.absorb(name, result.facts[name], dates)
            self._end_verified(name, dates, batch=call.batch.number)
            return
        claims = self.claims.setdefault(name, _Claims())
        if not claims.dates:
            claims.since = monotonic()
        claims.dates |= dates
        claims.started |= dict.fromkeys(dates.numbers(), started)

    def _end_verified(self, name: str, dates: DateSet, *, batch: int | None) -> None:
        """Gives claimed units the word that their table bears out."""
        covered = self.live.covered[name]
        done = dates & covered.good
        unexpected = dates & covered.states[State.NOT_EXPECTED]
        self._end(name, done, Word.DONE, batch=batch)
        self._end(name, unexpected, Word.SKIPPED, "no longer expected", batch=batch)
        for why, days in self.live.shortfalls(name, dates - done - unexpected).items():
            self._end(name, days, Word.FAILED, why, batch=batch)

    def _verify_claims(self) -> None:
        """Observes claims that runners made outside a transaction of ours, a table at a time."""
        idle = not self.in_flight and not self.queued
        for name, claims in sorted(self.claims.items()):
            now = monotonic()
            ripe = len(claims.dates) >= CLAIMS_TOGETHER or now - claims.since >= CLAIMS_WAIT
            if not claims.dates or not (idle or (ripe and now - claims.looked >= CLAIMS_PACE)):
                continue
            claims.looked = now
            dates, claims.dates = claims.dates, DateSet()
            self._observe(name, dates)
            written = self.live.written_since(name, dates, claims.started)
            covered = self.live.covered[name]
            there = dates & (covered.good & written | covered.states[State.NOT_EXPECTED])
            again = dates - there - self.retried.get(name, DateSet())
            self._end_verified(name, dates - again, batch=None)
            for why, days in self.live.shortfalls(name, again).items():
                self._say(UnitsUnverified(at=self.world.clock.now(), processor=name, dates=days, why=why))
            if again and not self.drain.asked:
                self.retried[name] = self.retried.get(name, DateSet()) | again
                self._queue(name, again)

    def _judge_layers(self) -> None:
        """Judges the gates of every layer whose units all ended and whose predecessors are judged."""
        for layer in self.layers:
            if layer in self.judged or not self._before(layer) <= self.judged or self._unfinished_in(layer):
                continue
            self.judged.add(layer)
            for gate in next(known for known in self.pipeline.layers if known.name == layer).gates:
                self._judge(gate, layer)

    def _judge(self, gate: Gate, layer: str) -> None:
        if self.waiting.get(gate.measure) is not None:
            self._observe(gate.measure, DateSet.of_span(self.plan.request.span))
        coverage = self.live.coverage(self.plan.request.span)
        blocked = self.plan.blocked_dates().get(gate.measure, DateSet())
        verdict = judge_gate(gate, layer, coverage, self._gate_dates(), blocked)
        self._say(
            GateJudged(at=self.world.clock.now(), layer=layer, gate=gate.name, verdict=verdict.to_json(), passed=verdict.passed)
        )
        self.live.close(layer, verdict)

    def _gate_dates(self) -> DateSet:
        dates = DateSet.of_span(self.plan.request.span)
        return dates if self.plan.request.dates is None else dates & self.plan.request.dates

    def _before(self, layer: str) -> set[str]:
        return set(self.layers) & self.pipeline.before[layer]

    def _unfinished_in(self, layer: str) -> bool:
        unfinished = self._unfinished()
        return any(unfinished.get(processor.name) for processor in self.pipeline.within(layer))

    def _unfinished(self) -> dict[str, DateSet]:
        unfinished = dict(self.waiting)
        calls = [*self.queued, *(call for call, *_ in self.in_flight.values())]
        for call in calls:
            unfinished[call.processor.name] = unfinished.get(call.processor.name, DateSet()) | call.batch.dates
        for name, claims in self.claims.items():
            unfinished[name] = unfinished.get(name, DateSet()) | claims.dates
        return unfinished

    def _start_ready(self) -> None:
        """Judges the needs of every unit whose upstream has its final word; what may run is queued."""
        moved = True
        while moved:
            moved = False
            unfinished = self._unfinished()
            waiting = {
                name: dates
                for name, dates in self.waiting.items()
                if dates and self._before(self.pipeline.processors[name].layer) <= self.judged
            }
            for name, dates in ready(waiting, unfinished, self.waits).items():
                moved = True
                self.waiting[name] -= dates
                self._decide(name, dates)

    def _decide(self, name: str, dates: DateSet) -> None:
        for word, why, days in self.live.refused(name, dates):
            self._end(name, days, word, why)
            dates -= days
        looked = dates & self.unsettled[name]
        if looked:
            self._observe(name, looked)
            covered = self.live.covered[name]
            complete, unexpected = looked & covered.good, looked & covered.states[State.NOT_EXPECTED]
            self._end(name, complete, Word.SKIPPED, "found complete")
            self._end(name, unexpected, Word.SKIPPED, "no longer expected")
            dates -= complete | unexpected
        if dates:
            self._queue(name, dates)

    def _queue(self, name: str, dates: DateSet) -> None:
        processor = self.pipeline.processors[name]
        spec = processor.spec_for(self.pipeline.runtime)
        assert spec is not None, "the graph was built for this runtime"
        in_order = any(name in edge.upstreams for edge in self.pipeline.edges_into[name])
        for run in date_runs(dates, spec, in_order=in_order, share=self.concurrency):
            self.batches += 1
            self.queued.append(self._call(processor, spec, Batch(number=self.batches, processors=(name,), dates=run)))

    def _call(self, processor: Processor, spec: RunSpec, batch: Batch) -> Call:
        edges = self.pipeline.edges_into[processor.name]
        named = (processor.name, *(up for edge in edges for up in edge.upstreams))
        sources = {name: self.pipeline.processors[name].writes for name in named}
        calendar = self.calendars[processor.calendar]
        return Call(
            batch=batch,
            processor=processor,
            spec=spec,
            question=question_about(self.pipeline, processor, calendar, batch.dates.span),
            tables=tables_named(self.pipeline, named),
            sources={name: files for name, files in sources.items() if isinstance(files, Files)},
            seasons=calendar.seasons,
        )

    def _launch(self, pool: ThreadPoolExecutor) -> None:
        """Sends queued calls into free places. The journal has them on disk before they leave."""
        leaving = []
        while self.queued and not self.drain.asked and len(self.in_flight) < self.concurrency:
            call = self.queued.pop(0)
            now = self.world.clock.now()
            attempt = 2 if call.batch.dates <= self.retried.get(call.processor.name, DateSet()) else 1
            self._say(
                BatchStarted(
                    at=now,
                    batch=call.batch.number,
                    processors=call.batch.processors,
                    dates=call.batch.dates,
                    attempt=attempt,
                )
            )
            self.in_flight[call.batch.number] = (call, now, monotonic())
            leaving.append(call)
        self._flush()
        for call in leaving:
            future = pool.submit(self.world.runners[type(call.spec)].run, call)
            future.batch_number = call.batch.number  # type: ignore[attr-defined]
            future.add_done_callback(self.home.put)

    def _observe(self, name: str, dates: DateSet) -> None:
        """Looks at a table again, over the span of those dates."""
        processor = self.pipeline.processors[name]
        assert isinstance(processor.writes, Table)
        span = dates.span
        schema = self.world.warehouse.schema([processor.writes.dataset, *self._datasets_read(name)])
        question = question_about(self.pipeline, processor, self.calendars[processor.calendar], span)
        tables = (processor.writes, *tables_named(self.pipeline, self._read_names(name)).values())
        missing = frozenset(table.name for table in tables if table.name not in schema)
        facts = self.world.warehouse.observe(question.without(missing))
        self.live.absorb(name, facts, DateSet.of_span(span))

    def _read_names(self, name: str) -> tuple[str, ...]:
        return tuple(up for edge in self.pipeline.edges_into[name] for up in edge.upstreams)

    def _datasets_read(self, name: str) -> list[str]:
        return [table.dataset for table in tables_named(self.pipeline, self._read_names(name)).values()]

    def _end(self, name: str, dates: DateSet, word: Word, why: str = "", *, batch: int | None = None) -> None:
        if not dates:
            return
        degraded = dates & self.live.degraded(name, dates) if word is Word.DONE else DateSet()
        self.live.ended(name, dates, word, why)
        self._say(
            UnitsEnded(
                at=self.world.clock.now(),
                processor=name,
                dates=dates,
                word=word,
                why=why,
                degraded=degraded,
                batch=batch,
            )
        )

    def _look_again(self) -> Coverage:
        """The warehouse after the run: every table asked once more."""
        return observe(
            self.pipeline,
            self.world.warehouse,
            self.world.landing,
            self.calendars,
            span=self.plan.request.span,
            today=self.today,
        )

    def _say(self, event: Event) -> None:
        self.events.append(event)
        self.state.apply(event)

    def _flush(self) -> None:
        """Puts what happened since the last time on disk, as one commit, and tells the listeners."""
        events, self.events = self.events, []
        if events:
            self.world.journal.append(self.name, events)
            for listener in self.world.listeners:
                listener.heard(self.name, events)

    def _tell(self, events: Iterable[Event]) -> None:
        told = list(events)
        for event in told:
            self.state.apply(event)
        for listener in self.world.listeners:
            listener.heard(self.name, told)
