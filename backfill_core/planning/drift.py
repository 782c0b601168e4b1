"""Whether the warehouse moved between a plan and its execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backfill_core.dates import DateSet
from backfill_core.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What moved, by processor. Units that became complete are dropped, and are no drift."""

    #: Units that the plan did not have.
    new: Mapping[str, DateSet]
    #: Units whose reason is another now, or that are blocked now.
    changed: Mapping[str, DateSet]
    dropped: Mapping[str, DateSet]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed)

    def __str__(self) -> str:
        parts = [f"{name} has {_some(len(days), 'new unit')}" for name, days in self.new.items()]
        parts += [f"{name} has other reasons on {_some(len(days), 'date')}" for name, days in self.changed.items()]
        return ", ".join(parts)


def _some(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def drift(old: Plan, now: Plan) -> Drift:
    """Compares a plan with what the same request gives now."""
    before, after = old.planned(), now.planned()
    stopped = now.blocked_dates()
    new, changed, dropped = {}, {}, {}
    for name in sorted(before.keys() | after.keys()):
        was = before[name].dates if name in before else DateSet()
        is_ = after[name].dates if name in after else DateSet()
        if is_ - was:
            new[name] = is_ - was
        fallen = was & stopped.get(name, DateSet())
        if was - is_ - fallen:
            dropped[name] = was - is_ - fallen
        moved = _other_reason(before[name].reasons, after[name].reasons, was & is_) if was & is_ else DateSet()
        moved |= fallen
        if moved:
            changed[name] = moved
    return Drift(new=new, changed=changed, dropped=dropped)


def _other_reason(was: Mapping[str, DateSet], now: Mapping[str, DateSet], both: DateSet) -> DateSet:
    kept = DateSet()
    for reason, dates in was.items():
        kept |= dates & now.get(reason, DateSet())
    return both - kept
