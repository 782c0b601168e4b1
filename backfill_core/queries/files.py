"""What a source of files is asked: which of its dates have theirs."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.coverage import DateFacts
from backfill_core.dates import DateSet, day_of
from backfill_core.model.calendar import CalendarDays, Season
from backfill_core.model.table import Files


def files_facts(table: Files, calendar: CalendarDays, days: DateSet, found: Mapping[str, int]) -> DateFacts:
    """The facts of a source of files: one row on each day whose file is there.

    ``found`` has the files by path, each with the microseconds since 1970 at which it was last changed.
    """
    rows: dict[int, int] = {}
    written: dict[int, int] = {}
    for number, path in files_days(table, calendar.seasons, days).items():
        if path in found:
            rows[number] = 1
            written[number] = found[path]
    return DateFacts(rows=rows, distinct=rows, oldest=written, newest=written)


def files_days(table: Files, seasons: tuple[Season, ...], days: DateSet) -> dict[int, str]:
    """The path of the file that each day is in."""
    named = sorted((season.span.first, season.name) for season in seasons)
    paths = {}
    for number in days.numbers():
        day = day_of(number)
        season = next((name for first, name in reversed(named) if first <= day), "")
        paths[number] = table.pattern.replace("{date}", day.isoformat()).replace("{season}", season)
    return paths
