"""Whether the warehouse moved between a plan and its execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backfill_core.dates import DateSet
from backfill_core.plan import Plan
from backfill_core.planning.plan_diff import plan_diff


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What moved, by processor. Units that became complete are dropped, and are no drift."""

    #: Units that the plan did not have.
    new: Mapping[str, DateSet]
    #: Units whose reason is another now, or that are blocked now.
    changed: Mapping[str, DateSet]
    dropped: Mapping[str, DateSet]
    #: What moved, in words: processor, dates, what either plan says of them.
    moves: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed)

    def __str__(self) -> str:
        more = len(self.moves) - _NAMED
        return "; ".join(self.moves[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


#: Moves that are named.
_NAMED = 3


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
    return Drift(new=new, changed=changed, dropped=dropped, moves=tuple(_moves(old, now, new, changed)))


def _moves(old: Plan, now: Plan, new: Mapping[str, DateSet], changed: Mapping[str, DateSet]) -> Iterator[str]:
    for each in plan_diff(old, now):
        dates = each.dates & (new.get(each.processor, DateSet()) | changed.get(each.processor, DateSet()))
        if dates:
            runs = dates.to_json()
            named = ", ".join(runs) if len(runs) <= _NAMED else f"{dates.span}, {len(dates)} dates"
            yield f"{each.processor} {named}: {each.before or 'not planned'} -> {each.after or 'not planned'}"


def _other_reason(was: Mapping[str, DateSet], now: Mapping[str, DateSet], both: DateSet) -> DateSet:
    kept = DateSet()
    for reason, dates in was.items():
        kept |= dates & now.get(reason, DateSet())
    return both - kept
