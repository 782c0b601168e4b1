"""What is different between two plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Some dates of one processor: what each of two plans says of them; empty where it does not have them."""

    processor: str
    dates: DateSet
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        return {"processor": self.processor, "dates": self.dates.to_json(), "before": self.before, "after": self.after}


def plan_diff(before: Plan, after: Plan) -> list[Difference]:
    """Every unit of which two plans say different things, by processor; alike ones together."""
    old, new = _said(before), _said(after)
    found = []
    for name in dict.fromkeys((*old, *new)):
        was, is_ = old.get(name, {}), new.get(name, {})
        for word, dates in was.items():
            for other, theirs in is_.items():
                if word != other and dates & theirs:
                    found.append(Difference(processor=name, dates=dates & theirs, before=word, after=other))
            gone = dates - _all(is_)
            if gone:
                found.append(Difference(processor=name, dates=gone, before=word, after=""))
        for other, theirs in is_.items():
            fresh = theirs - _all(was)
            if fresh:
                found.append(Difference(processor=name, dates=fresh, before="", after=other))
    return found


def _said(plan: Plan) -> dict[str, dict[str, DateSet]]:
    """By processor: its planned dates by reason, and its blocked ones."""
    said: dict[str, dict[str, DateSet]] = {name: dict(planned.reasons) for name, planned in plan.planned().items()}
    for name, dates in plan.blocked_dates().items():
        said.setdefault(name, {})["blocked"] = dates
    return said


def _all(said: Mapping[str, DateSet]) -> DateSet:
    found = DateSet()
    for dates in said.values():
        found |= dates
    return found
