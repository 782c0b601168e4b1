"""Work that cannot run, and the root causes of that."""

from __future__ import annotations

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet, union
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.table import Files
from backfill_core.model.windows import SAME_DATE, SameDate
from backfill_core.planning.decision import Decision, Root
from backfill_core.planning.judge import window_map
from backfill_core.planning.need_met import need_met
from backfill_core.planning.withhold import key_sources
from backfill_core.planning.work import kind_of

#: Why a source lacks dates, which nothing in a plan can mend: nobody left a file, or nobody filled the table.
NO_FILE = "no landing file"
NO_ROWS = "not there, and nothing here fills it"
SOURCE_GAPS = (NO_FILE, NO_ROWS)
#: Why a date that has rows is not run again.
APPENDS = "it has rows, to which a run would add: clear the date first"


class Blocking:
    """Takes out of decisions, in topological order, what cannot run."""

    def __init__(self, pipeline: Pipeline, coverage: Coverage, decisions: dict[str, Decision]) -> None:
        """``decisions`` are those of the processors upstream; the one at hand is put there too."""
        self.pipeline = pipeline
        self.coverage = coverage
        self.decisions = decisions

    def keep_appended(self, name: str, verdict: Decision) -> None:
        """Takes out dates with rows, of a processor whose runs add to what is there."""
        held = DateSet.from_numbers(list(self.coverage.processors[name].facts.rows)) & verdict.planned
        settled = held - union(dates for why, dates in verdict.reasons.items() if kind_of(why) == "unsettled")
        verdict.planned -= held - settled  # it is complete as things stand, and the next plan says if it is no more
        verdict.reasons = {why: left for why, dates in verdict.reasons.items() if (left := dates & verdict.planned)}
        if settled:
            verdict.blocked[name, APPENDS] = (settled, settled)

    def block(self, name: str, verdict: Decision) -> None:
        """Takes out what cannot run, until nothing more falls: its own earlier dates may fall with it."""
        self.decisions[name] = verdict
        work, own = verdict.planned, any(name in edge.upstreams for edge in self.pipeline.edges_into[name])
        while True:
            before = (verdict.pending, dict(verdict.blocked))
            for edge in self.pipeline.edges_into[name]:
                self._judge_edge(edge, work, verdict)
            for upstream in key_sources(self.pipeline, name):
                self._judge_keys(upstream, work, verdict)
            verdict.pending -= verdict.blocked_dates
            verdict.planned = work - verdict.blocked_dates - verdict.pending
            if not own or before == (verdict.pending, verdict.blocked):
                break
        verdict.reasons = {why: d & verdict.planned for why, d in verdict.reasons.items() if d & verdict.planned}
        verdict.degraded &= verdict.planned
        verdict.unsettled &= verdict.planned

    def _judge_edge(self, edge: Edge, work: DateSet, verdict: Decision) -> None:
        if edge.kind is EdgeKind.READS:
            return
        ups = [self.coverage.processors[name] for name in edge.upstreams]
        expected = union(up.expected for up in ups)
        good = union(self._will_be_good(name) for name in edge.upstreams)
        window = window_map(self.pipeline, edge, self.coverage.calendars)
        judged = need_met(work, window, edge.share, expected=expected, good=good)
        verdict.degraded |= judged.degraded | (judged.unmet if edge.kind is EdgeKind.SOFT else DateSet())
        if edge.kind is EdgeKind.SOFT or not judged.unmet:
            return
        pending = union(self._will_pend(name) for name in edge.upstreams)
        hopeful = need_met(judged.unmet, window, edge.share, expected=expected, good=good | pending).met
        verdict.pending |= hopeful
        self._blame(edge, judged.unmet - hopeful, expected - good - pending, verdict)

    def _judge_keys(self, upstream: str, work: DateSet, verdict: Decision) -> None:
        """Without a row of the processor whose keys it must hold, a date can never be complete."""
        held = self.coverage.processors[upstream].facts.rows
        there = DateSet.from_numbers(list(held)) | self.decisions[upstream].planned
        lacking = work - there
        pending = lacking & self._will_pend(upstream)
        verdict.pending |= pending
        edge = Edge(upstreams=(upstream,), downstream="", window=SAME_DATE, kind=EdgeKind.HARD, share=1.0)
        self._blame(edge, lacking - pending, lacking - pending, verdict)

    def _blame(self, edge: Edge, victims: DateSet, bad: DateSet, verdict: Decision) -> None:
        """Finds the roots of each upstream that fails the victims, and puts the victims under them."""
        if not victims:
            return
        for name in edge.upstreams:
            up = self.decisions[name]
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
    def _add(verdict: Decision, root: Root, victims: DateSet, causes: DateSet) -> None:
        if not victims:
            return
        known_victims, known_causes = verdict.blocked.get(root, (DateSet(), DateSet()))
        verdict.blocked[root] = (known_victims | victims, known_causes | causes)

    def _why_absent(self, name: str, dates: DateSet) -> dict[str, DateSet]:
        if not self.pipeline.runs(name):
            return {NO_FILE if isinstance(self.pipeline.processors[name].writes, Files) else NO_ROWS: dates}
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
        return self.coverage.processors[name].good | self.decisions[name].planned

    def _will_pend(self, name: str) -> DateSet:
        verdict = self.decisions[name]
        return self.coverage.processors[name].states[State.PENDING] | (verdict.pending - verdict.blocked_dates)
