"""What to do about a unit that was explained."""

from __future__ import annotations

from backfill_core.graph import EdgeKind
from backfill_core.planning.explanation import Explanation, NeedSeen, Standing


def next_command(told: Explanation) -> tuple[str, bool]:
    """(command to type, whether it says itself which dates it is about)."""
    seen, here = told.in_plan, f"--dates {told.day}"
    match seen.standing:
        case Standing.PLANNED:
            first = [need for need in told.needs if need.keyless or (need.kind is EdgeKind.HARD and not need.met)]
            if not all(_same_date(need, told) for need in first):
                return "execute", False
            return f"execute --processor {'+' if first else ''}{told.processor} {here}", True
        case Standing.BLOCKED if seen.causes[0].processor != told.processor:
            root = seen.causes[0]
            return f"explain {root.processor} {root.dates.last}", True
        case Standing.STALE:
            return f"plan --processor {told.processor} {here} --cascade", True
        case Standing.NOT_EXPECTED if told.waivers:
            return "waivers", True
        case _:
            return "plan", False


def _same_date(need: NeedSeen, told: Explanation) -> bool:
    """Whether what lacks of a need is of the unit's own date."""
    return all(lack.dates.first == lack.dates.last == told.day for lack in need.lacks)
