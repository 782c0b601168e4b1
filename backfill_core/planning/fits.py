"""Whether a season is ever long enough for the windows that look back in it."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.errors import Problem
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.windows import CalendarDates, Days, LastGames, Window

#: Days that the only season known may come to last: it may have just begun.
_YEAR = 365


def window_problems(pipeline: Pipeline, calendars: Mapping[str, CalendarDays]) -> list[Problem]:
    """The windows that no season is long enough for: not one date would ever have all it looks back on."""
    found = []
    for name, edges in pipeline.edges_into.items():
        calendar = calendars[pipeline.processors[name].calendar]
        longest = _longest_season(calendar)
        for window in dict.fromkeys(edge.window for edge in edges):
            if longest and _length(window) >= longest:
                what = (
                    f'processor "{name}" has a window of {window}, which never fits the seasons of calendar '
                    f"{calendar.name}: they last {longest} days at most. Shorten it, or take SEASON_TO_DATE"
                )
                found.append(Problem(pipeline.declared[name].where, what))
    return found


def _longest_season(calendar: CalendarDays) -> int:
    """In days; 0 where the calendar has no seasons."""
    lengths = [(season.span.last - season.span.first).days + 1 for season in calendar.seasons]
    return max(*lengths, _YEAR) if len(lengths) == 1 else max(lengths, default=0)


def _length(window: Window) -> int:
    match window:
        case Days(count=count) | CalendarDates(count=count) | LastGames(within=count):
            return count
        case _:
            return 0
