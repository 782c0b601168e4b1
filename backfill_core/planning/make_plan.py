"""The planner: from coverage and a request to a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from backfill_core.coverage import TO_DO, Coverage, State
from backfill_core.dates import DateSet, union
from backfill_core.gates import judge_gate
from backfill_core.graph import Edge, EdgeKind, Pipeline, checked_reads
from backfill_core.model.processor import Gate, Layer
from backfill_core.plan import Blocked, Cascade, Closure, Plan, PlannedProcessor, Request, RootCause, Stage
from backfill_core.planning.asked import Decided, asked_dates, not_planned
from backfill_core.planning.blocking import Blocking
from backfill_core.planning.decision import Decision
from backfill_core.planning.fingerprint import graph_fingerprint
from backfill_core.planning.forecast import forecasts
from backfill_core.planning.judge import TOO_LITTLE_HISTORY, window_map
from backfill_core.planning.order import first_dates
from backfill_core.planning.withhold import withheld_by
from backfill_core.planning.work import forced, keyless, kind_of, lacking, spoiled


def make_plan(pipeline: Pipeline, coverage: Coverage, request: Request) -> Plan:
    """Works out what is to do. The same coverage and request give the same plan.

    With a limit it is worked out for all dates first, and again for the few of them that come first in the order asked for.
    """
    whole = _Planner(pipeline, coverage, request)
    whole.decide()
    if request.limit is None:
        return whole.plan()
    planned = {name: verdict.planned for name, verdict in whole.verdicts.items() if verdict.planned}
    few = first_dates(pipeline, coverage, planned, request.order, request.limit)
    part = _Planner(pipeline, coverage, request, few, whole)
    part.decide()
    return part.plan()


class _Planner:
    def __init__(
        self,
        pipeline: Pipeline,
        coverage: Coverage,
        request: Request,
        few: DateSet | None = None,
        whole: _Planner | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.coverage = coverage
        self.request = request
        self.asked = asked_dates(request) if few is None else few & asked_dates(request)
        #: Dates asked for that a limit leaves for later, and what was decided with them.
        self.later = asked_dates(request) - self.asked
        self.whole = whole or self
        self.selected = frozenset(pipeline.chosen(request.through, request.processors))
        self.reachable = frozenset(pipeline.chosen(request.through))
        self.only = dict(request.only)
        self.verdicts: dict[str, Decision] = {}
        self.blocking = Blocking(pipeline, coverage, self.verdicts)

    def decide(self) -> None:
        for name in self.pipeline.processors:
            self._decide_one(name)

    def _decide_one(self, name: str) -> None:
        """Decides a processor; where it reads its own earlier dates, again until those that fall spoil nothing."""
        own, fallen = any(name in edge.upstreams for edge in self.pipeline.edges_into[name]), DateSet()
        while True:
            verdict = Decision()
            if self._selected(name):
                self._find_work(name, verdict)
            if self.request.cascade is not Cascade.NONE and self._within(name):
                self._find_spoiled(name, verdict, fallen if own else None)
            if self.pipeline.processors[name].rerun == "appends":
                self.blocking.keep_appended(name, verdict)
            if verdict.reasons:
                self.blocking.block(name, verdict)
            self.verdicts[name] = verdict
            now = verdict.blocked_dates | verdict.pending
            if self.request.cascade is Cascade.NONE or not own or now == fallen:
                return
            fallen = now

    def _selected(self, name: str) -> bool:
        return self.pipeline.runs(name) and name in self.selected

    def _within(self, name: str) -> bool:
        """Whether a cascade may reach a processor: all that is run up to the last layer, chosen or not."""
        return self.pipeline.runs(name) and name in self.reachable

    def _find_work(self, name: str, verdict: Decision) -> None:
        covered, processor = self.coverage.processors[name], self.pipeline.processors[name]
        unsettled: dict[str, DateSet] = {}
        for upstream, window in checked_reads(processor):
            edge = Edge(upstreams=(upstream,), downstream=name, window=window, kind=EdgeKind.READS, share=0.0)
            reached = window_map(self.pipeline, edge, self.coverage.calendars).dependents(self.verdicts[upstream].planned)
            open_dates = covered.good | covered.findings.not_expected.get(TOO_LITTLE_HISTORY, DateSet())
            open_dates |= keyless(processor, covered)
            unsettled[upstream] = unsettled.get(upstream, DateSet()) | (reached & open_dates & self.asked)
            verdict.unsettled |= reached & (covered.expected | open_dates) & self.asked
        told = union(unsettled.values())
        self._add_reasons(name, verdict, lacking(covered, covered.of(*TO_DO) & self.asked - told))
        if self.request.older_than is not None:
            again = forced(covered, self.request.older_than, include_warmup=self.request.include_warmup) & self.asked
            self._add_reasons(name, verdict, {"forced": again})
            verdict.unsettled -= again
        self._add_reasons(name, verdict, {f"unsettled: {upstream} is planned": dates for upstream, dates in unsettled.items()})

    def _find_spoiled(self, name: str, verdict: Decision, fallen: DateSet | None) -> None:
        """Adds what is stale, and what the plan itself makes stale; of processors that were not chosen only the latter.

        ``fallen`` are own dates that cannot run, of a processor that reads its own earlier dates; None of any other.
        """
        covered = self.coverage.processors[name]
        asked = self.asked if self._selected(name) else DateSet()
        changed = {up: self._changed(self.verdicts[up]) for up in self._inputs(name) if up != name}
        changed[name] = verdict.planned - verdict.unsettled - (fallen or DateSet())
        while True:
            reasons = spoiled(covered, self._spoiled_by(name, changed), asked)
            surely = union(reasons.values())  # found complete or not, it rests on something that changes
            grown = changed[name] | (self._of_kind("stale", name, surely) - (fallen or DateSet()))
            if fallen is None or self.request.cascade is not Cascade.ALL or grown == changed[name]:
                break
            changed[name] = grown
        for why in [why for why in verdict.reasons if kind_of(why) == "unsettled"]:
            verdict.planned -= verdict.reasons[why] & surely
            verdict.reasons[why] -= surely
        verdict.unsettled -= surely
        before = verdict.planned
        self._add_reasons(name, verdict, reasons)
        verdict.cascaded = verdict.planned - before
        verdict.unsettled -= verdict.cascaded

    def _inputs(self, name: str) -> set[str]:
        """What a processor is computed from."""
        return {up for edge in self.pipeline.edges_into[name] if edge.kind is not EdgeKind.READS for up in edge.upstreams}

    def _changed(self, verdict: Decision) -> DateSet:
        """The dates that spoil what reads them. What is unsettled may be found complete, and left as it is."""
        changed = verdict.planned - verdict.unsettled
        return changed - verdict.cascaded if self.request.cascade is Cascade.DIRECT else changed

    def _spoiled_by(self, name: str, changed: Mapping[str, DateSet]) -> dict[str, DateSet]:
        """The dates of the span whose windows hold changed dates, by what was changed."""
        reached: dict[str, DateSet] = {}
        for edge in self.pipeline.edges_into[name]:
            if edge.kind is not EdgeKind.READS:
                window = window_map(self.pipeline, edge, self.coverage.calendars)
                for upstream in edge.upstreams:
                    dates = window.dependents(changed[upstream]) & DateSet.of_span(self.request.span)
                    reached[upstream] = reached.get(upstream, DateSet()) | dates
        return reached

    def _of_kind(self, kind: str, name: str, dates: DateSet) -> DateSet:
        """Of dates that are work for a reason of that kind, those that were asked for."""
        if self.request.reasons and kind not in self.request.reasons:
            return DateSet()
        return dates & self.only.get(name, DateSet()) if self.only else dates

    def _add_reasons(self, name: str, verdict: Decision, reasons: Mapping[str, DateSet]) -> None:
        """Takes those reasons of the kinds asked for, each date under its first."""
        for reason, dates in reasons.items():
            fresh = self._of_kind(kind_of(reason), name, dates - verdict.planned)
            if fresh:
                verdict.reasons[reason] = fresh
                verdict.planned |= fresh

    def plan(self) -> Plan:
        stages = []
        for layer in self.pipeline.layers:
            planned = tuple(
                PlannedProcessor(
                    name=processor.name,
                    reasons=verdict.reasons,
                    degraded=verdict.degraded,
                    unsettled=verdict.unsettled,
                )
                for processor in self.pipeline.within(layer.name)
                if (verdict := self.verdicts[processor.name]).planned
            )
            gates = tuple(gate.name for gate in gates_judged(self.pipeline, layer, self.selected))
            if planned or gates:
                stages.append(Stage(layer=layer.name, processors=planned, gates=gates))
        planned_dates = {name: verdict.planned for name, verdict in self.verdicts.items() if verdict.planned}
        closures = self._closures(planned_dates)
        for closure in closures:
            for name, dates in closure.withheld.items():
                planned_dates[name] = planned_dates[name] - dates
        asked, left = not_planned(self.pipeline, self.coverage, self.request, *self._decided())
        return Plan(
            request=self.request,
            graph=graph_fingerprint(
                self.pipeline, {n: covered.findings.waived for n, covered in self.coverage.processors.items()}
            ),
            stages=tuple(stages),
            blocked=self._blocked(),
            not_planned=left,
            asked=asked,
            stale=self._stale(),
            closures=closures,
            forecast=forecasts(
                self.pipeline, self.coverage, self.selected | planned_dates.keys(), planned_dates, self.asked | self.later
            ),
        )

    def _closures(self, planned: Mapping[str, DateSet]) -> tuple[Closure, ...]:
        """The gates that will close although all of the plan succeeds, and what of it they will withhold."""
        found = []
        for layer in self.pipeline.layers:
            for gate in gates_judged(self.pipeline, layer, self.selected):
                blocked, hoped = self.verdicts[gate.measure].blocked_dates, planned.get(gate.measure, DateSet())
                verdict = judge_gate(gate, layer, self.coverage, self.asked, blocked, hoped)
                if not verdict.passed:
                    calendars, covered = self.coverage.calendars, self.coverage.processors
                    held = withheld_by(verdict, self.pipeline, calendars, covered, planned)
                    found.append(Closure(layer=layer.name, gate=gate.name, dates=verdict.failed, withheld=held))
        return tuple(found)

    def _decided(self) -> tuple[list[str], Decided]:
        """The processors chosen, and what became of their dates; of those left for later, what would have."""
        names = [name for name in self.pipeline.processors if self._selected(name)]
        now, all_ = ([planner.verdicts[name] for name in names] for planner in (self, self.whole))
        return names, Decided(
            planned=union(verdict.planned for verdict in now),
            later=union(verdict.planned for verdict in all_) & self.later,
            blocked=union(verdict.blocked_dates for verdict in now)
            | union(verdict.blocked_dates for verdict in all_) & self.later,
            pending=union(verdict.pending for verdict in all_),
        )

    def _stale(self) -> dict[str, DateSet]:
        """What is stale and not planned, by processor."""
        found = {
            name: self.coverage.processors[name].states[State.STALE] & self.asked - self.verdicts[name].planned
            for name in self.pipeline.processors
            if self._selected(name)
        }
        return {name: dates for name, dates in found.items() if dates}

    def _blocked(self) -> tuple[Blocked, ...]:
        return tuple(
            Blocked(
                processor=name,
                dates=victims,
                because=(RootCause(processor=root, dates=causes, why=why),),
            )
            for name, verdict in self.verdicts.items()
            for (root, why), (victims, causes) in sorted(verdict.blocked.items())
        )


def gates_judged(pipeline: Pipeline, layer: Layer, selected: Collection[str]) -> list[Gate]:
    """The gates after a layer that matter to a selection: those that guard a later layer in it, or measure what is in it."""
    guards = any(layer.name in pipeline.before[pipeline.processors[name].layer] for name in selected)
    return [gate for gate in layer.gates if guards or gate.measure in selected]
