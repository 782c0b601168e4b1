"""Whose turn it is: gates that are due are judged, and units whose upstream has its final word are let through or ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet, union
from backfill_core.events import ChangedUnderneath, GateJudged, Word
from backfill_core.gates import Verdict, judge_gate
from backfill_core.graph import Pipeline
from backfill_core.homecoming import Homecoming
from backfill_core.live import Live
from backfill_core.model.processor import Gate, Layer
from backfill_core.model.table import Table
from backfill_core.plan import Plan
from backfill_core.planning.asked import asked_dates
from backfill_core.planning.left_behind import LeftBehind
from backfill_core.ports import Clock
from backfill_core.record import Record
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.terms import Stop
from backfill_core.scheduling.work import gate_name
from backfill_core.verify import Verifier

#: Share of an upstream's dates that may change underneath before the run stops: the plan no longer fits the tables.
MOST_UNDERNEATH = 0.05


class Turns:
    """Moves the scheduler on by what the tables hold."""

    def __init__(
        self,
        pipeline: Pipeline,
        plan: Plan,
        live: Live,
        verifier: Verifier,
        scheduler: Scheduler,
        home: Homecoming,
        record: Record,
        clock: Clock,
        exhausted: Mapping[str, Mapping[str, DateSet]],
        left_behind: Mapping[str, Mapping[int, LeftBehind]],
        overridden: Mapping[str, str],
    ) -> None:
        """``exhausted`` are units that failed the same way too often, by processor and reason.

        ``left_behind`` are units that an earlier run called, and whose service may still be at them, by processor and day number.
        ``overridden`` are gates that pass whatever they find, each with why.
        """
        self.pipeline = pipeline
        self.plan = plan
        self.live = live
        self.verifier = verifier
        self.scheduler = scheduler
        self.home = home
        self.record = record
        self.clock = clock
        self.exhausted = exhausted
        self.left_behind = left_behind
        self.overridden = overridden
        self._unsettled = {name: chosen.unsettled for name, chosen in plan.planned().items()}
        self._gates = {stage.layer: stage.gates for stage in plan.stages}
        self._begun: set[str] = set()
        self._looked: set[str] = set()

    def begin(self) -> None:
        """Before anything else: what others may still write is expected to change, and in a pipelined run the dates of gates are
        closed that nothing planned will change.
        """
        for name, calls in self.left_behind.items():
            self.verifier.expects(name, DateSet.from_numbers(list(calls)))
        if self.scheduler.terms.pipelined:
            for stage in self.plan.stages:
                planned = union(chosen.dates for chosen in stage.processors)
                self._judge_dates(stage.layer, asked_dates(self.plan.request) - planned, settled=not planned)

    def advance(self) -> None:
        """Judges all that is due, until nothing moves."""
        while True:
            layers = self.scheduler.layers_due()
            for layer in map(self.pipeline.layer, layers):
                for gate in layer.gates:
                    if gate.name in self._gates[layer.name]:
                        self._judge(gate, layer)
                self.scheduler.judged(layer.name)
            gates = self.scheduler.gates_due()
            for stage in self.plan.stages:
                if gate_name(stage.layer) in gates:
                    self._judge_dates(stage.layer, gates[gate_name(stage.layer)], settled=True)
                    self.scheduler.ended(gate_name(stage.layer), gates[gate_name(stage.layer)])
            chosen = self.scheduler.to_judge()
            for name, dates in chosen.items():
                self._look_before(self.pipeline.processors[name].layer)
                self._decide(name, dates)
            ahead = self.scheduler.to_judge_ahead()
            for name, dates in ahead.items():
                self.scheduler.may_follow(name, self._following(name, dates))
            self.tell_underneath()
            if not (layers or gates or chosen or ahead):
                return

    def tell_underneath(self) -> None:
        """Says which dates changed underneath, and stops a run whose plan no longer fits."""
        for name, dates in self.verifier.underneath.items():
            of = len(self.live.covered[name].expected)
            self.record.say(ChangedUnderneath(at=self.clock.now(), processor=name, dates=dates, of=of))
            told = union(event.dates for event in self.record.state.underneath if event.processor == name)
            if len(told) > MOST_UNDERNEATH * of:
                self.scheduler.stop(Stop.MOVED)
        self.verifier.underneath.clear()

    def _judge(self, gate: Gate, layer: Layer) -> None:
        """A gate's final verdict, over all dates."""
        if gate.measure in self.scheduler.waiting:
            self.verifier.look(gate.measure, DateSet.of_span(self.plan.request.span))
            self._looked.add(gate.measure)
        verdict = self._verdict(gate, layer, asked_dates(self.plan.request))
        if verdict.closed:
            verdict = replace(verdict, withheld=self.live.would_withhold(verdict, self.scheduler.waiting))
        at = self.clock.now()
        self.record.say(GateJudged(at=at, layer=layer.name, gate=gate.name, verdict=verdict.to_json(), passed=verdict.passed))
        if verdict.closed:
            self.live.close(layer.name, verdict)

    def _judge_dates(self, name: str, dates: DateSet, *, settled: bool) -> None:
        """The gates of a layer on some dates, by what is known of them: a date that fails is closed, the layer only by its stage.

        A gate on several dates together is judged on all of them, once nothing more of the layer is to come (``settled``).
        """
        layer, asked = self.pipeline.layer(name), asked_dates(self.plan.request)
        for gate in layer.gates:
            if gate.name in self._gates[name] and (settled or gate.per == "date"):
                verdict = self._verdict(gate, layer, asked & dates if gate.per == "date" else asked)
                if verdict.closed:
                    self.live.close(name, replace(verdict, closes_layer=gate.per == "stage"))

    def _verdict(self, gate: Gate, layer: Layer, dates: DateSet) -> Verdict:
        blocked = self.plan.blocked_dates().get(gate.measure, DateSet())
        verdict = judge_gate(gate, layer, self._coverage(), dates, blocked)
        return replace(verdict, overridden=self.overridden.get(gate.name, "") if verdict.failed else "")

    def _coverage(self) -> Coverage:
        return self.live.coverage(self.plan.request.span)

    def _look_before(self, layer: str) -> None:
        """Before a layer after the first begins: looks once at each table of earlier layers that its units read."""
        if layer in self._begun:
            return
        self._begun.add(layer)
        started = self.record.state.started
        if started is None or self.clock.now() - started.at < timedelta(seconds=60):
            return  # the plan has just looked
        for name in self._read_by(layer):
            if name not in self._looked:
                self._looked.add(name)
                self.verifier.look(name, self.live.covered[name].findings.asked)

    def _read_by(self, layer: str) -> list[str]:
        """Processors of other layers whose tables a layer's planned units read."""
        stages = [stage for stage in self.plan.stages if stage.layer == layer]
        planned = [chosen.name for stage in stages for chosen in stage.processors]
        ups = {up for name in planned for edge in self.pipeline.edges_into[name] for up in edge.upstreams}
        found = [name for name in self.pipeline.processors if name in ups and self.pipeline.processors[name].layer != layer]
        return [name for name in found if isinstance(self.pipeline.processors[name].writes, Table)]

    def _decide(self, name: str, dates: DateSet) -> None:
        """Ends those of the units at their turn that may not run or need not, and lets the scheduler call the others."""
        refused = self.live.refused(name, dates)
        self.home.end(name, refused)
        dates -= union(days for *_, days in refused)
        settled = self.verifier.settled(name, dates & self._unsettled[name])
        self.home.end(name, settled)
        dates -= union(days for *_, days in settled)
        for why, held in self.exhausted.get(name, {}).items():
            self.home.end(name, [(Word.EXHAUSTED, why, dates & held)])
            dates -= held
        dates -= self._wait_for_others(name, dates)
        if dates:
            self.scheduler.admitted(name, dates)

    def _wait_for_others(self, name: str, dates: DateSet) -> DateSet:
        """Of units at their turn, those that are not called now because a call of an earlier run may have them, or had.

        Such a unit has its turn again when its service can hold no lock for it any more, and is looked at then.
        """
        behind = self.left_behind.get(name)
        if not behind:
            return DateSet()
        calls = {day: behind[day] for day in dates.numbers() if day in behind}
        now = self.clock.now()
        over = {day: call.left for day, call in calls.items() if call.until <= now}
        found = self.verifier.found(name, over)
        self.home.end(name, found)
        for until in sorted({call.until for call in calls.values() if call.until > now}):
            days = DateSet.from_numbers([day for day, call in calls.items() if call.until == until])
            self.home.wait(name, days, until)
        return union(days for *_, days in found) | DateSet.from_numbers([day for day in calls if day not in over])

    def _following(self, name: str, dates: DateSet) -> DateSet:
        """Those of the units that may go in the very call that has what they need.

        What would be refused even if all of that were there, is found complete or is exhausted waits for its turn.
        """
        dates -= union(days for *_, days in self.live.refused(name, dates, self.scheduler.company_of(name)))
        dates -= union(self.exhausted.get(name, {}).values()) | DateSet.from_numbers(list(self.left_behind.get(name, ())))
        return dates - union(days for *_, days in self.verifier.settled(name, dates & self._unsettled[name]))
