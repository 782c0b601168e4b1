"""The planner as a model: unit by unit, through plain sets and dicts of (processor, day). Slow, and meant to be obvious.

It follows DESIGN 4 and 5 and shares no code with ``backfill_core.planning``, so that the two can only agree by being right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from backfill_core.coverage import DateFacts
from backfill_core.dates import EPOCH, Span
from backfill_core.graph import Edge, EdgeKind, Pipeline, edges_of
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import (
    Allowed,
    AtMost,
    CalendarKeys,
    Expectation,
    KeysOf,
    MatchingKeys,
    NotNull,
    Rows,
    UniqueKey,
    among_parts,
)
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.model.windows import SAME_DATE, SEASON_TO_DATE, CalendarDates, Days, LastGames, SameDate, Window
from backfill_core.plan import Request

#: (processor, why).
Root = tuple[str, str]

TO_DO = ("missing", "partial", "invalid")
GOOD = ("stale", "complete")
TOO_LITTLE_HISTORY = "too little history"


@dataclass(slots=True)
class Model:
    """What the model says of every unit; filled by ``decide``."""

    pipeline: Pipeline
    calendars: Mapping[str, CalendarDays]
    facts: Mapping[str, DateFacts]
    reach: Mapping[str, Span]
    request: Request
    today: date

    states: dict[Unit, str] = field(default_factory=dict)
    #: Why a not expected unit is not.
    not_expected: dict[Unit, str] = field(default_factory=dict)
    #: The word with numbers for a partial unit, the first broken rule of an invalid one.
    details: dict[Unit, str] = field(default_factory=dict)
    #: Upstreams that hold something newer in the unit's window.
    newer: dict[Unit, set[str]] = field(default_factory=dict)

    #: Planned units, each with its reason.
    planned: dict[Unit, str] = field(default_factory=dict)
    blocked: dict[Unit, set[Root]] = field(default_factory=dict)
    #: Units that wait for nothing but pending ones.
    pending: set[Unit] = field(default_factory=set)
    degraded: set[Unit] = field(default_factory=set)
    unsettled: set[Unit] = field(default_factory=set)

    _windows: dict[tuple[Window, str, str, date], list[date]] = field(default_factory=dict)

    def decide(self) -> Model:
        for name in self.pipeline.processors:
            for day in self.days(name):
                self.states[Unit(name, day)] = self._state(self.pipeline.processors[name], day)
        for name in filter(self.selected, self.pipeline.processors):
            # Every window but the same date ends the day before, so that own earlier dates have their verdict by then.
            for day in self.days(name):
                if day in self.request.span and (self.request.dates is None or day in self.request.dates):
                    self._plan(self.pipeline.processors[name], day)
        return self

    # What each date looks at

    def days(self, name: str) -> list[date]:
        """The days of a processor that were asked about."""
        reach = self.reach[name]
        return [reach.first + timedelta(days=n) for n in range((reach.last - reach.first).days + 1)]

    def looked_at(self, window: Window, downstream: str, upstream: str, day: date) -> list[date]:
        """The days that ``day`` looks at, as far back as anything was asked about."""
        key = (window, downstream, upstream, day)
        if key not in self._windows:
            self._windows[key] = self._looked_at(*key)
        return self._windows[key]

    def _looked_at(self, window: Window, downstream: str, upstream: str, day: date) -> list[date]:
        if isinstance(window, SameDate):
            return [day]
        seasons = [season.span.first for season in self._calendar(downstream).seasons]
        begun = [first for first in seasons if first <= day]
        if seasons and not begun:
            return []
        since = max(begun, default=date.min)
        known = min(span.first for span in self.reach.values())
        earlier = [known + timedelta(days=n) for n in range((day - known).days)]
        earlier = [other for other in earlier if other >= since]
        match window:
            case Days(count=count) | LastGames(within=count):
                return [other for other in earlier if (day - other).days <= count]
            case CalendarDates(count=count):
                counted = sorted(other for other in self._calendar(upstream).expected if other < day)[-count:]
                return [other for other in earlier if counted and other >= counted[0]]
            case _:
                return earlier

    def _calendar(self, name: str) -> CalendarDays:
        return self.calendars[self.pipeline.processors[name].calendar]

    # The state of a unit

    def _state(self, processor: Processor, day: date) -> str:
        unit, number = Unit(processor.name, day), _number(day)
        calendar = self._calendar(processor.name)
        if calendar.horizon and day > calendar.horizon:
            return "unknown"
        why = self._why_not_expected(processor, day)
        if why:
            self.not_expected[unit] = why
            return "not expected"
        tables = {"": processor} | {f" in {short}": part for short, part in processor.parts.items()}
        # What a further table cannot know yet, nobody expects of it.
        tables = {where: each for where, each in tables.items() if not self._why_not_expected(each, day)}
        held = {where: self._facts_of(each).rows.get(number, 0) for where, each in tables.items()}
        short = {where: self._short(each, number) for where, each in tables.items()}
        wait = max(settles.count if (settles := _table(each).settles_after) else 0 for each in tables.values())
        if (not all(held.values()) or any(short.values())) and (self.today - day).days < wait:
            return "pending"
        for where in tables:
            if not held[where]:
                self.details[unit] = f"missing{where}"
                return "missing"
        for where in tables:
            if short[where]:
                have, want = min(short[where], key=lambda count: (Fraction(count[0], count[1] or 1), -count[1]))
                self.details[unit] = (f"partial {have}/{want}" if want else "partial of an unknown number") + where
                return "partial"
        for where, each in tables.items():
            broken = self._broken(each, number)
            if broken:
                self.details[unit] = f"invalid: {broken[0]}{where}"
                return "invalid"
        self.newer[unit] = self._newer(processor, day)
        return "stale" if self.newer[unit] else "complete"

    def _facts_of(self, processor: Processor) -> DateFacts:
        """The facts of a processor's first table, or of the further one that it is seen as filling alone."""
        facts, table = self.facts[processor.name], processor.writes
        whole = self.pipeline.processors[processor.name]
        return facts if table == whole.writes else facts.also[_table(processor).short]

    def _short(self, processor: Processor, number: int) -> list[tuple[int, int]]:
        counts = [(e, self._count(e, processor, number)) for e in processor.expectations if not isinstance(e, AtMost)]
        return [(have, want) for e, (have, want) in counts if not want or not _reaches(have, want, _share(e))]

    def _why_not_expected(self, processor: Processor, day: date) -> str | None:
        calendar = self._calendar(processor.name)
        if day not in calendar.expected:
            labels = [label for label, days in calendar.others if day in days]
            if labels:
                return labels[0]
            off_season = calendar.seasons and not any(day in season.span for season in calendar.seasons)
            return "off-season" if off_season else "off-day"
        warmup = processor.warmup.count if processor.warmup else 0
        if any(0 <= (day - season.span.first).days < warmup for season in calendar.seasons):
            return "warm-up"
        for check in processor.expectations:
            if isinstance(check, KeysOf) and check.window != SAME_DATE:
                _, want = self._count(check, processor, _number(day))
                if not want and self._history_is_there(processor, check, day):
                    return TOO_LITTLE_HISTORY
        return None

    def _history_is_there(self, processor: Processor, check: KeysOf, day: date) -> bool:
        declared = self.pipeline.processors[processor.name].needs
        needs = [(need.upstreams, need.window, need.required) for need in declared if not need.soft]
        needs = [need for need in needs if check.processor in need[0]]
        for upstreams, window, share in needs or [((check.processor,), check.window, 0.8)]:
            days = self.looked_at(window, processor.name, upstreams[0], day)
            wanted = [other for other in days if any(self._expects(up, other) for up in upstreams)]
            there = [other for other in wanted if any(self._is(up, other, *GOOD) for up in upstreams)]
            if not _reaches(len(there), len(wanted), share):
                return False
        return True

    def _count(self, check: Expectation, processor: Processor, number: int) -> tuple[int, int]:
        """(there, wanted) on one day."""
        facts = self._facts_of(processor)
        match check:
            case CalendarKeys(column=column, exactly=exactly, at_least=at_least):
                keys = self._calendar(processor.name).keys.get(number, frozenset())
                found = facts.keys.get(column, {}).get(number, {})
                if exactly:
                    return sum(min(found.get(key, 0), exactly) for key in keys), exactly * len(keys)
                return len([key for key in keys if found.get(key, 0) >= at_least]), len(keys)
            case KeysOf():
                there, wanted, _ = facts.shares.get(str(check), {}).get(number, (0, 0, 0))
                return there, wanted
            case Rows(at_least=at_least, exactly=exactly):
                rows = facts.rows.get(number, 0)
                return (rows, max(at_least, 1)) if exactly is None else (min(rows, exactly), exactly)
            case AtMost():
                raise AssertionError("at most wants nothing")

    def _broken(self, processor: Processor, number: int) -> list[str]:
        """Rules that fail, in the order they are declared in."""
        facts, broken = self._facts_of(processor), []
        rows = facts.rows[number]
        for rule in (*processor.rules, *processor.expectations):
            match rule:
                case UniqueKey(share=share):
                    holds = _reaches(facts.distinct[number], rows, share)
                case NotNull(share=share) | Allowed(share=share):
                    good, judged = facts.checks.get(str(rule), {}).get(number, (0, 0))
                    holds = _reaches(good, judged, share)
                case MatchingKeys(processor=of, share=share):
                    good, judged = (0, rows)
                    if self.facts[of].exists:
                        good, judged = facts.checks[str(rule)].get(number, (0, 0))
                    holds = _reaches(good, judged, share)
                case CalendarKeys(column=column, exactly=int(exactly)):
                    holds = all(n <= exactly for n in facts.keys.get(column, {}).get(number, {}).values())
                case Rows(exactly=int(exactly)):
                    holds = rows <= exactly
                case AtMost(times=times, of=of):
                    holds = rows <= Fraction(str(times)) * self.facts[of].rows.get(number, 0)
                case _:
                    holds = True
            if not holds:
                broken.append(str(rule))
        return broken

    def _newer(self, processor: Processor, day: date) -> set[str]:
        oldest = self.facts[processor.name].oldest.get(_number(day))
        found: set[str] = set()
        for edge in edges_of(processor):
            if edge.kind is EdgeKind.READS or oldest is None:
                continue
            for upstream in edge.upstreams:
                newest = self.facts[upstream].newest
                for other in self.looked_at(edge.window, processor.name, edge.upstreams[0], day):
                    if newest.get(_number(other), oldest) > oldest and not self._unchanged(edge, day):
                        found.add(upstream)
        return found

    def _unchanged(self, edge: Edge, day: date) -> bool:
        """Whether the unit's rows say that they were computed from what the need's dates hold now."""
        said = self.facts[edge.downstream].made_from.get(edge.hash or "", {}).get(_number(day))
        if said is None:
            return False
        held = [
            (name, other, self.facts[name].hashes.get(_number(other)))
            for other in self.looked_at(edge.window, edge.downstream, edge.upstreams[0], day)
            for name in edge.upstreams
        ]
        if any(text is None and self.facts[name].rows.get(_number(other)) for name, other, text in held):
            return False
        if edge.window == SAME_DATE and len(edge.upstreams) == 1:
            return said == (held[0][2] or "")
        there = [f"{name} {other} {text}" for name, other, text in held if text is not None]
        return said == str(sum(int(hashlib.md5(text.encode()).hexdigest()[:12], 16) for text in there))

    def _is(self, name: str, day: date, *states: str) -> bool:
        return self.states.get(Unit(name, day)) in states

    def _expects(self, name: str, day: date) -> bool:
        return self.states.get(Unit(name, day), "not expected") not in ("unknown", "not expected")

    def _wanted(self, edge: Edge, day: date) -> list[date]:
        """The dates of a need: those of its window on which an upstream is expected."""
        window = self.looked_at(edge.window, edge.downstream, edge.upstreams[0], day)
        return [other for other in window if any(self._expects(up, other) for up in edge.upstreams)]

    # The plan

    def selected(self, name: str) -> bool:
        processor, request = self.pipeline.processors[name], self.request
        return (
            self.pipeline.runs(name)
            and (processor.layer == request.through or processor.layer in self.pipeline.before[request.through])
            and (not request.processors or name in request.processors)
        )

    def _plan(self, processor: Processor, day: date) -> None:
        unit = Unit(processor.name, day)
        readers = self._planned_reads(processor, day)
        reason = self._reason(processor, unit, readers)
        if reason is None:
            return
        roots: set[Root] = set()
        waits = degraded = False
        for edge in edges_of(processor):
            if edge.kind is EdgeKind.READS:
                continue
            wanted = self._wanted(edge, day)
            lacking = [other for other in wanted if not any(self._will_be_good(up, other) for up in edge.upstreams)]
            hopeless = [other for other in lacking if not any(self._will_pend(up, other) for up in edge.upstreams)]
            met = _reaches(len(wanted) - len(lacking), len(wanted), edge.share)
            degraded |= bool(lacking) or (not wanted and edge.window == SAME_DATE)
            if met or edge.kind is EdgeKind.SOFT:
                continue
            if _reaches(len(wanted) - len(hopeless), len(wanted), edge.share):
                waits = True
            else:
                roots |= self._roots(edge.upstreams, hopeless)
        for check in [check for each in _tables(processor) for check in each.expectations]:
            if isinstance(check, KeysOf) and check.window == SAME_DATE and not self._will_hold_rows(check.processor, day):
                if self._will_pend(check.processor, day):
                    waits = True
                else:
                    roots |= self._roots((check.processor,), [day])
        if roots:
            self.blocked[unit] = roots
        elif waits:
            self.pending.add(unit)
        else:
            self.planned[unit] = reason
            self.degraded |= {unit} if degraded else set()
            self.unsettled |= {unit} if readers else set()

    def _reason(self, processor: Processor, unit: Unit, readers: list[str]) -> str | None:
        state = self.states[unit]
        may_change = state in GOOD or self.not_expected.get(unit) == TOO_LITTLE_HISTORY or self._keyless(processor, unit)
        if readers and may_change:
            return f"unsettled: {readers[0]} is planned"
        if state in TO_DO:
            return self.details.get(unit, "missing")
        return None

    def _keyless(self, processor: Processor, unit: Unit) -> bool:
        """A missing date whose keys come from a window that gives none yet: whether it is expected is open."""
        number = _number(unit.day)
        for each in _tables(processor):
            to_date = [e for e in each.expectations if isinstance(e, KeysOf) and e.window != SAME_DATE]
            wants = [self._count(check, each, number)[1] for check in to_date]
            empty = not self._facts_of(each).rows.get(number) and not self._why_not_expected(each, unit.day)
            if self.states[unit] == "missing" and empty and 0 in wants:
                return True
        return False

    def _planned_reads(self, processor: Processor, day: date) -> list[str]:
        """Processors of which the unit's expectations and rules read a planned unit, in the order they are named."""
        found: dict[str, bool] = {}
        for upstream, window in reads(processor):
            days = self.looked_at(window, processor.name, upstream, day)
            found[upstream] = found.get(upstream, False) or any(Unit(upstream, other) in self.planned for other in days)
        return [upstream for upstream, planned in found.items() if planned]

    def _will_be_good(self, name: str, day: date) -> bool:
        return self._is(name, day, *GOOD) or Unit(name, day) in self.planned

    def _will_pend(self, name: str, day: date) -> bool:
        return self._is(name, day, "pending") or Unit(name, day) in self.pending

    def _will_hold_rows(self, name: str, day: date) -> bool:
        return _number(day) in self.facts[name].rows or Unit(name, day) in self.planned

    def _roots(self, upstreams: tuple[str, ...], days: list[date]) -> set[Root]:
        """What keeps any of the upstreams from being there on those days, as far up as it goes."""
        roots: set[Root] = set()
        for name in upstreams:
            for day in days:
                unit = Unit(name, day)
                if unit in self.blocked:
                    roots |= self.blocked[unit]
                elif not self.pipeline.runs(name):
                    roots.add((name, "no landing file"))
                elif unit in self.states:
                    roots.add((name, f"{self.states[unit]}, not in this plan"))
                else:
                    roots.add((name, "not looked at"))
        return roots

    def not_planned(self) -> dict[str, set[date]]:
        """Dates asked for and not planned, by what the last selected processor tells of them."""
        names = [name for name in self.pipeline.processors if self.selected(name)]
        told: dict[str, set[date]] = {}
        for day in self.dated():
            if not any(Unit(name, day) in self.planned for name in names):
                told.setdefault(self._word(Unit(names[-1], day)), set()).add(day)
        return told

    def dated(self) -> list[date]:
        """The dates that were asked for: those named, or every one that a selected processor's calendar expects."""
        names = [name for name in self.pipeline.processors if self.selected(name)]
        if not names:
            return []
        first, last = self.request.span.first, self.request.span.last
        span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        if self.request.dates is not None:
            return [day for day in span if day in self.request.dates]
        return [day for day in span if any(day in self._calendar(name).expected for name in names)]

    def _word(self, unit: Unit) -> str:
        state = self.states[unit]
        if unit in self.blocked:
            return "blocked"
        if unit in self.pending:
            return "pending"
        if state == "not expected":
            return self.not_expected[unit]
        return state if state in ("pending", "unknown", "stale") else "complete"


