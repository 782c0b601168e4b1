"""A plan as the scheduler sees it: what each processor's dates wait for, and how they may be called."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Python, RunSpec, Source, Sql
from backfill_core.plan import Plan
from backfill_core.planning.judge import window_map


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Each date waits until the upstream's dates between two days have their final word.

    Both sequences have a day number for each of the waiting processor's dates, in order. Neither ever falls: of two dates the
    later one's window starts no earlier and ends no earlier. A window that ends before it starts holds nothing up.
    """

    upstream: str
    firsts: Sequence[int]
    lasts: Sequence[int]

    @classmethod
    def of(cls, upstream: str, bounds: Iterable[tuple[int, int]]) -> Wait:
        """From the (first, last) of each date. Kept as bare numbers: a large plan has millions of them."""
        firsts, lasts = array("i"), array("i")
        for first, last in bounds:
            firsts.append(first)
            lasts.append(last)
        return cls(upstream=upstream, firsts=firsts, lasts=lasts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The units of one processor."""

    name: str
    layer: str
    dates: DateSet
    waits: tuple[Wait, ...] = ()
    #: Most dates in one call.
    most: int = 1
    #: What its calls share with others (a service, a table) and may be capped; see `Scheduler`.
    lanes: tuple[str, ...] = ()


def plan_work(pipeline: Pipeline, plan: Plan, calendars: Mapping[str, CalendarDays]) -> list[Work]:
    """The work of a plan, in its order."""
    return [
        Work(
            name=planned.name,
            layer=stage.layer,
            dates=planned.dates,
            waits=_waits(pipeline, planned.name, planned.dates, calendars),
            most=_most(pipeline, planned.name),
            lanes=(planned.name, *_written(pipeline.processors[planned.name])),
        )
        for stage in plan.stages
        for planned in stage.processors
    ]


def _written(processor: Processor) -> list[str]:
    return [processor.writes.name, *(part.table.name for part in processor.also)]


def layers_before(pipeline: Pipeline, plan: Plan) -> dict[str, frozenset[str]]:
    """The layers of a plan in its order, each with those of them that come before it."""
    layers = [stage.layer for stage in plan.stages]
    return {layer: pipeline.before[layer].intersection(layers) for layer in layers}


def _waits(pipeline: Pipeline, name: str, dates: DateSet, calendars: Mapping[str, CalendarDays]) -> tuple[Wait, ...]:
    days = dates.numbers()
    waits = []
    for edge in pipeline.edges_into[name]:
        bounds = window_map(pipeline, edge, calendars).bounds(days)
        waits += [Wait.of(upstream, bounds) for upstream in edge.upstreams]
    return tuple(waits)


def _most(pipeline: Pipeline, name: str) -> int:
    spec = pipeline.processors[name].spec_for(pipeline.runtime)
    assert spec is not None, "the graph was built for this runtime"
    # A processor that needs its own earlier dates has each date in a call of its own.
    return 1 if any(name in edge.upstreams for edge in pipeline.edges_into[name]) else _most_dates(spec)


def _most_dates(spec: RunSpec) -> int:
    match spec:
        case Sql(max_dates=most) | Python(max_dates=most):
            return most
        case Source():
            return 1
