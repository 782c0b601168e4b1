"""Dates that a person names: on the command line, or in a file."""

from __future__ import annotations

import csv
from pathlib import Path

from backfill_core.dates import DateSet
from backfill_core.errors import BadDatesFile, BadUsage


def chosen_dates(dates: str | None, dates_file: str | None) -> DateSet | None:
    """The dates that a person named, or None. Raises BadUsage or BadDatesFile."""
    if dates is None and dates_file is None:
        return None
    found = DateSet()
    if dates is not None:
        try:
            found |= DateSet.from_json([part.strip() for part in dates.split(",") if part.strip()])
        except ValueError as error:
            raise BadUsage(message=f"--dates {dates}: {error}. Type dates as YYYY-MM-DD, ranges as D..D") from error
    if dates_file is not None:
        found |= _read_dates(Path(dates_file))
    if not found:
        raise BadUsage(message="no date was given: --dates or --dates-file is empty")
    return found


def _read_dates(path: Path) -> DateSet:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise BadDatesFile(path=path, problem=reason) from error
    found = _json_dates(path, text) if text.lstrip()[:1] in ("[", "{") else _csv_dates(path, text)
    if not found:
        raise BadDatesFile(path=path, problem="it holds no date")
    return found


def _csv_dates(path: Path, text: str) -> DateSet:
    """A day or a range a line: in the first column, or in that which a header calls ``date``."""
    found, column = DateSet(), 0
    try:
        for place, row in enumerate(csv.reader(text.splitlines()), start=1):
            cells = [cell.strip() for cell in row]
            if place == 1 and cells and not cells[0][:1].isdigit():
                column = [*map(str.lower, cells), "date"].index("date") % len(cells)
                continue
            cell = cells[column] if len(cells) > column else ""
            if not any(cells):
                continue
            try:
                found |= DateSet.from_json([cell])
            except ValueError as error:
                raise BadDatesFile(path=path, problem=f'line {place} has "{cell[:40]}"') from error
    except csv.Error as error:
        raise BadDatesFile(path=path, problem=str(error)) from error
    return found


def _json_dates(path: Path, text: str) -> DateSet:
    """A list of days and ranges, or an object with such a list under ``dates`` (or a list of such objects)."""
    import json

    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadDatesFile(path=path, problem=f"it is no JSON: {error}") from error
    found = DateSet()
    for place, item in enumerate(data if isinstance(data, list) else [data], start=1):
        ranges = item.get("dates") if isinstance(item, dict) else [item]
        if not isinstance(ranges, list):
            raise BadDatesFile(path=path, problem=f'entry {place} has no list "dates"')
        for each in ranges:
            try:
                found |= DateSet.from_json([each if isinstance(each, str) else ""])
            except ValueError as error:
                raise BadDatesFile(path=path, problem=f"entry {place} has {json.dumps(each)[:40]}") from error
    return found
