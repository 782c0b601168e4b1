"""Options that several commands share, and what they mean."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click

from backfill_core.dates import DateSet, parse_day
from backfill_core.errors import BadDatesFile, BadUsage


class Day(click.ParamType[date]):
    """A day, as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return parse_day(value)
        except ValueError:
            self.fail(f"{value!r} is no date. Type YYYY-MM-DD.", param, ctx)


def _several(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


target_option = click.option("--target", metavar="NAME", help="Target in the settings (default: theirs).")

span_options = _several(
    click.option("--from", "first", type=Day(), help="First date (default: from in the settings)."),
    click.option("--to", "last", type=Day(), help="Last date (default: yesterday, or the schedule's end)."),
    click.option("--today", type=Day(), help="Take this day as today."),
    target_option,
)

selection_options = _several(
    click.option("--through", metavar="LAYER", help="Last layer (default: all)."),
    click.option("--layer", "layers", multiple=True, metavar="LAYER", help="Only this layer; repeatable."),
    click.option("--processor", "processors", multiple=True, metavar="NAME", help="Only this processor; repeatable."),
    click.option("--dates", metavar="D,D..D", help="Only these dates and ranges."),
    click.option("--dates-file", metavar="CSV", help="Only the dates in a file's first column."),
)

format_option = click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text")


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
    days: list[date] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for place, row in enumerate(csv.reader(lines), start=1):
                if not row or not row[0].strip():
                    continue
                try:
                    days.append(parse_day(row[0].strip()))
                except ValueError as error:
                    if place > 1:
                        raise BadDatesFile(path=path, problem=f'line {place} has "{row[0][:40]}"') from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise BadDatesFile(path=path, problem=reason) from error
    if not days:
        raise BadDatesFile(path=path, problem="it holds no date")
    return DateSet.of(*days)


def span_of(first: date | None, last: date | None, dates: DateSet | None) -> tuple[date | None, date | None]:
    """With dates and no span, the span is theirs."""
    if dates is not None:
        return first or dates.first, last or dates.last
    return first, last
