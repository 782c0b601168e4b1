"""Whether a plan has a unit, and why or why not."""

from __future__ import annotations

from datetime import timedelta

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet, day_number
from backfill_core.graph import Pipeline
from backfill_core.model.units import Unit
from backfill_core.plan import Plan, RootCause
from backfill_core.planning.asked import asked_dates
from backfill_core.planning.explanation import InPlan, Standing
from backfill_core.planning.judge import WARM_UP


def in_plan(pipeline: Pipeline, coverage: Coverage, plan: Plan, unit: Unit) -> InPlan:
    """Where a unit stands to a plan that all processors were asked for."""
    name, one = unit.processor, DateSet.of(unit.day)
    if not pipeline.runs(name):
        return InPlan(standing=Standing.SOURCE)
    planned = plan.planned().get(name)
    if planned and one <= planned.dates:
        return _planned(plan, unit)
    causes = _causes(plan, unit)
    if causes:
        return InPlan(standing=Standing.BLOCKED, causes=causes)
    if not one <= asked_dates(plan.request):
        return InPlan(standing=Standing.OUTSIDE, why=f"the plan is about {plan.request.span}")
    covered = coverage.processors[name]
    state = next(state for state, dates in covered.states.items() if one <= dates)
    match state:
        case State.NOT_EXPECTED:
            return InPlan(standing=Standing.NOT_EXPECTED, why=_warms_up(pipeline, coverage, unit))
        case State.UNKNOWN:
            return InPlan(standing=Standing.OUTSIDE, why="the calendar does not know the date")
        case State.PENDING:
            return InPlan(standing=Standing.PENDING, why=_settles(pipeline, unit))
        case State.MISSING | State.PARTIAL | State.INVALID:
            return InPlan(standing=Standing.PENDING, why="what it needs may still come")
        case State.STALE:
            return InPlan(standing=Standing.STALE)
        case State.COMPLETE:
            return InPlan(standing=Standing.COMPLETE)


def _planned(plan: Plan, unit: Unit) -> InPlan:
    planned, one = plan.planned()[unit.processor], DateSet.of(unit.day)
    reason = next(why for why, dates in planned.reasons.items() if one <= dates)
    gates = [
        f"gate {closure.gate} after {closure.layer} will close on {closure.dates.first}"
        + (f" and {len(closure.dates) - 1} more" if len(closure.dates) > 1 else "")
        for closure in plan.closures
        if one <= closure.withheld.get(unit.processor, DateSet())
    ]
    return InPlan(
        standing=Standing.WITHHELD if gates else Standing.PLANNED,
        why="; ".join([reason, *gates]),
        degraded=one <= planned.degraded,
        unsettled=one <= planned.unsettled,
    )


def _causes(plan: Plan, unit: Unit) -> tuple[RootCause, ...]:
    """What blocks a unit, at the root: there the same date, or those up to it."""
    one, upto = DateSet.of(unit.day), DateSet.between(0, day_number(unit.day))
    return tuple(
        RootCause(processor=cause.processor, dates=cause.dates & one or cause.dates & upto, why=cause.why)
        for blocked in plan.blocked
        if blocked.processor == unit.processor and one <= blocked.dates
        for cause in blocked.because
    )


def _settles(pipeline: Pipeline, unit: Unit) -> str:
    tables = pipeline.processors[unit.processor].tables.values()
    last = max(table.settles_after.count for table in tables if table.settles_after is not None)
    return f"rows may come until {unit.day + timedelta(days=last - 1)}"


def _warms_up(pipeline: Pipeline, coverage: Coverage, unit: Unit) -> str:
    """Until when a processor warms up in the season, where the date is in that time."""
    covered, warmup = coverage.processors[unit.processor], pipeline.processors[unit.processor].warmup
    if warmup is None or unit.day not in covered.why_not_expected().get(WARM_UP, DateSet()):
        return ""
    first = max(season.span.first for season in coverage.calendar(unit.processor).seasons if season.span.first <= unit.day)
    return f"it warms up in the first {warmup.count} days of the season, which began {first}"
