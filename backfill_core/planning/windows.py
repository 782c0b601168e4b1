"""The algebra of windows: which upstream dates a date looks at, and which dates an upstream date reaches."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from backfill_core.dates import DateSet, union
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.windows import CalendarDates, Days, LastGames, SameDate, SeasonToDate, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMap:
    """One window between two calendars. Every window is a run of days, so it is told by its first and last.

    ``consumer`` gives the seasons that a window never crosses, ``upstream`` the dates that ``calendar_dates`` counts.
    """

    window: Window
    consumer: CalendarDays
    upstream: CalendarDays

    def bounds(self, days: Iterable[int]) -> list[tuple[int, int]]:
        """(first, last) day number that each day looks at, in its own season; first > last when there is none."""
        if isinstance(self.window, SameDate):
            return [(day, day) for day in days]
        seasons = self.consumer.season_starts()
        starts = [first for first, _, _ in seasons]
        dates = self.upstream.expected.numbers() if isinstance(self.window, CalendarDates) else []
        found = []
        for day in days:
            place = bisect_right(starts, day) - 1
            season = starts[place] if place >= 0 else (day if starts else 0)
            found.append((max(season, self._reach(day, season, dates)), day - 1))
        return found

    def _reach(self, day: int, season: int, dates: list[int]) -> int:
        match self.window:
            case Days(count=count) | LastGames(within=count):
                return max(0, day - count)
            case CalendarDates(count=count):
                place = bisect_left(dates, day)
                return dates[max(0, place - count)] if place else day
            case _:
                return season

    def dependents(self, changed: DateSet) -> DateSet:
        """The days whose window holds one of ``changed``: what they may spoil, and what waits for them."""
        if not changed:
            return changed
        match self.window:
            case SameDate():
                return changed
            case Days(count=count) | LastGames(within=count):
                return union(part.shift(1).spread(count - 1) & season for part, season in self._by_season(changed) if count)
            case SeasonToDate():
                return union(
                    DateSet.between(first + 1, season.bits.bit_length() - 1) & season
                    for part, season in self._by_season(changed)
                    for first in part.numbers()[:1]
                )
            case CalendarDates(count=count):
                return union(self._after_calendar_dates(part, count) & season for part, season in self._by_season(changed))

    def _after_calendar_dates(self, changed: DateSet, count: int) -> DateSet:
        dates = self.upstream.expected.numbers()
        parts = []
        for day in changed.numbers():
            if not dates or day < dates[0]:
                continue
            place = bisect_right(dates, day) + count - 1
            last = dates[place] if place < len(dates) else self._end() + _LONGEST
            parts.append(DateSet.between(day + 1, last))
        return union(parts)

    def _end(self) -> int:
        """A day number after every day that either calendar knows of."""
        return max(self.upstream.expected.bits.bit_length(), self.consumer.expected.bits.bit_length())

    def _by_season(self, days: DateSet) -> list[tuple[DateSet, DateSet]]:
        """(those of ``days`` in it, all days in it) a season; a season lasts until the next begins."""
        starts = [first for first, _, _ in self.consumer.season_starts()]
        if not starts:
            return [(days, DateSet.between(0, max(self._end(), days.bits.bit_length()) + _LONGEST))]
        ends = [start - 1 for start in starts[1:]] + [max(self._end(), days.bits.bit_length()) + _LONGEST]
        seasons = [DateSet.between(first, last) for first, last in zip(starts, ends, strict=True)]
        return [(days & season, season) for season in seasons if days & season]


#: Days past the last known one that a window may still reach: the end of a set that has no end.
_LONGEST = 400


class Counter:
    """Counts the members of a set in ranges of days, each in constant time."""

    __slots__ = ("_base", "_sums")

    def __init__(self, days: DateSet) -> None:
        numbers = days.numbers()
        self._base = numbers[0] if numbers else 0
        sums, at = [0], self._base
        for count, number in enumerate(numbers):
            sums.extend([count] * (number - at))
            sums.append(count + 1)
            at = number + 1
        self._sums = sums

    def between(self, first: int, last: int) -> int:
        if first > last:
            return 0
        return self._upto(last + 1) - self._upto(first)

    def _upto(self, end: int) -> int:
        """Members before day number ``end``."""
        place = end - self._base
        if place <= 0:
            return 0
        return self._sums[min(place, len(self._sums) - 1)]
