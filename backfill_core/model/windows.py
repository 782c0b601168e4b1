"""Which earlier dates a date looks at. Every window but the same date ends on the day before it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SameDate:
    """The date itself."""

    def __str__(self) -> str:
        return "same date"


@dataclass(frozen=True, slots=True)
class Days:
    """The ``count`` days before the date. Also a length of time: a warm-up, a time to settle."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} day{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class CalendarDates:
    """The last ``count`` dates of the upstream's calendar before the date."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} calendar date{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class LastGames:
    """The last ``count`` games of each ``per`` before the date, planned as the ``within`` days before it."""

    count: int
    per: str
    within: int

    def __str__(self) -> str:
        return f"last {self.count} games a {self.per}, within {self.within} days"


@dataclass(frozen=True, slots=True)
class SeasonToDate:
    """From the season's first day to the day before the date."""

    def __str__(self) -> str:
        return "season to date"


Window = SameDate | Days | CalendarDates | LastGames | SeasonToDate

SAME_DATE = SameDate()
SEASON_TO_DATE = SeasonToDate()


def days(count: int) -> Days:
    return Days(count)


def calendar_dates(count: int) -> CalendarDates:
    return CalendarDates(count)


def last_games(count: int, *, per: str, within: int) -> LastGames:
    return LastGames(count, per, within)
