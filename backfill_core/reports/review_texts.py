"""Waivers and accepted dates with what has become of them, as lines of text and as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.model.reviews import Accepted, Waiver
from backfill_core.reports.words import Head, dates_words, plural

SCHEMA = "backfill.waivers/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One entry of the file, and what it does now."""

    kind: str
    entry: Waiver | Accepted
    dates: DateSet
    #: active, expired or useless; of accepted dates: active, useless (not stale anyway) or changed (stale again).
    state: str
    #: Its dates that hold all they should without it.
    needless: DateSet


def told(waivers: Iterable[Waiver], accepted: Iterable[Accepted], coverage: Coverage, today: date) -> list[Told]:
    """Every entry in the file's order. ``coverage`` is judged without waivers."""
    found = []
    for waiver in waivers:
        covered = coverage.processors[waiver.processor]
        complete = waiver.dates & covered.good
        useless = not (waiver.dates & covered.expected) - complete
        state = "expired" if not waiver.holds(today) else "useless" if useless else "active"
        found.append(Told(kind="waiver", entry=waiver, dates=waiver.dates, state=state, needless=complete))
    for review in accepted:
        covered = coverage.processors[review.processor]
        dates = DateSet.from_numbers(sorted(review.newest))
        needless = dates - covered.findings.accepted - covered.states[State.STALE]
        changed = dates & covered.states[State.STALE]
        state = "changed" if changed else "useless" if needless == dates else "active"
        found.append(Told(kind="accepted", entry=review, dates=dates, state=state, needless=needless))
    return found


def reviews_lines(listed: list[Told], head: Head) -> list[str]:
    """A line an entry, and one for why it was made."""
    if not listed:
        return [f"{head.command}  {head.target}  {head.project}", "nothing is waived or accepted", "next: backfill plan"]
    lines = [head.line()]
    for one in listed:
        entry = one.entry
        until = f", until {entry.until}" if isinstance(entry, Waiver) and entry.until else ""
        some = f", {len(one.needless)} of them complete anyway" if one.needless and one.state == "active" else ""
        count = plural(len(one.dates), "date")
        lines.append(f"{one.state:8}{one.kind:10}{entry.processor} {dates_words(one.dates)} ({count}{some}){until}")
        lines.append(f"    {entry.reason} ({entry.who}, {entry.when})")
    return [*lines, "next: backfill plan"]


def reviews_json(listed: list[Told]) -> dict[str, Any]:
    """The same as data."""
    return {
        "schema": SCHEMA,
        "waivers": [_json(one) for one in listed if one.kind == "waiver"],
        "accepted": [_json(one) for one in listed if one.kind == "accepted"],
    }


def _json(one: Told) -> dict[str, Any]:
    entry = one.entry
    shown: dict[str, Any] = {
        "processor": entry.processor,
        "dates": one.dates.to_json(),
        "state": one.state,
        "needless": one.needless.to_json(),
        "reason": entry.reason,
        "who": entry.who,
        "when": str(entry.when),
    }
    if isinstance(entry, Waiver):
        shown["until"] = str(entry.until) if entry.until else None
    return shown
