"""Landing files in a local folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from backfill_core.dates import parse_day
from backfill_core.errors import LandingError
from backfill_core.model.calendar import Schedule, ScheduleEntry
from backfill_core.model.table import Files


class LandingFiles:
    """The files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def schedule(self, calendar: Schedule) -> tuple[ScheduleEntry, ...]:
        entries: list[ScheduleEntry] = []
        for path in sorted(self.root.glob(calendar.files)):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise LandingError(path=path, problem=str(error)) from error
            entries += entries_in(content, calendar, path)
        return tuple(entries)

    def files(self, source: Files) -> Mapping[str, int]:
        found = self.root.glob(glob_of(source))
        return {path.relative_to(self.root).as_posix(): path.stat().st_mtime_ns // 1000 for path in found}

    def describe(self, pattern: str) -> str:
        return str(self.root / pattern)


def glob_of(source: Files) -> str:
    """The pattern that picks all files of a source."""
    return source.pattern.replace("{date}", "*").replace("{season}", "*")


def entries_in(content: bytes, calendar: Schedule, path: Path | str) -> list[ScheduleEntry]:
    """The entries of a schedule file. Raises LandingError, with the line."""
    entries: list[ScheduleEntry] = []
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        header = next(rows, [])
        wanted = (calendar.date, calendar.key, calendar.season, calendar.type)
        lacking = [column for column in wanted if column not in header]
        if lacking:
            raise LandingError(path=path, problem=f'no column "{lacking[0]}", which calendar {calendar.name} names')
        day, key, season, kind = map(header.index, wanted)
        for row in rows:
            entries.append(ScheduleEntry(day=parse_day(row[day]), key=row[key], season=row[season], type=row[kind]))
    except UnicodeDecodeError as error:
        raise LandingError(path=path, problem=str(error)) from error
    except (ValueError, IndexError, csv.Error) as error:
        raise LandingError(path=path, problem=f"line {len(entries) + 2}: {error}") from error
    return entries
