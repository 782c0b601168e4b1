"""When claimed units are looked at: together, so that questions grow with tables and minutes and never with dates."""

from __future__ import annotations

from dataclasses import dataclass, field

from backfill_core.dates import DateSet

#: Claims of one table are observed together: at so many, or after so long, or when nothing else can start.
CLAIMS_TOGETHER = 50
CLAIMS_WAIT = 30.0
#: Seconds between two looks at the same table while others start; on the whole there are no more than 12 a minute.
CLAIMS_PACE = 5.0
LOOKS_A_MINUTE = 12


@dataclass(slots=True)
class _Claimed:
    """Dates of one processor that are to be looked at."""

    dates: DateSet = field(default_factory=DateSet)
    since: float = 0.0
    looked: float = float("-inf")
    #: Looks that may be taken at once, of at most LOOKS_A_MINUTE; one more every CLAIMS_PACE seconds.
    allowed: float = LOOKS_A_MINUTE

    def refilled(self, now: float) -> float:
        return min(LOOKS_A_MINUTE, self.allowed + (now - self.looked) / CLAIMS_PACE)

    def due_at(self, *, idle: bool) -> float:
        """From when on they may be looked at."""
        short = max(0.0, 1.0 - self.allowed) * CLAIMS_PACE
        if idle:
            return self.looked + short if short else float("-inf")
        ripe = self.since if len(self.dates) >= CLAIMS_TOGETHER else self.since + CLAIMS_WAIT
        return max(ripe, self.looked + max(CLAIMS_PACE, short))


class Claims:
    """What runners say is done, and what may be done although nobody says so, until it is observed."""

    def __init__(self) -> None:
        self._of: dict[str, _Claimed] = {}

    def add(self, name: str, dates: DateSet, now: float) -> None:
        claimed = self._of.setdefault(name, _Claimed())
        if not claimed.dates:
            claimed.since = now
        claimed.dates |= dates

    def due(self, now: float, *, idle: bool) -> dict[str, DateSet]:
        """Those to look at now, each told once. ``idle``: nothing else can start."""
        found = {}
        for name, claimed in sorted(self._of.items()):
            if claimed.dates and claimed.due_at(idle=idle) <= now:
                claimed.allowed = claimed.refilled(now) - 1.0
                claimed.looked = now
                found[name], claimed.dates = claimed.dates, DateSet()
        return found

    def due_at(self, *, idle: bool) -> float:
        """When the next of them are to be looked at; infinite for none."""
        return min((claimed.due_at(idle=idle) for claimed in self._of.values() if claimed.dates), default=float("inf"))

    def __bool__(self) -> bool:
        return any(claimed.dates for claimed in self._of.values())
