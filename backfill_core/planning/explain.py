"""Why a unit is in the state it is in, from the very facts and rules that the state was decided by."""

from __future__ import annotations

from backfill_core.coverage import Coverage, ProcessorCoverage, State
from backfill_core.dates import DateSet, day_number
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.model.units import Unit
from backfill_core.plan import Plan
from backfill_core.planning.explanation import Explanation, Newer
from backfill_core.planning.impact import spoiled
from backfill_core.planning.in_plan import in_plan
from backfill_core.planning.judge import window_map
from backfill_core.planning.needs_seen import needs_seen
from backfill_core.planning.table_seen import Named, tables_seen


def explain(pipeline: Pipeline, coverage: Coverage, plan: Plan, unit: Unit, keys: Named, limit: int) -> Explanation:
    """Explains a unit by a coverage that holds its date and a plan made from it.

    ``keys`` has the keys that had to be asked for; of the calendar's keys at most ``limit`` are named.
    """
    name, one = unit.processor, DateSet.of(unit.day)
    number = day_number(unit.day)
    processor, covered = pipeline.processors[name], coverage.processors[name]
    calendar = coverage.calendar(name)
    first, *also = tables_seen(pipeline, coverage, name, unit.day, keys, limit)
    found = next(state for state, dates in covered.states.items() if dates & one)
    direct, whole = (
        spoiled(pipeline, coverage.calendars, coverage, name, one & covered.expected, direct=near) for near in (True, False)
    )
    waived = found is State.NOT_EXPECTED
    return Explanation(
        processor=name,
        day=unit.day,
        layer=processor.layer,
        calendar=processor.calendar,
        calendar_keys=len(calendar.keys.get(number, ())),
        calendar_key=calendar.key,
        state=found,
        detail=_detail(covered, found, number),
        held=first.held,
        expected=first.expected,
        rules=first.rules,
        also=tuple(also),
        newer=_newer(pipeline, coverage, unit),
        needs=needs_seen(pipeline, coverage, plan, unit),
        in_plan=in_plan(pipeline, coverage, plan, unit),
        spoils_directly=direct,
        spoils=whole,
        waivers=tuple(
            w
            for w in coverage.reviews.waivers
            if waived and w.processor == name and one <= w.dates and w.holds(plan.request.today)
        ),
        accepted=tuple(
            a
            for a in coverage.reviews.accepted
            if a.processor == name and number in a.newest and one <= covered.findings.accepted
        ),
    )


def _detail(covered: ProcessorCoverage, found: State, number: int) -> str:
    match found:
        case State.PARTIAL | State.MISSING | State.PENDING:
            have, want = covered.counts.get(number, (0, 0))
            if found is State.PARTIAL:
                return f"{have}/{want}" if want else "of an unknown number"
            return f"{have}/{want}" if have else ""
        case State.INVALID:
            one = DateSet.from_numbers([number])
            return ", ".join(rule for rule, dates in sorted(covered.findings.broken.items()) if one <= dates)
        case State.NOT_EXPECTED:
            one = DateSet.from_numbers([number])
            return next((why for why, dates in covered.why_not_expected().items() if one <= dates), "")
        case _:
            return ""


def _newer(pipeline: Pipeline, coverage: Coverage, unit: Unit) -> tuple[Newer, ...]:
    """What of each upstream that makes the date stale was written after its rows, or after they were accepted."""
    one, number = DateSet.of(unit.day), day_number(unit.day)
    covered = coverage.processors[unit.processor]
    since = max(covered.facts.oldest.get(number, 0), coverage.reviews.accepted_until(unit.processor).get(number, 0))
    found: dict[str, set[int]] = {}
    for edge in pipeline.edges_into[unit.processor]:
        if edge.kind is EdgeKind.READS:
            continue
        ((first, last),) = window_map(pipeline, edge, coverage.calendars).bounds([number])
        for name in edge.upstreams:
            if one <= covered.findings.stale.get(name, DateSet()):
                newest = coverage.processors[name].facts.newest
                found.setdefault(name, set()).update(day for day in range(first, last + 1) if newest.get(day, 0) > since)
    return tuple(
        Newer(
            upstream=name,
            dates=DateSet.from_numbers(sorted(days)),
            newest=max(coverage.processors[name].facts.newest[day] for day in days),
        )
        for name, days in found.items()
        if days
    )
