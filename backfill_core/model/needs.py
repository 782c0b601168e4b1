"""What a processor reads before it can work."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from backfill_core.model.windows import SAME_DATE, SameDate, Window


@dataclass(frozen=True, slots=True)
class Need:
    """A dependency on another processor's dates, or on one's own earlier ones."""

    #: Names of processors. With several, a date is there when any one of them has it.
    on: str | tuple[str, ...]
    _: KW_ONLY
    window: Window = SAME_DATE
    #: A soft need never blocks; without it a unit runs degraded.
    soft: bool = False
    #: How much of the window must be there, 0 to 1. None: 1.0 for the same date, else 0.8.
    share: float | None = None
    #: Text column of this processor's table with the content of the need that a date's rows were computed from. Runners that
    #: write fill it. An upstream written again with the same content then leaves the date as it is.
    hash: str | None = None

    @property
    def upstreams(self) -> tuple[str, ...]:
        return (self.on,) if isinstance(self.on, str) else self.on

    @property
    def required(self) -> float:
        if self.share is not None:
            return self.share
        return 1.0 if isinstance(self.window, SameDate) else 0.8


def any_of(
    *names: str,
    window: Window = SAME_DATE,
    soft: bool = False,
    share: float | None = None,
    hash: str | None = None,  # noqa: A002  (the field's name)
) -> Need:
    """A need that any one of several processors can meet, date by date."""
    return Need(names, window=window, soft=soft, share=share, hash=hash)
