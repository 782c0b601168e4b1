"""From what a table holds to the state of each of its dates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from backfill_core.coverage import NO_FACTS, Coverage, DateFacts, Findings, ProcessorCoverage
from backfill_core.dates import DateSet, Span, day_number, union
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import (
    AtMost,
    CalendarKeys,
    Expectation,
    KeysOf,
    NotNull,
    Offending,
    Positive,
    Rows,
    UniqueKey,
)
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.model.windows import SeasonToDate
from backfill_core.planning.need_met import need_met, reaches
from backfill_core.planning.state import state
from backfill_core.planning.windows import WindowMap

TOO_LITTLE_HISTORY = "too little history"
WARM_UP = "warm-up"
OFF_DAY = "off-day"
OFF_SEASON = "off-season"


def judge_coverage(
    pipeline: Pipeline,
    calendars: Mapping[str, CalendarDays],
    facts: Mapping[str, DateFacts],
    reach: Mapping[str, Span],
    *,
    span: Span,
    today: date,
) -> Coverage:
    """The state of every unit: ``reach`` says which dates of each processor were asked about."""
    judged: dict[str, ProcessorCoverage] = {}
    for name in pipeline.processors:
        asked = DateSet.of_span(reach[name])
        judged[name] = judge_processor(pipeline, name, facts.get(name, NO_FACTS), asked, judged, calendars=calendars, today=today)
    return Coverage(
        span=span,
        processors=judged,
        calendars=calendars,
        calendar_of={name: processor.calendar for name, processor in pipeline.processors.items()},
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
) -> ProcessorCoverage:
    """The state of one processor's dates, given the coverage of all it reads."""
    judge = _Judge(pipeline, pipeline.processors[name], facts, asked, upstream, calendars, today)
    findings = judge.findings()
    return ProcessorCoverage(name=name, findings=findings, states=state(findings), counts=judge.counts, facts=facts)


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
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def findings(self) -> Findings:
        calendar = self.calendars[self.processor.calendar]
        unknown = DateSet()
        if calendar.horizon:
            unknown = self.asked - DateSet.between(0, day_number(calendar.horizon))
        why = self._not_expected(calendar)
        expected = self.asked - unknown - union(why.values())
        held = DateSet.from_numbers(list(self.facts.rows)) & self.asked
        short, historyless = self._lacking(expected)
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
            stale=self._stale(expected & held),
            surplus=self._surplus(held, expected),
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

    def _lacking(self, expected: DateSet) -> tuple[DateSet, DateSet]:
        """(dates below an expectation's share, dates that have too little history to expect anything)."""
        short: list[int] = []
        historyless = DateSet()
        for expectation in self.processor.expectations:
            if isinstance(expectation, AtMost):
                continue
            counts = self._measured(expectation, expected)
            if isinstance(expectation, KeysOf) and isinstance(expectation.window, SeasonToDate):
                keyless = expected - DateSet.from_numbers([day for day, (_, want) in counts.items() if want])
                historyless |= self._without_history(expectation, keyless)
            share = expectation.share if isinstance(expectation, (CalendarKeys, KeysOf)) else 1.0
            for day in expected.numbers():
                have, want = counts.get(day, (0, 0))
                if want == 0 or not reaches(have, want, share):
                    short.append(day)
                    self.counts[day] = min(self.counts.get(day, (have, want)), (have, want), key=_fraction)
        return DateSet.from_numbers(short), historyless

    def _measured(self, expectation: Expectation, expected: DateSet) -> Mapping[int, tuple[int, int]]:
        """(there, wanted) by day. A day that is left out wants nothing that is known."""
        match expectation:
            case CalendarKeys():
                return self._calendar_keys(expectation, expected)
            case KeysOf():
                shares = self.facts.shares.get(str(expectation), {})
                return {day: (there, wanted) for day, (there, wanted, _) in shares.items()}
            case Rows(at_least=at_least, exactly=exactly):
                rows = self.facts.rows
                if exactly is None:
                    return {day: (rows.get(day, 0), max(at_least, 1)) for day in expected.numbers()}
                counts = {day: rows.get(day, 0) for day in expected.numbers()}
                return {day: (min(n, exactly), max(exactly, 1)) for day, n in counts.items()}
            case AtMost():
                return {}

    def _calendar_keys(self, expectation: CalendarKeys, expected: DateSet) -> dict[int, tuple[int, int]]:
        wanted = self.calendars[self.processor.calendar].keys
        held = self.facts.keys.get(expectation.column, {})
        counts = {}
        for day in expected.numbers():
            keys = wanted.get(day, frozenset())
            rows = [n for key, n in held.get(day, {}).items() if key in keys]
            if expectation.exactly:
                counts[day] = (sum(min(n, expectation.exactly) for n in rows), expectation.exactly * len(keys))
            else:
                counts[day] = (sum(1 for n in rows if n >= expectation.at_least), len(keys))
        return counts

    def _without_history(self, expectation: KeysOf, keyless: DateSet) -> DateSet:
        """Of the dates for which the window gives no keys, those whose window is there: nothing is expected of them."""
        for edge in self.pipeline.edges_into[self.processor.name]:
            if edge.kind is EdgeKind.HARD and expectation.processor in edge.upstreams:
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
            failing = _failing(rule, self.facts, self.upstream)
            if failing is not None:
                days = DateSet.from_numbers([day for day in held.numbers() if failing(day)])
                if days:
                    broken[str(rule)] = days
        return broken

    def _stale(self, held: DateSet) -> dict[str, DateSet]:
        stale: dict[str, DateSet] = {}
        for edge in self.pipeline.edges_into[self.processor.name]:
            if edge.kind is EdgeKind.READS:
                continue
            window = window_map(self.pipeline, edge, self.calendars)
            for name in edge.upstreams:
                if name in self.upstream and self.facts.oldest:
                    days = newer_in_window(held, self.facts.oldest, self.upstream[name].facts.newest, window)
                    if days:
                        stale[name] = stale.get(name, DateSet()) | days
        return stale

    def _surplus(self, held: DateSet, expected: DateSet) -> DateSet:
        beyond = [day for shares in self.facts.shares.values() for day, (_, _, extra) in shares.items() if extra]
        calendar = self.calendars[self.processor.calendar]
        for expectation in self.processor.expectations:
            if isinstance(expectation, CalendarKeys):
                for day, keys in self.facts.keys.get(expectation.column, {}).items():
                    if not keys.keys() <= calendar.keys.get(day, frozenset()):
                        beyond.append(day)
        return (held - expected) | (DateSet.from_numbers(sorted(set(beyond))) & expected)


