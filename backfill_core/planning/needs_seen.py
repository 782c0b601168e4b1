"""What one unit reads: each window as dates, what of it is there, and what lacks."""

from __future__ import annotations

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet, Span, day_number, day_of, union
from backfill_core.graph import Edge, EdgeKind, Pipeline
from backfill_core.model.units import Unit
from backfill_core.plan import Plan
from backfill_core.planning.explanation import Lack, NeedSeen
from backfill_core.planning.judge import window_map
from backfill_core.planning.need_met import need_met
from backfill_core.planning.withhold import key_sources


def needs_seen(pipeline: Pipeline, coverage: Coverage, plan: Plan, unit: Unit) -> tuple[NeedSeen, ...]:
    """Everything a unit reads, in the order its processor declares it; as it is now, whatever is planned."""
    planned = {name: found.dates for name, found in plan.planned().items()}
    return tuple(_seen(pipeline, coverage, planned, unit, edge) for edge in pipeline.edges_into[unit.processor])


def _seen(pipeline: Pipeline, coverage: Coverage, planned: dict[str, DateSet], unit: Unit, edge: Edge) -> NeedSeen:
    window, one = window_map(pipeline, edge, coverage.calendars), DateSet.of(unit.day)
    ((first, last),) = window.bounds([day_number(unit.day)])
    dates = DateSet.between(first, last)
    ups = {name: coverage.processors[name] for name in edge.upstreams}
    expected = union(up.expected for up in ups.values())
    good = union(up.good for up in ups.values())
    verdict = need_met(one, window, edge.share, expected=expected, good=good)
    lacking = dates & expected - good
    lacks = [
        Lack(processor=name, state=state, dates=found, planned=found & planned.get(name, DateSet()))
        for name, up in ups.items()
        for state in State
        if (found := up.states[state] & lacking)
    ]
    keyless = edge.upstreams[0] in key_sources(pipeline, unit.processor) and first == last == day_number(unit.day)
    keyless = keyless and first not in coverage.processors[edge.upstreams[0]].facts.rows
    return NeedSeen(
        upstreams=edge.upstreams,
        kind=edge.kind,
        window=str(edge.window),
        span=Span(day_of(first), day_of(last)) if first <= last else None,
        wanted=len(dates & expected),
        there=len(dates & expected & good),
        share=edge.share,
        met=edge.kind is EdgeKind.READS or bool(verdict.met),
        degraded=edge.kind is not EdgeKind.READS and bool(verdict.degraded or (verdict.unmet and edge.kind is EdgeKind.SOFT)),
        lacks=tuple(lacks),
        keyless=keyless,
    )
