"""From what a table holds to the state of each of its dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from backfill_core.coverage import NO_FACTS, Coverage, DateFacts, Findings, ProcessorCoverage
from backfill_core.dates import DateSet, Span, day_number, union
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import (
    AtMost,
    CalendarKeys,
    KeysOf,
    Rows,
)
from backfill_core.model.needs import Need
from backfill_core.model.processor import Processor
from backfill_core.model.reviews import NO_REVIEWS, Reviews
from backfill_core.model.table import Table
from backfill_core.planning.contents import content_column
from backfill_core.planning.measure import is_enough, measured, share_of
from backfill_core.planning.need_met import need_met
from backfill_core.planning.newer import newer_in_window
from backfill_core.planning.rules import failing
from backfill_core.planning.state import state
from backfill_core.planning.windows import WindowMap
from backfill_core.planning.worst import worst

TOO_LITTLE_HISTORY = "too little history"
WARM_UP = "warm-up"
OFF_DAY = "off-day"
OFF_SEASON = "off-season"
#: Stands before the reason of a waiver.
WAIVED = "waived: "


def judge_coverage(
    pipeline: Pipeline,
    calendars: Mapping[str, CalendarDays],
    facts: Mapping[str, DateFacts],
    reach: Mapping[str, Span],
    *,
    span: Span,
    today: date,
    reviews: Reviews = NO_REVIEWS,
) -> Coverage:
    """The state of every unit: ``reach`` says which dates of each processor were asked about."""
    judged: dict[str, ProcessorCoverage] = {}
    for name in pipeline.processors:
        asked = DateSet.of_span(reach[name])
        judged[name] = judge_processor(
            pipeline, name, facts.get(name, NO_FACTS), asked, judged, calendars=calendars, today=today, reviews=reviews
        )
    return Coverage(
        span=span,
        processors=judged,
        calendars=calendars,
        calendar_of={name: processor.calendar for name, processor in pipeline.processors.items()},
        reviews=reviews,
    )


def judge_processor(
    pipeline: Pipeline,
    name: str,
    facts: DateFacts,
    asked: DateSet,
    upstream: Mapping[str, ProcessorCoverage],
    *,
    calendars: Mapping[str, CalendarDays],
    today: date,
    reviews: Reviews = NO_REVIEWS,
) -> ProcessorCoverage:
    """The state of one processor's dates, given the coverage of all it reads."""
    also: dict[str, ProcessorCoverage] = {}
    for short, part in pipeline.processors[name].parts.items():
        # Whether a date is stale is asked once, of all its tables.
        held = replace(facts.also.get(short, NO_FACTS), oldest={}, newest={})
        judge = _Judge(pipeline, part, held, asked, upstream, calendars, today, reviews)
        findings = judge.findings()
        also[short] = ProcessorCoverage(name=name, findings=findings, states=state(findings), counts=judge.counts, facts=held)
    judge = _Judge(pipeline, pipeline.processors[name], facts, asked, upstream, calendars, today, reviews)
    findings = worst(judge.findings(), also)
    return ProcessorCoverage(name=name, findings=findings, states=state(findings), counts=judge.counts, facts=facts, also=also)


def window_map(pipeline: Pipeline, edge: Edge, calendars: Mapping[str, CalendarDays]) -> WindowMap:
    """The window of an edge between the calendars of its two ends."""
    return WindowMap(
        window=edge.window,
        consumer=calendars[pipeline.processors[edge.downstream].calendar],
        upstream=calendars[pipeline.processors[edge.upstreams[0]].calendar],
    )