def newer_in_window(days: DateSet, oldest: Mapping[int, int], newest: Mapping[int, int], window: WindowMap) -> DateSet:
    """The days whose window holds something written after their own oldest row.

    Windows of ascending days have ascending ends, so one queue of falling maxima serves them all.
    """
    changed = sorted(newest)
    queue: deque[tuple[int, int]] = deque()
    at, stale = 0, []
    numbers = days.numbers()
    for day, (first, last) in zip(numbers, window.bounds(numbers), strict=True):
        while at < len(changed) and changed[at] <= last:
            written = newest[changed[at]]
            while queue and queue[-1][1] <= written:
                queue.pop()
            queue.append((changed[at], written))
            at += 1
        while queue and queue[0][0] < first:
            queue.popleft()
        if queue and queue[0][1] > oldest.get(day, queue[0][1]):
            stale.append(day)
    return DateSet.from_numbers(stale)


def _fraction(count: tuple[int, int]) -> tuple[float, int]:
    have, want = count
    return (have / want if want else 0.0, -want)


def _failing(rule: object, facts: DateFacts, upstream: Mapping[str, ProcessorCoverage]) -> Callable[[int], bool] | None:
    """Tells of a day with rows whether it breaks the rule; None for what is no rule."""
    match rule:
        case UniqueKey():
            return lambda day: facts.rows[day] != facts.distinct.get(day, 0)
        case NotNull(share=share) | Positive(share=share):
            checked = facts.checks.get(str(rule), {})

            def below(day: int) -> bool:
                good, judged = checked.get(day, (0, 0))
                return not reaches(good, judged, share)

            return below
        case Offending():
            offending = facts.checks.get(rule.name, {})
            return lambda day: day in offending
        case CalendarKeys(column=column, exactly=int(exactly)):
            keyed = facts.keys.get(column, {})
            return lambda day: any(n > exactly for n in keyed.get(day, {}).values())
        case Rows(exactly=int(exactly)):
            return lambda day: facts.rows[day] > exactly
        case AtMost(times=times, of=of):
            others = upstream[of].facts.rows
            return lambda day: facts.rows[day] > times * others.get(day, 0) + 1e-9
        case _:
            return None
