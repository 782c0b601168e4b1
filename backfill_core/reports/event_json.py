"""An event for programs that read logs: plain JSON, dates as they are everywhere else."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.events import Event


def event_json(event: Event, run: str) -> dict[str, Any]:
    """Its time, run, kind and fields. A set of dates is a list of ``"D"`` and ``"D..D"``, a time is ISO 8601."""
    given = {each.name: _plain(getattr(event, each.name)) for each in fields(event)}
    return {"at": given.pop("at"), "run": run, "event": type(event).__name__, **given}


def _plain(value: object) -> object:
    if isinstance(value, DateSet):
        return value.to_json()
    return value.isoformat() if isinstance(value, datetime) else value
