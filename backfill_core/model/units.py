"""The atom of work, and the calls it is done in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from backfill_core.dates import DateSet


class Unit(NamedTuple):
    """One processor on one date."""

    processor: str
    day: date

    def __str__(self) -> str:
        return f"{self.processor} {self.day}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The units of one call: every one of ``processors`` on every one of ``dates``."""

    #: Running number within its run.
    number: int
    processors: tuple[str, ...]
    dates: DateSet

    @property
    def size(self) -> int:
        return len(self.processors) * len(self.dates)
