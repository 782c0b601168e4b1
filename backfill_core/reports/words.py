"""Small pieces of text that all reports share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backfill_core.dates import DateSet, Span

#: Columns that a table may take.
WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the first line of every output names."""

    command: str
    target: str
    project: str
    span: Span
    #: Why the span ends there, where nobody typed its end.
    ends: str
    zone: str

    def line(self) -> str:
        ends = f" ({self.ends})" if self.ends else ""
        return f"{self.command}  {self.target}  {self.project}  {self.span}{ends} {self.zone}"


def key_words(column: str) -> str:
    """What a key counts, as people say it: ``games`` for ``game_id``; a column of another name as it is."""
    return column.removesuffix("_id") + "s" if column.endswith("_id") else column


def number(count: int) -> str:
    return f"{count:,}"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def plural(count: int, word: str) -> str:
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def dates_words(dates: DateSet, calendar: DateSet = DateSet(), *, most: int = 3) -> str:  # noqa: B008  (immutable)
    """Runs of dates, joined over days that ``calendar`` does not have; past ``most`` runs, first..last and their count."""
    bridged = dates
    if calendar:
        bridged = dates | (DateSet.of_span(dates.span) - calendar) if dates else dates
    runs = bridged.runs()
    shown = []
    for run in runs:
        held = DateSet.of_span(run) & dates
        if held:
            shown.append(str(held.first) if len(held) == 1 else str(held.span))
    if len(shown) > most:
        return f"{dates.first}..{dates.last}, {len(dates)} dates in {len(shown)} runs"
    return ", ".join(shown)


def reasons_words(reasons: Mapping[str, DateSet], degraded: DateSet) -> str:
    """``41 missing, 1 partial 2/16 (3 run degraded)``; many kinds of partial are told together."""
    partial = [reason for reason in reasons if reason.startswith("partial ")]
    parts = [f"{number(len(dates))} {reason}" for reason, dates in reasons.items() if reason not in partial or len(partial) <= 2]
    if len(partial) > 2:
        parts.append(f"{sum(len(reasons[reason]) for reason in partial)} partial")
    if degraded:
        return f"{', '.join(parts)} ({number(len(degraded))} run degraded)"
    return ", ".join(parts)
