"""Which dates should exist, and which keys on each. Read from a source, never from a table that a plan fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date

from backfill_core.dates import LAST_DAY, ONE_DAY, DateSet, Span, day_number, union

#: Of a class that has a field called date.
_Day = date


@dataclass(frozen=True, slots=True)
class EveryDay:
    """A calendar on which every day is expected, with neither keys, seasons nor horizon."""

    name: str
    _: KW_ONLY
    #: First day on which anything is expected.
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Weekly:
    """A calendar of one day a week: ``weekday`` 0 is Monday."""

    name: str
    _: KW_ONLY
    weekday: int
    #: First day on which anything is expected.
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Monthly:
    """A calendar of one day a month; a month that is shorter has its last day."""

    name: str
    _: KW_ONLY
    day: int = 1
    #: First day on which anything is expected.
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A calendar read from schedule files, or where a runtime has one from a table: which games are played when.

    An entry counts when its type is in ``expected`` or its key in ``include``, and its key is not in ``exclude``.
    """

    name: str
    _: KW_ONLY
    #: Landing files, as a glob below the target's landing folder; CSV with a header.
    files: str
    #: By runtime, the processor whose table is read there instead, with the same columns. It is a source: what a plan fills says
    #: nothing of what is expected.
    tables: Mapping[str, str] = field(default_factory=dict)
    date: str
    key: str
    season: str
    #: Column with the type of an entry.
    type: str
    expected: tuple[str, ...]
    #: Word for a type that is not expected, told when a date is left out because of it.
    labels: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    #: The day from which on the files name all there is. Without it that is their first line: whether a day before it is
    #: off-season, or its file is not there, nobody can tell.
    since: _Day | None = None


Calendar = EveryDay | Weekly | Monthly | Schedule


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One line of a schedule source."""

    day: date
    key: str
    season: str
    type: str


@dataclass(frozen=True, slots=True)
class Season:
    """A season's name and the span from its first expected date to its last known one."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDays:
    """What a calendar came to when its source was read."""

    name: str
    #: Dates that should exist.
    expected: DateSet
    #: Days known not to be expected although something is on them, by the word for it (preseason, …).
    others: tuple[tuple[str, DateSet], ...] = ()
    #: Column whose keys it knows; empty where it has none.
    key: str = ""
    #: Keys wanted on each expected date, by day number; empty where the calendar has none.
    keys: Mapping[int, frozenset[str]] = field(default_factory=dict)
    #: Ascending; none means one season without end.
    seasons: tuple[Season, ...] = ()
    #: The first and the last day the source knows; None: there is no beginning, no end.
    begins: date | None = None
    horizon: date | None = None

    def known(self) -> DateSet:
        """The days on which it can say what is expected."""
        first = day_number(self.begins) if self.begins else 0
        return DateSet.between(first, day_number(self.horizon) if self.horizon else _FAR)

    def season_starts(self) -> list[tuple[int, int, int]]:
        """(first day number, last day number, index) of each season, ascending."""
        return [(day_number(s.span.first), day_number(s.span.last), index) for index, s in enumerate(self.seasons)]

    def warming_up(self, count: int) -> DateSet:
        """The first ``count`` days of each season."""
        starts = [day_number(season.span.first) for season in self.seasons]
        return union(DateSet.between(start, start + count - 1) for start in starts)

    def in_season(self) -> DateSet:
        return union(DateSet.of_span(season.span) for season in self.seasons)


#: A day number after any day that is asked about.
_FAR = day_number(LAST_DAY) + 1


def calendar_days(calendar: Calendar, span: Span, entries: tuple[ScheduleEntry, ...] = ()) -> CalendarDays:
    """What ``calendar`` expects: within ``span`` for rule-made ones, everything its entries know for a schedule."""
    match calendar:
        case EveryDay(name=name, since=since):
            return CalendarDays(name=name, expected=_days_from(since, span))
        case Weekly(name=name, weekday=weekday, since=since):
            every = _days_from(since, span)
            return CalendarDays(name=name, expected=DateSet.of(*(d for d in every if d.weekday() == weekday)))
        case Monthly(name=name, day=wanted, since=since):
            every = _days_from(since, span)
            return CalendarDays(name=name, expected=DateSet.of(*(d for d in every if _is_monthly(d, wanted))))
        case Schedule():
            return _scheduled(calendar, entries)


def _days_from(since: date | None, span: Span) -> DateSet:
    return DateSet.between(day_number(max(since or span.first, span.first)), day_number(span.last))


def _is_monthly(day: date, wanted: int) -> bool:
    return day.day == wanted or (day.day < wanted and (day + ONE_DAY).day == 1)


def _scheduled(calendar: Schedule, entries: tuple[ScheduleEntry, ...]) -> CalendarDays:
    keys: dict[int, set[str]] = {}
    others: dict[str, set[int]] = {}
    seasons: dict[str, list[int]] = {}
    latest = None
    for entry in entries:
        number = day_number(entry.day)
        latest = entry.day if latest is None else max(latest, entry.day)
        wanted = entry.key in calendar.include or entry.type in calendar.expected
        if wanted and entry.key not in calendar.exclude:
            keys.setdefault(number, set()).add(entry.key)
            seasons.setdefault(entry.season, []).append(number)
        else:
            others.setdefault(calendar.labels.get(entry.type, f"type {entry.type}"), set()).add(number)
    expected = DateSet.from_numbers(sorted(keys))
    known = [Season(name, DateSet.from_numbers(numbers).span) for name, numbers in sorted(seasons.items())]
    return CalendarDays(
        name=calendar.name,
        expected=expected,
        others=tuple((label, DateSet.from_numbers(sorted(days)) - expected) for label, days in sorted(others.items())),
        key=calendar.key,
        keys={number: frozenset(found) for number, found in keys.items()},
        seasons=tuple(sorted(known, key=lambda season: season.span)),
        begins=min([calendar.since or LAST_DAY, *(entry.day for entry in entries)]),
        horizon=latest,
    )
