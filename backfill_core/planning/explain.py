"""Why a unit is in the state it is in, from the very facts and rules that the state was decided by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backfill_core.coverage import Coverage, KeysFound, ProcessorCoverage, State
from backfill_core.dates import DateSet, day_number
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.model.expectations import AtMost, CalendarKeys, Expectation, KeysOf, Rows
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.plan import Plan
from backfill_core.planning.explanation import Expected, Explanation, Held, Kept, Newer, WantedKey
from backfill_core.planning.impact import spoiled
from backfill_core.planning.in_plan import in_plan
from backfill_core.planning.judge import window_map
from backfill_core.planning.measure import is_enough, measured, rows_by_key, share_of
from backfill_core.planning.needs_seen import needs_seen
from backfill_core.planning.rules import counted


def explain(
    pipeline: Pipeline, coverage: Coverage, plan: Plan, unit: Unit, keys: Mapping[str, KeysFound], limit: int
) -> Explanation:
    """Explains a unit by a coverage that holds its date and a plan made from it.

    ``keys`` has, by expectation, the keys of other tables that it lacks; of the calendar's keys at most ``limit`` are named.
    """
    name, one = unit.processor, DateSet.of(unit.day)
    number = day_number(unit.day)
    processor, covered = pipeline.processors[name], coverage.processors[name]
    calendar, facts = coverage.calendar(name), covered.facts
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
        held=Held(
            rows=facts.rows.get(number, 0),
            distinct=facts.distinct.get(number, 0),
            oldest=facts.oldest.get(number),
            newest=facts.newest.get(number),
            unexpected=number in facts.rows and found is State.NOT_EXPECTED,
        ),
        expected=_expected(pipeline, coverage, unit, keys, limit) if found is not State.NOT_EXPECTED else (),
        rules=_rules(pipeline, coverage, unit) if number in facts.rows and found is not State.NOT_EXPECTED else (),
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


def _expected(
    pipeline: Pipeline, coverage: Coverage, unit: Unit, keys: Mapping[str, KeysFound], limit: int
) -> tuple[Expected, ...]:
    processor, one = pipeline.processors[unit.processor], DateSet.of(unit.day)
    number, facts = day_number(unit.day), coverage.processors[unit.processor].facts
    found = []
    for expectation in processor.expectations:
        if isinstance(expectation, AtMost):
            continue
        counts = measured(expectation, facts, coverage.calendar(unit.processor), one)
        there, wanted = counts.get(number, (0, _at_least(expectation)))
        share = share_of(expectation)
        told = Expected(
            expectation=str(expectation), there=there, wanted=wanted, share=share, enough=is_enough(there, wanted, share)
        )
        match expectation:
            case CalendarKeys():
                told = _with_calendar_keys(told, expectation, coverage, unit, limit)
            case KeysOf() if str(expectation) in keys:
                told = _with_keys(told, expectation, pipeline, coverage, unit, keys[str(expectation)])
            case _:
                pass
        found.append(told)
    return tuple(found)


def _at_least(expectation: Expectation) -> int:
    """What a date without rows wants."""
    if isinstance(expectation, Rows):
        return max(expectation.at_least if expectation.exactly is None else expectation.exactly, 1)
    return 0


def _with_calendar_keys(told: Expected, expectation: CalendarKeys, coverage: Coverage, unit: Unit, limit: int) -> Expected:
    calendar, facts, number = coverage.calendar(unit.processor), coverage.processors[unit.processor].facts, day_number(unit.day)
    rows = rows_by_key(expectation, facts, calendar, number)
    least = expectation.exactly or expectation.at_least
    wanted = calendar.keys.get(number, frozenset())
    lacking = [WantedKey(key=(key,), rows=rows.get(key, 0), wanted=least) for key in sorted(wanted) if rows.get(key, 0) < least]
    beyond = sorted(facts.keys.get(expectation.column, {}).get(number, {}).keys() - wanted)
    most = expectation.exactly or max(rows.values(), default=0)
    many = [WantedKey(key=(key,), rows=n, wanted=most) for key, n in sorted(rows.items()) if n > most]
    return replace(
        told,
        columns=(expectation.column,),
        excess=len(many),
        first_excess=tuple(many[:limit]),
        absent=len(lacking),
        first_absent=tuple(lacking[:limit]),
        surplus=len(beyond),
        first_surplus=tuple((key,) for key in beyond[:limit]),
    )


def _with_keys(
    told: Expected, expectation: KeysOf, pipeline: Pipeline, coverage: Coverage, unit: Unit, keys: KeysFound
) -> Expected:
    table, one = pipeline.processors[unit.processor].writes, DateSet.of(unit.day)
    assert isinstance(table, Table)
    # What another table lacks makes nothing here too much.
    sound = expectation.looks_back or bool(one & coverage.processors[expectation.processor].good)
    return replace(
        told,
        columns=(expectation.column,) if expectation.column else table.key_on_date,
        absent=keys.absent,
        first_absent=tuple(WantedKey(key=key) for key in keys.first_absent),
        surplus=keys.surplus if sound else 0,
        first_surplus=keys.first_surplus if sound else (),
    )


def _rules(pipeline: Pipeline, coverage: Coverage, unit: Unit) -> tuple[Kept, ...]:
    processor, covered, number = pipeline.processors[unit.processor], coverage.processors[unit.processor], day_number(unit.day)
    one = DateSet.of(unit.day)
    found = []
    for rule in (*processor.rules, *processor.expectations):
        holds = not one & covered.findings.broken.get(str(rule), DateSet())
        count = counted(rule, covered.facts)
        if count is not None:
            good, judged = count(number)
            found.append(Kept(rule=str(rule), holds=holds, good=good, judged=judged, share=rule.share))  # type: ignore[union-attr]
        elif isinstance(rule, AtMost):
            most = rule.times * coverage.processors[rule.of].facts.rows.get(number, 0)
            found.append(Kept(rule=str(rule), holds=holds, most=most))
        elif not holds:
            found.append(Kept(rule=str(rule), holds=False))
    return tuple(found)


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
