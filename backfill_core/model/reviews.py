"""What people decided about dates: never wanted (waived), or good as they are (accepted)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from backfill_core.dates import DateSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Dates of a processor that nobody waits for."""

    processor: str
    dates: DateSet
    reason: str
    who: str
    when: date
    #: The last day on which it holds; None: it holds for good.
    until: date | None = None

    def holds(self, today: date) -> bool:
        return self.until is None or self.until >= today


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Stale dates of a processor that are good as they are, until what they were computed from changes again."""

    processor: str
    reason: str
    who: str
    when: date
    #: The target whose rows were reviewed: another's were written at other times.
    target: str
    #: By day number, the microseconds since 1970 at which the newest of the date's inputs was written then.
    newest: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """All that was decided, in the order it was written down."""

    waivers: tuple[Waiver, ...] = ()
    accepted: tuple[Accepted, ...] = ()

    def waived(self, processor: str, today: date) -> dict[str, DateSet]:
        """The dates of a processor that are waived on that day, by reason; each under its first."""
        found: dict[str, DateSet] = {}
        told = DateSet()
        for waiver in self.waivers:
            if waiver.processor == processor and waiver.holds(today):
                found[waiver.reason] = found.get(waiver.reason, DateSet()) | (waiver.dates - told)
                told |= waiver.dates
        return found

    def accepted_until(self, processor: str) -> dict[int, int]:
        """By day number, up to which instant newer inputs of a processor's date were accepted."""
        found: dict[int, int] = {}
        for review in self.accepted:
            if review.processor == processor:
                found |= {day: max(newest, found.get(day, newest)) for day, newest in review.newest.items()}
        return found


NO_REVIEWS = Reviews()