def reads(processor: Processor) -> list[tuple[str, Window]]:
    """What expectations and rules read of other processors: names and windows, in the order they are named."""
    found: list[tuple[str, Window]] = []
    checks = [check for each in _tables(processor) for check in (*each.expectations, *each.rules)]
    for check in checks:
        match check:
            case KeysOf(processor=name, window=window, at_least=at_least, also_in=also_in):
                found.append((name, window))
                if at_least and window == SAME_DATE:
                    found.append((name, SEASON_TO_DATE))
                if also_in:
                    found.append((also_in, SAME_DATE))
            case AtMost(of=name):
                found.append((name, SAME_DATE))
            case MatchingKeys(processor=name):
                found.append((name, SAME_DATE))
            case NotNull(among=among) | Allowed(among=among):
                other = among_parts(among)[1]
                if other:
                    found.append((other, SAME_DATE))
            case _:
                pass
    return found


def _tables(processor: Processor) -> list[Processor]:
    """The processor as it fills each of its tables alone, the first one first."""
    return [processor, *processor.parts.values()]


def _table(processor: Processor) -> Table:
    assert isinstance(processor.writes, Table)
    return processor.writes


def _number(day: date) -> int:
    return (day - EPOCH).days


def _share(check: Expectation) -> float:
    return check.share if isinstance(check, (CalendarKeys, KeysOf)) else 1.0


def _reaches(have: int, want: int, share: float) -> bool:
    return have >= want * Fraction(str(share))
