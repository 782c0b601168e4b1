"""Coverage while a run changes it: what has been verified, which gates closed, and what that lets start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from types import MappingProxyType

from backfill_core.coverage import Coverage, DateFacts, ProcessorCoverage, State
from backfill_core.dates import DateSet, Span, union
from backfill_core.day_facts import changeable, days_held, only_days, overwrite_days
from backfill_core.events import Word
from backfill_core.gates import Verdict
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.expectations import KeysOf
from backfill_core.model.windows import SameDate
from backfill_core.planning.judge import judge_processor, window_map
from backfill_core.planning.need_met import need_met
from backfill_core.planning.windows import WindowMap
from backfill_core.planning.withhold import key_sources, withheld_by
from backfill_core.reports.words import dates_words

#: (word, why, dates): units that may not start.
Refusal = tuple[Word, str, DateSet]
NOTHING: Mapping[str, DateSet] = MappingProxyType({})


class Live:
    """What is known of every table now. Pure of any input or output; the execution tells it what it saw."""

    def __init__(self, pipeline: Pipeline, coverage: Coverage, today: date) -> None:
        self.pipeline = pipeline
        self.today = today
        self.calendars = coverage.calendars
        self.calendar_of = coverage.calendar_of
        self.reviews = coverage.reviews
        self._counts = {name: dict(covered.counts) for name, covered in coverage.processors.items()}
        self.covered: dict[str, ProcessorCoverage] = {
            name: replace(covered, facts=changeable(covered.facts), counts=self._counts[name], states=dict(covered.states))
            for name, covered in coverage.processors.items()
        }
        #: Dates closed by a gate of each layer, for the layers after it.
        self.closed: dict[str, DateSet] = {}
        self.closed_layers: dict[str, str] = {}
        #: Why units of a processor are not there: the word for what they hold up, the root cause, and the dates.
        self.lost: dict[str, list[tuple[Word, str, DateSet]]] = {}

    def coverage(self, span: Span) -> Coverage:
        return Coverage(
            span=span,
            processors=self.covered,
            calendars=self.calendars,
            calendar_of=self.calendar_of,
            reviews=self.reviews,
        )

    def absorb(self, name: str, facts: DateFacts, dates: DateSet) -> None:
        """Takes in what was just observed of a processor's table on those dates, and judges them anew."""
        self.take_in(name, facts, dates)
        self.judge_again(name, dates)

    def take_in(self, name: str, facts: DateFacts, dates: DateSet) -> None:
        """Takes in what was just observed of a processor's table on those dates, to be judged with more of it."""
        overwrite_days(self.covered[name].facts, facts, dates)

    def judge_again(self, name: str, dates: DateSet) -> None:
        """Judges dates of a processor anew, by what is known of its table now."""
        old = self.covered[name]
        asked = dates & old.findings.asked
        numbers = asked.numbers()
        fresh = judge_processor(
            self.pipeline,
            name,
            only_days(old.facts, numbers),
            asked,
            self.covered,
            calendars=self.calendars,
            today=self.today,
            reviews=self.reviews,
        )
        counts = self._counts[name]
        for day in numbers:
            counts.pop(day, None)
        counts |= fresh.counts
        also = {short: _renewed(part, fresh.also[short], asked) for short, part in old.also.items()}
        self.covered[name] = replace(_judged(old, fresh, asked), also=also)

    def close(self, layer: str, verdict: Verdict) -> None:
        """A gate's failed dates count as absent for later layers; a closed layer closes all of them."""
        self.closed[layer] = self.closed.get(layer, DateSet()) | verdict.failed
        if verdict.closes_layer:
            self.closed_layers[layer] = verdict.gate

    def would_withhold(self, verdict: Verdict, waiting: Mapping[str, DateSet]) -> dict[str, DateSet]:
        """Of the units that wait in later layers, those that a closed gate will hold up, directly or through others."""
        return withheld_by(verdict, self.pipeline, self.calendars, self.covered, waiting)

    def ended(self, name: str, dates: DateSet, word: Word, why: str) -> None:
        """Remembers why units are lost, so that what they hold up can name the root."""
        if word in (Word.BLOCKED, Word.WITHHELD):
            self.lost.setdefault(name, []).append((word, why, dates))
        elif word in (Word.FAILED, Word.DECLINED, Word.EXHAUSTED):
            self.lost.setdefault(name, []).append((Word.BLOCKED, f"{name} {word}", dates))

    def may_be_settled(self, name: str, dates: DateSet) -> DateSet:
        """Of dates, those that a look may find complete, or no longer expected.

        A date without rows whose keys are known is neither.
        """
        covered = self.covered[name]
        processor = self.pipeline.processors[name]
        expectations = [e for each in (processor, *processor.parts.values()) for e in each.expectations]
        if any(isinstance(e, KeysOf) and e.looks_back for e in expectations):
            return dates & covered.findings.asked
        return days_held(covered.facts, dates)

    def refused(self, name: str, dates: DateSet, ahead_of: Mapping[str, DateSet] = NOTHING) -> list[Refusal]:
        """Of the dates whose upstream has its final word, those that may not run, each once.

        ``ahead_of`` are dates of upstreams that go in the same call, by processor: they count as there unless they are known to
        be lost.
        """
        going = {up: theirs - union(lost for *_, lost in self.lost.get(up, [])) for up, theirs in ahead_of.items()}
        refused: list[Refusal] = []
        layer = self.pipeline.processors[name].layer
        for before in sorted(self.closed_layers.keys() & self.pipeline.before[layer]):
            return [(Word.WITHHELD, f"gate {self.closed_layers[before]} closed layer {before}", dates)]
        for edge in self.pipeline.edges_into[name]:
            if edge.kind is EdgeKind.HARD:
                found = self._unmet(edge, dates, going)
                refused += found
                dates -= union(days for _, _, days in found)
        for upstream in key_sources(self.pipeline, name):
            found = self._keyless(name, upstream, dates, going)
            refused += found
            dates -= union(days for _, _, days in found)
        return refused

    def _unmet(self, edge: Edge, dates: DateSet, going: Mapping[str, DateSet]) -> list[Refusal]:
        window = window_map(self.pipeline, edge, self.calendars)
        expected = union(self.covered[up].expected for up in edge.upstreams)
        standing = union(self.covered[up].good for up in edge.upstreams)
        if isinstance(edge.window, SameDate):
            standing |= union(going.get(up, DateSet()) for up in edge.upstreams)
        closed = union(self._closed_for(edge.downstream, up) for up in edge.upstreams)
        unmet = need_met(dates, window, edge.share, expected=expected, good=standing - closed).unmet
        withheld = need_met(unmet, window, edge.share, expected=expected, good=standing).met
        refused: list[Refusal] = []
        if withheld:
            refused.append((Word.WITHHELD, self._gate_words(edge.downstream, edge.upstreams, withheld, window), withheld))
        return refused + self._blamed(edge, unmet - withheld)

    def _blamed(self, edge: Edge, dates: DateSet) -> list[Refusal]:
        """Puts blocked dates under the root cause that each comes from."""
        refused: list[Refusal] = []
        window = window_map(self.pipeline, edge, self.calendars)
        for upstream in edge.upstreams:
            for word, why, lost in self.lost.get(upstream, []):
                hit = dates & (lost if isinstance(edge.window, SameDate) else window.dependents(lost))
                if hit:
                    refused.append((word, why, hit))
                    dates -= hit
        if dates:
            refused.append((Word.BLOCKED, f"{' and '.join(edge.upstreams)} not there", dates))
        return refused

    def _keyless(self, name: str, upstream: str, dates: DateSet, going: Mapping[str, DateSet]) -> list[Refusal]:
        """Dates that can never be complete, because the processor whose keys they must hold has none for them."""
        there = days_held(self.covered[upstream].facts, dates) | (going.get(upstream, DateSet()) & dates)
        closed = self._closed_for(name, upstream)
        withheld = there & closed
        refused: list[Refusal] = []
        if withheld:
            refused.append((Word.WITHHELD, self._gate_words(name, (upstream,), withheld, None), withheld))
        edge = next(
            edge for edge in self.pipeline.edges_into[name] if upstream in edge.upstreams and isinstance(edge.window, SameDate)
        )
        return refused + self._blamed(edge, dates - there) if dates - there else refused

    def _closed_for(self, name: str, upstream: str) -> DateSet:
        """Dates of an upstream that a gate closed for this processor, which is in a later layer."""
        layer = self.pipeline.processors[upstream].layer
        if layer == self.pipeline.processors[name].layer:
            return DateSet()
        return self.closed.get(layer, DateSet())

    def _gate_words(self, name: str, upstreams: tuple[str, ...], withheld: DateSet, window: WindowMap | None) -> str:
        """Which layers' gates closed on which dates of the window; None: the same date."""
        layers = sorted({self.pipeline.processors[up].layer for up in upstreams if self._closed_for(name, up)})
        closed = union(self._closed_for(name, up) for up in upstreams)
        if window is None:
            hit = closed & withheld
        else:
            days = [DateSet.from_numbers([day]) for day in closed.numbers()]
            hit = union(day for day in days if window.dependents(day) & withheld)
        return f"gate after {' and '.join(layers)} closed on {dates_words(hit, most=2)}"

    def degraded(self, name: str, dates: DateSet) -> DateSet:
        """Those dates that ran on less than all they wanted."""
        found = DateSet()
        for edge in self.pipeline.edges_into[name]:
            if edge.kind is EdgeKind.READS:
                continue
            window = window_map(self.pipeline, edge, self.calendars)
            expected = union(self.covered[up].expected for up in edge.upstreams)
            good = union(self.covered[up].good - self._closed_for(name, up) for up in edge.upstreams)
            judged = need_met(dates, window, edge.share, expected=expected, good=good)
            found |= judged.degraded | judged.unmet
        return found

    def written_since(self, name: str, dates: DateSet, started: Mapping[int, datetime]) -> DateSet:
        """Those dates whose rows were written after their call started; all, where the table does not tell."""
        oldest = self.covered[name].facts.oldest
        if not oldest:
            return dates
        return DateSet.from_numbers([day for day in dates.numbers() if oldest.get(day, 0) >= _micros(started[day])])

    def shortfalls(self, name: str, dates: DateSet) -> dict[str, DateSet]:
        """What a table lacks on dates that were claimed as done, in words, with the dates."""
        covered = self.covered[name]
        found: dict[str, list[int]] = {}
        for day in dates.numbers():
            found.setdefault(self._shortfall(covered, day), []).append(day)
        return {why: DateSet.from_numbers(days) for why, days in found.items()}

    @staticmethod
    def _shortfall(covered: ProcessorCoverage, day: int) -> str:
        one = DateSet.from_numbers([day])
        where, (have, want) = covered.lacking(day)
        if one <= covered.states[State.MISSING]:
            return f"wrote nothing{where}, {want} wanted" if want else f"wrote nothing{where}"
        if one <= covered.states[State.PARTIAL]:
            return f"partial {have}/{want}{where}"
        if one <= covered.states[State.INVALID]:
            return "invalid: " + ", ".join(r for r, days in sorted(covered.findings.broken.items()) if one <= days)
        if one <= covered.good:
            return "rows are older than the call"
        return next(f"still {state}" for state, days in covered.states.items() if one <= days)


def _judged(old: ProcessorCoverage, fresh: ProcessorCoverage, asked: DateSet) -> ProcessorCoverage:
    """What was known of a processor, with the states that some of its dates have now."""
    broken = {
        rule: (old.findings.broken.get(rule, DateSet()) - asked) | fresh.findings.broken.get(rule, DateSet())
        for rule in dict.fromkeys((*fresh.findings.broken, *old.findings.broken))
    }
    states = {state: (old.states[state] - asked) | fresh.states[state] for state in State}
    return replace(old, states=states, findings=replace(old.findings, broken=broken))


def _renewed(old: ProcessorCoverage, fresh: ProcessorCoverage, asked: DateSet) -> ProcessorCoverage:
    """What was known of a further table, with what was just seen of some of its dates."""
    gone, facts = set(asked.numbers()), changeable(old.facts)
    overwrite_days(facts, fresh.facts, asked)
    counts = {day: count for day, count in old.counts.items() if day not in gone} | dict(fresh.counts)
    return replace(_judged(old, fresh, asked), counts=counts, facts=facts)


def _micros(instant: datetime) -> int:
    since = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
