"""What a look at a target came to, before anything is done there: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from backfill_core.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person should know before a run."""

    what: str
    #: It would spoil the run: nothing is started.
    stops: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What would be done: with which tables, from which day on."""

    #: Processors that would write, each with the first day that it would fill.
    fills: Mapping[str, date]
    today: date


def use_of(plan: Plan) -> Use:
    """What carrying out a plan would do."""
    fills = {name: chosen.dates.first for name, chosen in plan.planned().items() if chosen.dates}
    return Use(fills=fills, today=plan.request.today)
