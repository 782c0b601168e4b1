"""The planner as a model: unit by unit, through plain sets and dicts of (processor, day). Slow, and meant to be obvious.

It follows DESIGN 4 and 5 and shares no code with ``backfill_core.planning``, so that the two can only agree by being right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
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
from backfill_core.model.reviews import NO_REVIEWS, Reviews
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
    reviews: Reviews = NO_REVIEWS
    #: Days that a limit leaves; None: all.
    few: frozenset[date] | None = None

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
    #: Units planned only because what they rest on is newer, or planned.
    cascaded: set[Unit] = field(default_factory=set)

    _windows: dict[tuple[Window, str, str, date], list[date]] = field(default_factory=dict)

    def decide(self) -> Model:
        for name in self.pipeline.processors:
            for day in self.days(name):
                self.states[Unit(name, day)] = self._state(self.pipeline.processors[name], day)
        for name in filter(self.within, self.pipeline.processors):
            # Every window but the same date ends the day before, so that own earlier dates have their verdict by then.
            for day in self.days(name):
                if day in self.request.span:
                    self._plan(self.pipeline.processors[name], day)
        return self

    def limited(self) -> Model:
        """The same for the first few of the days on which anything is planned, where a limit was asked for."""
        if self.request.limit is None:
            return self
        days = sorted({unit.day for unit in self.planned}, reverse=self.request.order == "newest")
        few = frozenset(days[: self.request.limit])
        fields = (self.pipeline, self.calendars, self.facts, self.reach, self.request, self.today, self.reviews)
        return Model(*fields, few=few).decide()

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
        waived = self._waived(processor, day)
        if waived:
            return waived
        for check in processor.expectations:
            if isinstance(check, KeysOf) and check.window != SAME_DATE:
                _, want = self._count(check, processor, _number(day))
                if not want and self._history_is_there(processor, check, day):
                    return TOO_LITTLE_HISTORY
        return None

    def _waived(self, processor: Processor, day: date) -> str | None:
        """Why people do not wait for a date of the calendar: they said so, or it holds nothing for want of waived keys."""
        if day not in self._calendar(processor.name).expected:
            return None
        for waiver in self.reviews.waivers:
            if waiver.processor == processor.name and day in waiver.dates and (not waiver.until or waiver.until >= self.today):
                return f"waived: {waiver.reason}"
        if self._facts_of(processor).rows.get(_number(day)):
            return None
        for check in processor.expectations:
            if isinstance(check, KeysOf) and check.window == SAME_DATE and day in self.reach[check.processor]:
                source = self.pipeline.processors[check.processor]
                why = self._waived(source, day)
                if why and not self.facts[check.processor].rows.get(_number(day)):
                    return why
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
        if oldest is not None:
            reviews = [review for review in self.reviews.accepted if review.processor == processor.name]
            oldest = max(oldest, *(review.newest.get(_number(day), 0) for review in reviews), 0)
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

    def within(self, name: str) -> bool:
        """Whether a processor is run, and not after the last layer."""
        layer, through = self.pipeline.processors[name].layer, self.request.through
        return self.pipeline.runs(name) and (layer == through or layer in self.pipeline.before[through])

    def selected(self, name: str) -> bool:
        return self.within(name) and (not self.request.processors or name in self.request.processors)

    def asked(self, unit: Unit) -> bool:
        """Whether a unit is among those asked for, rather than one that a cascade may reach."""
        dates = self.request.dates
        few = self.few is None or unit.day in self.few
        return self.selected(unit.processor) and few and (dates is None or unit.day in dates)

    def _plan(self, processor: Processor, day: date) -> None:
        unit = Unit(processor.name, day)
        readers = self._planned_reads(processor, day)
        spoiled = self._spoiled(processor, unit)
        reasons = self._reasons(processor, unit, readers) if self.asked(unit) else []
        if spoiled:  # found complete or not at its turn, what rests on something that changes is done again
            reasons = [*(reason for reason in reasons if not reason.startswith("unsettled")), spoiled]
        kinds = self.request.reasons
        reasons = [reason for reason in reasons if not kinds or reason.split()[0].rstrip(":") in kinds]
        if not reasons:
            return
        reason = reasons[0]
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
            surely = spoiled or self._forced(unit) or not self.asked(unit)
            self.unsettled |= {unit} if readers and not surely else set()
            self.cascaded |= {unit} if reason.startswith("stale") else set()

    def _spoiled(self, processor: Processor, unit: Unit) -> str | None:
        """Why a cascade takes a unit that is there: something in its windows is newer, or will be."""
        if self.request.cascade == "none" or self.states[unit] not in GOOD:
            return None
        if self.states[unit] == "stale" and self.asked(unit):
            return f"stale: {min(self.newer[unit])} is newer"
        changing = self.planned.keys() - self.unsettled
        changing -= self.cascaded if self.request.cascade == "direct" else set()
        found = {
            upstream
            for edge in edges_of(processor)
            if edge.kind is not EdgeKind.READS
            for upstream in edge.upstreams
            for other in self.looked_at(edge.window, processor.name, edge.upstreams[0], unit.day)
            if Unit(upstream, other) in changing
        }
        return f"stale: {min(found)} is planned" if found else None

    def _forced(self, unit: Unit) -> bool:
        """Whether rows are to be written again: older than asked, or of which nobody knows how old."""
        if self.request.older_than is None:
            return False
        facts, number = self.facts[unit.processor], _number(unit.day)
        warms_up = self.request.include_warmup and self.not_expected.get(unit) == "warm-up"
        if not facts.rows.get(number):
            return warms_up
        since = self.request.older_than - datetime(1970, 1, 1, tzinfo=UTC)
        old = timedelta(microseconds=facts.oldest.get(number, 0)) < since
        return old and (warms_up or self._expects(unit.processor, unit.day))

    def _reasons(self, processor: Processor, unit: Unit, readers: list[str]) -> list[str]:
        """Why a unit is work, whatever a cascade adds; the first that was asked for is told."""
        state = self.states[unit]
        may_change = state in GOOD or self.not_expected.get(unit) == TOO_LITTLE_HISTORY or self._keyless(processor, unit)
        found = []
        if state in TO_DO and not (readers and may_change):
            found.append(self.details.get(unit, "missing"))
        if self._forced(unit):
            found.append("forced")
        if readers and may_change:
            found.append(f"unsettled: {readers[0]} is planned")
        return found

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

    def not_planned(self, whole: Model) -> dict[str, set[date]]:
        """Dates asked for and not planned, by reason; ``whole`` is the same without a limit."""
        names = [name for name in self.pipeline.processors if self.selected(name)]
        told: dict[str, set[date]] = {}
        for day in self.dated():
            units = [Unit(name, day) for name in names]
            if not any(unit in self.planned for unit in units):
                told.setdefault(self._word(whole, day, units), set()).add(day)
        return told

    def dated(self) -> list[date]:
        """The dates that were asked for: those named, or every one that a selected processor's calendar expects."""
        names = [name for name in self.pipeline.processors if self.selected(name)]
        if not names:
            return []
        if self.request.dates is not None:
            return list(self.request.dates)
        first, last = self.request.span.first, self.request.span.last
        span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [day for day in span if any(day in self._calendar(name).expected for name in names)]

    def _word(self, whole: Model, day: date, units: list[Unit]) -> str:
        """Why nothing of a date is planned: what any of its units lacks, else what the last of them says."""
        if day not in self.request.span:
            return "outside of --from and --to"
        states = [self.states[unit] for unit in units]
        later = whole if self.few is not None and day not in self.few else self
        if any(unit in later.blocked for unit in units):
            return "blocked"
        if any(unit in later.planned for unit in units):
            return "later, by the limit"
        if "pending" in states or any(unit in later.pending for unit in units):
            return "pending"
        if "stale" in states:
            return "stale"
        if self.request.reasons and any(state in TO_DO for state in states):
            return "left out by --reason"
        expecting = [unit.processor for unit in units if day in self._calendar(unit.processor).expected]
        if states[-1] == "not expected" and (not expecting or units[-1].processor in expecting):
            return self.not_expected[units[-1]]
        return "unknown" if states[-1] == "unknown" else "complete"


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
