"""The planner: from coverage and a request to a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from backfill_core.coverage import TO_DO, Coverage, State
from backfill_core.dates import DateSet, union
from backfill_core.graph import Edge, EdgeKind, Pipeline, checked_reads
from backfill_core.model.expectations import KeysOf
from backfill_core.model.windows import SAME_DATE, SameDate, SeasonToDate
from backfill_core.plan import Blocked, Forecast, Plan, PlannedProcessor, Request, RootCause, Stage
from backfill_core.planning.judge import TOO_LITTLE_HISTORY, window_map
from backfill_core.planning.need_met import need_met

#: (processor, why): what a root cause is grouped by.
_Root = tuple[str, str]

NO_FILE = "no landing file"


def make_plan(pipeline: Pipeline, coverage: Coverage, request: Request) -> Plan:
    """Works out what is to do. The same coverage and request give the same plan."""
    planner = _Planner(pipeline, coverage, request)
    planner.decide()
    return planner.plan()


def graph_fingerprint(pipeline: Pipeline) -> str:
    """Changes with anything declared that a plan rests on; not with how units are run."""
    parts = [repr((layer.name, layer.after, layer.gates)) for layer in pipeline.layers]
    for name, processor in pipeline.processors.items():
        parts.append(
            repr(
                (
                    name,
                    processor.layer,
                    processor.calendar,
                    processor.writes,
                    processor.needs,
                    processor.complete_when,
                    processor.rules,
                    processor.warmup,
                )
            )
        )
    parts += [repr(calendar) for _, calendar in sorted(pipeline.calendars.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(slots=True)
class _Verdict:
    """What was decided of one processor."""

    reasons: dict[str, DateSet] = field(default_factory=dict)
    unsettled: DateSet = field(default_factory=DateSet)
    degraded: DateSet = field(default_factory=DateSet)
    planned: DateSet = field(default_factory=DateSet)
    pending: DateSet = field(default_factory=DateSet)
    #: Root cause -> (dates it blocks, dates at the root).
    blocked: dict[_Root, tuple[DateSet, DateSet]] = field(default_factory=dict)

    @property
    def blocked_dates(self) -> DateSet:
        return union(victims for victims, _ in self.blocked.values())


class _Planner:
    def __init__(self, pipeline: Pipeline, coverage: Coverage, request: Request) -> None:
        self.pipeline = pipeline
        self.coverage = coverage
        self.request = request
        self.asked = DateSet.of_span(request.span)
        if request.dates is not None:
            self.asked &= request.dates
        through = pipeline.layer(request.through)
        self.layers = [layer for layer in pipeline.layers if layer is through or layer.name in pipeline.before[through.name]]
        self.verdicts: dict[str, _Verdict] = {}

    def decide(self) -> None:
        for name in self.pipeline.processors:
            verdict = _Verdict()
            if self._selected(name):
                self._find_work(name, verdict)
                self._block(name, verdict)
            self.verdicts[name] = verdict

    def _selected(self, name: str) -> bool:
        processor = self.pipeline.processors[name]
        return (
            self.pipeline.runs(name)
            and processor.layer in [layer.name for layer in self.layers]
            and (not self.request.layers or processor.layer in self.request.layers)
            and (not self.request.processors or name in self.request.processors)
        )

    def _find_work(self, name: str, verdict: _Verdict) -> None:
        covered = self.coverage.processors[name]
        unsettled: dict[str, DateSet] = {}
        for upstream, window in checked_reads(self.pipeline.processors[name]):
            edge = Edge(upstreams=(upstream,), downstream=name, window=window, kind=EdgeKind.READS, share=0.0)
            reached = window_map(self.pipeline, edge, self.coverage.calendars).dependents(self.verdicts[upstream].planned)
            open_dates = covered.good | covered.findings.not_expected.get(TOO_LITTLE_HISTORY, DateSet())
            open_dates |= self._keyless(name)
            unsettled[upstream] = reached & open_dates & self.asked
            verdict.unsettled |= reached & (covered.expected | open_dates) & self.asked
        told = union(unsettled.values())
        work = covered.of(*TO_DO) & self.asked - told
        for reason, dates in self._reasons(name, work).items():
            verdict.reasons[reason] = dates
        for upstream, dates in unsettled.items():
            fresh = dates - union(verdict.reasons.values())
            if fresh:
                verdict.reasons[f"unsettled: {upstream} is planned"] = fresh
        verdict.planned = union(verdict.reasons.values())
        verdict.unsettled &= verdict.planned

    def _keyless(self, name: str) -> DateSet:
        """Missing dates for which the window that gives their keys gives none yet: whether they are expected is open."""
        covered = self.coverage.processors[name]
        found = DateSet()
        for expectation in self.pipeline.processors[name].expectations:
            if isinstance(expectation, KeysOf) and isinstance(expectation.window, SeasonToDate):
                shares = covered.facts.shares.get(str(expectation), {})
                wanting = DateSet.from_numbers([day for day, (_, want, _) in shares.items() if want])
                found |= covered.states[State.MISSING] - wanting
        return found

    def _reasons(self, name: str, work: DateSet) -> dict[str, DateSet]:
        """Each date of work under the one word for its state, with the numbers behind it."""
        covered = self.coverage.processors[name]
        reasons: dict[str, DateSet] = {}
        missing = covered.states[State.MISSING] & work
        if missing:
            reasons["missing"] = missing
        partial: dict[tuple[int, int], list[int]] = {}
        for number in (covered.states[State.PARTIAL] & work).numbers():
            partial.setdefault(covered.counts.get(number, (0, 0)), []).append(number)
        for (have, want), numbers in sorted(partial.items()):
            reasons[f"partial {have}/{want}"] = DateSet.from_numbers(numbers)
        invalid = covered.states[State.INVALID] & work
        for rule, dates in sorted(covered.findings.broken.items()):
            if dates & invalid:
                reasons[f"invalid: {rule}"] = dates & invalid
                invalid -= dates
        return reasons

    def _block(self, name: str, verdict: _Verdict) -> None:
        """Takes out what cannot run, until nothing more falls: its own earlier dates may fall with it."""
        self.verdicts[name] = verdict
        while True:
            before = verdict.planned
            for edge in self.pipeline.edges_into[name]:
                self._judge_edge(edge, verdict)
            for upstream in self._key_sources(name):
                self._judge_keys(upstream, verdict)
            verdict.planned = before - verdict.blocked_dates - verdict.pending
            if verdict.planned == before or not any(name in edge.upstreams for edge in self.pipeline.edges_into[name]):
                break
        verdict.reasons = {why: d & verdict.planned for why, d in verdict.reasons.items() if d & verdict.planned}
        verdict.degraded &= verdict.planned
        verdict.unsettled &= verdict.planned

    def _judge_edge(self, edge: Edge, verdict: _Verdict) -> None:
        if edge.kind is EdgeKind.READS:
            return
        ups = [self.coverage.processors[name] for name in edge.upstreams]
        expected = union(up.expected for up in ups)
        good = union(self._will_be_good(name) for name in edge.upstreams)
        window = window_map(self.pipeline, edge, self.coverage.calendars)
        judged = need_met(verdict.planned, window, edge.share, expected=expected, good=good)
        verdict.degraded |= judged.degraded | (judged.unmet if edge.kind is EdgeKind.SOFT else DateSet())
        if edge.kind is EdgeKind.SOFT or not judged.unmet:
            return
        pending = union(self._will_pend(name) for name in edge.upstreams)
        hopeful = need_met(judged.unmet, window, edge.share, expected=expected, good=good | pending).met
        verdict.pending |= hopeful
        self._blame(edge, judged.unmet - hopeful, expected - good - pending, verdict)

    def _judge_keys(self, upstream: str, verdict: _Verdict) -> None:
        """Without a row of the processor whose keys it must hold, a date can never be complete."""
        held = self.coverage.processors[upstream].facts.rows
        there = DateSet.from_numbers(list(held)) | self.verdicts[upstream].planned
        lacking = verdict.planned - there
        pending = lacking & self._will_pend(upstream)
        verdict.pending |= pending
        edge = Edge(upstreams=(upstream,), downstream="", window=SAME_DATE, kind=EdgeKind.HARD, share=1.0)
        self._blame(edge, lacking - pending, lacking - pending, verdict)

    def _blame(self, edge: Edge, victims: DateSet, bad: DateSet, verdict: _Verdict) -> None:
        """Finds the roots of each upstream that fails the victims, and puts the victims under them."""
        if not victims:
            return
        for name in edge.upstreams:
            up = self.verdicts[name]
            rooted = DateSet()
            for root, (fallen, causes) in list(up.blocked.items()):
                hit = victims & self._reached(edge, fallen & bad)
                if hit:
                    same = causes & hit if isinstance(edge.window, SameDate) and causes & hit else causes
                    self._add(verdict, root, hit, same)
                rooted |= fallen
            own = bad - rooted
            hit = victims & self._reached(edge, own)
            if hit:
                causes = own & hit if isinstance(edge.window, SameDate) else own
                for why, dates in self._why_absent(name, causes).items():
                    self._add(verdict, (name, why), hit & self._reached(edge, dates), dates)

    def _reached(self, edge: Edge, dates: DateSet) -> DateSet:
        if isinstance(edge.window, SameDate):
            return dates
        return window_map(self.pipeline, edge, self.coverage.calendars).dependents(dates)

    @staticmethod
    def _add(verdict: _Verdict, root: _Root, victims: DateSet, causes: DateSet) -> None:
        if not victims:
            return
        known_victims, known_causes = verdict.blocked.get(root, (DateSet(), DateSet()))
        verdict.blocked[root] = (known_victims | victims, known_causes | causes)

    def _why_absent(self, name: str, dates: DateSet) -> dict[str, DateSet]:
        if not self.pipeline.runs(name):
            return {NO_FILE: dates}
        covered = self.coverage.processors[name]
        found = {}
        for state in State:
            part = covered.states[state] & dates
            if part:
                found[f"{state}, not in this plan"] = part
                dates -= part
        if dates:
            found["not looked at"] = dates
        return found

    def _will_be_good(self, name: str) -> DateSet:
        return self.coverage.processors[name].good | self.verdicts[name].planned

    def _will_pend(self, name: str) -> DateSet:
        return self.coverage.processors[name].states[State.PENDING] | self.verdicts[name].pending

    def _key_sources(self, name: str) -> list[str]:
        return [
            expectation.processor
            for expectation in self.pipeline.processors[name].expectations
            if isinstance(expectation, KeysOf) and isinstance(expectation.window, SameDate)
        ]

    def plan(self) -> Plan:
        stages = []
        for layer in self.layers:
            planned = [
                PlannedProcessor(
                    name=processor.name,
                    reasons=verdict.reasons,
                    degraded=verdict.degraded,
                    unsettled=verdict.unsettled,
                )
                for processor in self.pipeline.within(layer.name)
                if (verdict := self.verdicts[processor.name]).planned
            ]
            if planned or layer.gates:
                gates = tuple(gate.name for gate in layer.gates)
                stages.append(Stage(layer=layer.name, processors=tuple(planned), gates=gates))
        asked, not_planned = self._not_planned()
        return Plan(
            request=self.request,
            graph=graph_fingerprint(self.pipeline),
            stages=tuple(stages),
            blocked=self._blocked(),
            not_planned=not_planned,
            asked=asked,
            forecast=tuple(self._forecasts()),
        )

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

    def _not_planned(self) -> tuple[int, dict[str, DateSet]]:
        """(dates asked for, dates on which nothing is to do by the reason that the last processor selected gives)."""
        names = [name for name in self.pipeline.processors if self._selected(name)]
        planned = union(self.verdicts[name].planned for name in names)
        dated = self.asked
        if self.request.dates is None:
            dated &= union(self.coverage.calendars[self.coverage.calendar_of[name]].expected for name in names)
        left = dated - planned
        told: dict[str, DateSet] = {}
        for name in reversed(names):
            covered, verdict = self.coverage.processors[name], self.verdicts[name]
            found: Mapping[str, DateSet] = {
                "blocked": verdict.blocked_dates,
                "pending": covered.states[State.PENDING] | verdict.pending,
                **covered.why_not_expected(),
                "unknown": covered.states[State.UNKNOWN],
            }
            for why, dates in found.items():
                if dates & left:
                    told[why] = told.get(why, DateSet()) | (dates & left)
                    left -= dates
        if left:
            told["complete"] = left
        return len(dated), told

    def _forecasts(self) -> list[Forecast]:
        found = []
        for layer in self.layers:
            if layer.measured_by is None or not self.pipeline.runs_in(layer.name):
                continue
            name, key = layer.measured_by
            found.append(forecast(self.coverage, layer.name, name, key, self.verdicts[name].planned))
        return found


def forecast(coverage: Coverage, layer: str, measure: str, key: str, planned: DateSet) -> Forecast:
    """How far a layer is, will be when every planned date succeeds, and can be at most."""
    covered = coverage.processors[measure]
    span = DateSet.of_span(coverage.span)
    there = coverage.keys_there(measure, key, span)
    standing = coverage.keys_there(measure, key, span - planned)
    return Forecast(
        layer=layer,
        key=key,
        wanted=coverage.keys_wanted(measure, span),
        now=there,
        after=standing + coverage.keys_wanted(measure, planned),
        ceiling=coverage.keys_wanted(measure, covered.expected & span),
    )
