"""A backfill framework that plans from what the tables really hold. What authors of a project import stands here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backfill_core.model.calendar import EveryDay, Monthly, Schedule, Weekly
    from backfill_core.model.command import Command
    from backfill_core.model.expectations import (
        Allowed,
        AtMost,
        CalendarKeys,
        KeysOf,
        MatchingKeys,
        NotNull,
        Offending,
        Positive,
        Rows,
        UniqueKey,
    )
    from backfill_core.model.http import Answer, Http, Poll, Sign
    from backfill_core.model.needs import Need, any_of
    from backfill_core.model.processor import Gate, Layer, Output, Processor
    from backfill_core.model.runs import SOURCE, Python, Service, Sql
    from backfill_core.model.table import Files, Table
    from backfill_core.model.templates import Secret
    from backfill_core.model.windows import SAME_DATE, SEASON_TO_DATE, calendar_dates, days, last_games
    from backfill_core.ports import RunContext

__version__ = "0.1.0"

#: Where each public name lives. They load when first used, so that commands which need none of them start at once.
_HOMES = {
    "model.calendar": ("EveryDay", "Monthly", "Schedule", "Weekly"),
    "model.command": ("Command",),
    "model.expectations": (
        "Allowed", "AtMost", "CalendarKeys", "KeysOf", "MatchingKeys", "NotNull", "Offending", "Positive", "Rows", "UniqueKey",
    ),
    "model.http": ("Answer", "Http", "Poll", "Sign"),
    "model.needs": ("Need", "any_of"),
    "model.processor": ("Gate", "Layer", "Output", "Processor"),
    "model.runs": ("SOURCE", "Python", "Service", "Sql"),
    "model.templates": ("Secret",),
    "model.table": ("Files", "Table"),
    "model.windows": ("SAME_DATE", "SEASON_TO_DATE", "calendar_dates", "days", "last_games"),
    "ports": ("RunContext",),
}  # fmt: skip

__all__ = [
    "SAME_DATE",
    "SEASON_TO_DATE",
    "SOURCE",
    "Allowed",
    "Answer",
    "AtMost",
    "CalendarKeys",
    "Command",
    "EveryDay",
    "Files",
    "Gate",
    "Http",
    "KeysOf",
    "Layer",
    "MatchingKeys",
    "Monthly",
    "Need",
    "NotNull",
    "Offending",
    "Output",
    "Poll",
    "Positive",
    "Processor",
    "Python",
    "Rows",
    "RunContext",
    "Schedule",
    "Secret",
    "Service",
    "Sign",
    "Sql",
    "Table",
    "UniqueKey",
    "Weekly",
    "any_of",
    "calendar_dates",
    "days",
    "last_games",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"backfill_core.{home}"), name)
    raise AttributeError(f"backfill_core has no {name!r}")