@dataclass(slots=True)
class _Judge:
    pipeline: Pipeline
    processor: Processor
    facts: DateFacts
    asked: DateSet
    upstream: Mapping[str, ProcessorCoverage]
    calendars: Mapping[str, CalendarDays]
    today: date
    reviews: Reviews = NO_REVIEWS
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def findings(self) -> Findings:
        calendar = self.calendars[self.processor.calendar]
        unknown = self.asked - calendar.known()
        why = self._not_expected(calendar)
        waived = self._waived(calendar)
        why |= waived
        expected = self.asked - unknown - union(why.values())
        held = DateSet.from_numbers(list(self.facts.rows)) & self.asked
        short, historyless = self._lacking(expected, held)
        if historyless:
            why[TOO_LITTLE_HISTORY] = historyless
        expected -= historyless
        return Findings(
            asked=self.asked,
            unknown=unknown,
            not_expected=why,
            recent=self._recent(expected),
            empty=expected - held,
            short=short & held & expected,
            broken=self._broken(expected & held),
            stale=(stale := self._stale(expected & held, self._looked_at())),
            accepted=self._accepted(expected & held) - union(stale.values()),
            waived=(given_up := union(waived.values())),
            # What people gave up on is still the calendar's: rows there are less than all, and not too much.
            surplus=self._surplus(held - given_up, expected),
        )

    def _not_expected(self, calendar: CalendarDays) -> dict[str, DateSet]:
        why: dict[str, DateSet] = {}
        left = self.asked - calendar.expected
        for label, dates in calendar.others:
            why[label] = dates & left
            left -= dates
        in_season = calendar.in_season() if calendar.seasons else left
        why[OFF_DAY] = left & in_season
        why[OFF_SEASON] = left - in_season
        if self.processor.warmup:
            why[WARM_UP] = calendar.warming_up(self.processor.warmup.count) & self.asked & calendar.expected
        return {label: dates for label, dates in why.items() if dates}

    def _waived(self, calendar: CalendarDays) -> dict[str, DateSet]:
        """Dates that were waived, and those that hold nothing because what gives their keys was waived and is not there."""
        wanted = self.asked & calendar.expected
        why = {WAIVED + reason: dates & wanted for reason, dates in self.reviews.waived(self.processor.name, self.today).items()}
        left = wanted - union(why.values())  # a date's own waiver is told before that of what gives its keys
        held = DateSet.from_numbers(list(self.facts.rows))
        for expectation in self.processor.expectations:
            if isinstance(expectation, KeysOf) and not expectation.looks_back:
                source = self.upstream[expectation.processor]
                if not source.findings.waived & wanted:
                    continue
                keyless = source.findings.waived & left - DateSet.from_numbers(list(source.facts.rows)) - held
                for label, dates in source.findings.not_expected.items():
                    if label.startswith(WAIVED) and dates & keyless:
                        why[label] = why.get(label, DateSet()) | (dates & keyless)
        return {label: dates for label, dates in why.items() if dates}

    def _lacking(self, expected: DateSet, held: DateSet) -> tuple[DateSet, DateSet]:
        """(dates below an expectation's share, dates that have too little history to expect anything)."""
        short: list[int] = []
        historyless = DateSet()
        for expectation in self.processor.expectations:
            if isinstance(expectation, AtMost):
                continue
            counts = measured(expectation, self.facts, self.calendars[self.processor.calendar], expected)
            if isinstance(expectation, KeysOf) and expectation.looks_back:
                keyless = expected - DateSet.from_numbers([day for day, (_, want) in counts.items() if want])
                historyless |= self._without_history(expectation, keyless)
            share = share_of(expectation)
            judged = expected
            if isinstance(expectation, Rows):
                judged -= DateSet.from_numbers([day for day, (have, want) in counts.items() if have >= want])
                short += (judged - held).numbers()
                judged &= held
            for day in judged.numbers():
                have, want = counts.get(day, (0, 0))
                if not is_enough(have, want, share):
                    short.append(day)
                    self.counts[day] = min(self.counts.get(day, (have, want)), (have, want), key=_fraction)
        return DateSet.from_numbers(short), historyless

    def _without_history(self, expectation: KeysOf, keyless: DateSet) -> DateSet:
        """Of the dates for which the window gives no keys, those whose window is there: nothing is expected of them.

        A processor that declares no hard need of that upstream is taken to need the window itself.
        """
        name, source = self.processor.name, expectation.processor
        edges = [e for e in self.pipeline.edges_into[name] if e.kind is EdgeKind.HARD and source in e.upstreams]
        if not edges:
            need = Need(source, window=expectation.window)
            edges = [Edge(upstreams=(source,), downstream=name, window=need.window, kind=EdgeKind.HARD, share=need.required)]
        for edge in edges:
            expected, good = self._upstream_sets(edge)
            window = window_map(self.pipeline, edge, self.calendars)
            keyless = need_met(keyless, window, edge.share, expected=expected, good=good).met
        return keyless

    def _upstream_sets(self, edge: Edge) -> tuple[DateSet, DateSet]:
        ups = [self.upstream[name] for name in edge.upstreams if name in self.upstream]
        return union(up.expected for up in ups), union(up.good for up in ups)

    def _recent(self, expected: DateSet) -> DateSet:
        table = self.processor.writes
        settles = table.settles_after if isinstance(table, Table) else None
        if settles is None:
            return DateSet()
        return expected - DateSet.between(0, day_number(self.today) - settles.count)

    def _broken(self, held: DateSet) -> dict[str, DateSet]:
        broken: dict[str, DateSet] = {}
        for rule in (*self.processor.rules, *self.processor.expectations):
            fails = failing(rule, self.facts, self.upstream)
            if fails is not None:
                days = DateSet.from_numbers([day for day in held.numbers() if fails(day)])
                if days:
                    broken[str(rule)] = days
        return broken

    def _stale(self, held: DateSet, oldest: Mapping[int, int]) -> dict[str, DateSet]:
        stale: dict[str, DateSet] = {}
        for edge in self.pipeline.edges_into[self.processor.name]:
            if edge.kind is EdgeKind.READS:
                continue
            window = window_map(self.pipeline, edge, self.calendars)
            for name in edge.upstreams:
                own = name == self.processor.name
                if (own or name in self.upstream) and oldest:
                    newest = self.facts.newest if own else self.upstream[name].facts.newest
                    days = newer_in_window(held, oldest, newest, window)
                    days -= self._unchanged(edge, window, days)
                    if days:
                        stale[name] = stale.get(name, DateSet()) | days
        return stale

    def _unchanged(self, edge: Edge, window: WindowMap, days: DateSet) -> DateSet:
        """Of days whose window holds something newer, those whose rows say that its content is what they were computed from."""
        said = self.facts.made_from.get(edge.hash, {}) if edge.hash else {}
        saying = [day for day in days.numbers() if day in said]
        if not edge.hash or not saying:
            return DateSet()
        facts = {name: up.facts for name, up in self.upstream.items()} | {self.processor.name: self.facts}
        column = content_column(edge.hash, edge, window, saying)
        now = column.texts(facts)
        return DateSet.from_numbers([day for day in saying if said[day] == now.get(day)])

    def _looked_at(self) -> Mapping[int, int]:
        """Up to which instant each day's rows take account of their inputs: since they were written, or were accepted."""
        oldest = self.facts.oldest
        accepted = self.reviews.accepted_until(self.processor.name)
        return {**oldest, **{day: max(at, oldest[day]) for day, at in accepted.items() if day in oldest}} if accepted else oldest

    def _accepted(self, held: DateSet) -> DateSet:
        """Dates that would be stale had nobody accepted anything."""
        reviewed = held & DateSet.from_numbers(sorted(self.reviews.accepted_until(self.processor.name)))
        return union(self._stale(reviewed, self.facts.oldest).values()) if reviewed else reviewed

    def _surplus(self, held: DateSet, expected: DateSet) -> DateSet:
        beyond: list[int] = []
        calendar = self.calendars[self.processor.calendar]
        for expectation in self.processor.expectations:
            if isinstance(expectation, KeysOf):
                # What another table lacks makes nothing here too much.
                sound = self.upstream[expectation.processor].good
                shares = self.facts.shares.get(str(expectation), {})
                extra = DateSet.from_numbers([day for day, (_, _, more) in shares.items() if more])
                beyond += (extra if expectation.looks_back else extra & sound).numbers()
            if isinstance(expectation, CalendarKeys):
                for day, keys in self.facts.keys.get(expectation.column, {}).items():
                    if not keys.keys() <= calendar.keys.get(day, frozenset()):
                        beyond.append(day)
        return (held - expected) | (DateSet.from_numbers(sorted(set(beyond))) & expected)


def _fraction(count: tuple[int, int]) -> tuple[float, int]:
    have, want = count
    return (have / want if want else 0.0, -want)
