"""A call that leaves, and what may become of its units when it failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backfill_core.model.units import Batch
from backfill_core.scheduling.lanes import NEVER
from backfill_core.scheduling.retries import UNTRIED, Tries

#: A call is taken for lost a tenth of its time limit after it, within these seconds: its runner has the first chance to say so.
_GRACE = (1.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """A batch that may leave."""

    batch: Batch
    #: How many units it has.
    units: int
    tries: Tries = UNTRIED
    lanes: tuple[str, ...] = ()
    #: When it left, and when it is taken for lost.
    left: float = 0.0
    lost_at: float = NEVER

    @property
    def attempt(self) -> int:
        """Which call of its units it is, from 1 on."""
        return self.tries.calls + 1

    @property
    def processor(self) -> str:
        """The first of its processors."""
        return self.batch.processors[0]


class Fate(StrEnum):
    """What becomes of units whose call failed."""

    #: They have failed for good.
    FINAL = "final"
    #: They are called again.
    AGAIN = "again"
    #: Each half of them is called again, to find the one that spoils the others.
    SPLIT = "split"
    #: What they hold is looked at first.
    LOOK = "look"
    #: They wait until the run goes on, as if they had never been called.
    PARKED = "parked"


def with_grace(limit: float) -> float:
    """Seconds after which a call with that time limit is taken for lost."""
    least, most = _GRACE
    return limit + min(most, max(least, limit / 10))
