"""Splitting a span for reports."""

from __future__ import annotations

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet, union


def grouped(coverage: Coverage, by: str | None) -> dict[str, DateSet]:
    """The span whole, or by season, month or expected date, each with its title."""
    span = DateSet.of_span(coverage.span)
    expected = union(days.expected for days in coverage.calendars.values()) & span
    found: dict[str, DateSet] = {}
    match by:
        case "season":
            for days in coverage.calendars.values():
                found |= {s.name: DateSet.of_span(s.span) & span for s in days.seasons if DateSet.of_span(s.span) & span}
        case "month" | "date":
            for day in expected:
                title = f"{day:%Y-%m}" if by == "month" else str(day)
                found[title] = found.get(title, DateSet()) | DateSet.of(day)
        case _:
            found[""] = span
    return found
