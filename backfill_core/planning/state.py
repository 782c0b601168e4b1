"""The one state of each unit, from all that was found of it."""

from __future__ import annotations

from backfill_core.coverage import Findings, State
from backfill_core.dates import DateSet, union


def state(findings: Findings) -> dict[State, DateSet]:
    """Splits the dates asked about by state: for each date the first of State's order that applies.

    *Pending* is for dates that are too recent, and only instead of missing or partial.
    """
    left = findings.asked
    lacking = findings.empty | findings.short
    claims = (
        (State.UNKNOWN, findings.unknown),
        (State.NOT_EXPECTED, union(findings.not_expected.values())),
        (State.PENDING, findings.recent & lacking),
        (State.MISSING, findings.empty),
        (State.PARTIAL, findings.short),
        (State.INVALID, union(findings.broken.values())),
        (State.STALE, union(findings.stale.values())),
        (State.COMPLETE, findings.asked),
    )
    states = {}
    for name, dates in claims:
        states[name] = dates & left
        left -= dates
    return states
