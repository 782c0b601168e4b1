"""What was found in the warehouse, and the state each unit follows to be in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from backfill_core.dates import DateSet, Span, union
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.reviews import NO_REVIEWS, Reviews


class State(StrEnum):
    """The one state of a unit; in this order the first that applies."""

    UNKNOWN = "unknown"
    NOT_EXPECTED = "not expected"
    PENDING = "pending"
    MISSING = "missing"
    PARTIAL = "partial"
    INVALID = "invalid"
    STALE = "stale"
    COMPLETE = "complete"


#: States that a plan works on.
TO_DO = (State.MISSING, State.PARTIAL, State.INVALID)
#: States that meet a need.
GOOD = (State.STALE, State.COMPLETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DateFacts:
    """What one question about one table came to: numbers by day number, for the days that hold rows.

    Days not named hold nothing. A table that is not there yet has ``exists`` False and holds nothing.
    """

    exists: bool = True
    rows: Mapping[int, int] = field(default_factory=dict)
    #: Distinct keys of the table on the day.
    distinct: Mapping[int, int] = field(default_factory=dict)
    #: Microseconds since 1970 (UTC) at which the day's oldest and newest rows were written.
    oldest: Mapping[int, int] = field(default_factory=dict)
    newest: Mapping[int, int] = field(default_factory=dict)
    #: One hash of all the row hashes of the day, whatever their order; where the table declares a column of them.
    hashes: Mapping[int, str] = field(default_factory=dict)
    #: Rows by key, of each column asked for: column -> day -> key -> rows.
    keys: Mapping[str, Mapping[int, Mapping[str, int]]] = field(default_factory=dict)
    #: (good, judged) of each check asked for, by its name.
    checks: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)
    #: (there, wanted, beyond what is wanted) of each comparison of keys with another table, by its name.
    shares: Mapping[str, Mapping[int, tuple[int, int, int]]] = field(default_factory=dict)


NO_FACTS = DateFacts(exists=False)

#: The values of a key's columns, as text; None is a value that is not there.
Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFound:
    """The keys by which a table differs on a day from what is wanted: how many, and the first of them, ascending."""

    absent: int
    #: Keys beyond what is wanted.
    surplus: int
    first_absent: tuple[Key, ...] = ()
    first_surplus: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was found of one processor's dates, side by side; sets may overlap, `state` decides."""

    asked: DateSet
    unknown: DateSet = field(default_factory=DateSet)
    #: Why nothing is expected, by reason; the first reason a date has is the one told.
    not_expected: Mapping[str, DateSet] = field(default_factory=dict)
    recent: DateSet = field(default_factory=DateSet)
    #: Dates that hold nothing of what is expected.
    empty: DateSet = field(default_factory=DateSet)
    #: Dates that hold less than their share of it.
    short: DateSet = field(default_factory=DateSet)
    #: Rules that fail, by name.
    broken: Mapping[str, DateSet] = field(default_factory=dict)
    #: Upstreams with something newer in the date's window, by name.
    stale: Mapping[str, DateSet] = field(default_factory=dict)
    #: Dates with something newer in their window that people accepted as they are.
    accepted: DateSet = field(default_factory=DateSet)
    #: Dates of the calendar on which nothing is expected because people waived them, or what gives their keys.
    waived: DateSet = field(default_factory=DateSet)
    #: Dates with rows that nothing expects.
    surplus: DateSet = field(default_factory=DateSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorCoverage:
    """One processor's dates: what was found and the state each is in."""

    name: str
    findings: Findings
    #: A partition of the dates asked about; every state is a key.
    states: Mapping[State, DateSet]
    #: (there, wanted) in the expectation's own measure, for dates that are neither empty nor complete.
    counts: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    facts: DateFacts = NO_FACTS

    def of(self, *states: State) -> DateSet:
        return union(self.states[state] for state in states)

    @property
    def expected(self) -> DateSet:
        """Dates on which rows should exist, now or once they have settled."""
        return self.findings.asked - self.of(State.UNKNOWN, State.NOT_EXPECTED)

    @property
    def good(self) -> DateSet:
        return self.of(*GOOD)

    def why_not_expected(self) -> dict[str, DateSet]:
        """Each not expected date under its first reason."""
        told: dict[str, DateSet] = {}
        left = self.states[State.NOT_EXPECTED]
        for why, dates in self.findings.not_expected.items():
            if dates & left:
                told[why] = dates & left
                left -= dates
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What every table of the graph holds, as far back as a span's windows reach."""

    span: Span
    processors: Mapping[str, ProcessorCoverage]
    calendars: Mapping[str, CalendarDays]
    #: Name of each processor's calendar.
    calendar_of: Mapping[str, str]
    #: What people decided, as it was taken into account.
    reviews: Reviews = NO_REVIEWS

    def calendar(self, processor: str) -> CalendarDays:
        return self.calendars[self.calendar_of[processor]]

    def counted(self, processor: str, column: str) -> str:
        """What a measure counts: keys in a column, or dates where the calendar has no keys."""
        return column if self.calendar(processor).keys else "dates"

    def keys_there(self, processor: str, column: str, days: DateSet) -> int:
        """How many keys of the calendar, counted by date, that processor's table holds on those days, whatever their state.

        A calendar without keys counts dates that hold anything.
        """
        if self.calendar(processor).keys:
            return sum(len(found) for found in self.keys_by_day(processor, column, days).values())
        return len(DateSet.from_numbers(list(self.processors[processor].facts.rows)) & days & self.calendar(processor).expected)

    def keys_by_day(self, processor: str, column: str, days: DateSet) -> dict[int, frozenset[str]]:
        """The calendar's keys that are there, for each of those days; whatever the state of the date."""
        held = self.processors[processor].facts.keys.get(column, {})
        wanted = self.calendar(processor).keys
        return {day: frozenset(held.get(day, ())) & wanted.get(day, frozenset()) for day in days.numbers()}

    def keys_wanted(self, processor: str, days: DateSet) -> int:
        """How many keys the calendar wants on those days, or how many dates where it has none."""
        calendar = self.calendar(processor)
        if calendar.keys:
            return sum(len(calendar.keys.get(day, ())) for day in days.numbers())
        return len(days & calendar.expected)
