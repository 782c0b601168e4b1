"""Splitting a span for reports."""

from __future__ import annotations

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet, union


def grouped(coverage: Coverage, by: str | None) -> dict[str, DateSet]:
    """The expected dates of the span by season, month or date, each with its title; nothing where it is not split."""
    span = DateSet.of_span(coverage.span)
    expected = union(days.expected for days in coverage.calendars.values()) & span
    found: dict[str, DateSet] = {}
    if by == "season":
        for days in coverage.calendars.values():
            for season in days.seasons:
                found[season.name] = found.get(season.name, DateSet()) | DateSet.of_span(season.span) & span
        outside = expected - union(found.values())
        return {title: dates for title, dates in found.items() if dates} | ({"no season": outside} if outside else {})
    for day in expected if by else ():
        title = f"{day:%Y-%m}" if by == "month" else str(day)
        found[title] = found.get(title, DateSet()) | DateSet.of(day)
    return found
