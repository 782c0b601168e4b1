"""A plan as the scheduler sees it: what each processor's dates wait for, and how they may be called."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backfill_core.dates import DateSet, union
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Called
from backfill_core.plan import Plan
from backfill_core.planning.judge import window_map
from backfill_core.scheduling.lanes import processor_lane, service_lane, table_lane


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
    """The units of one processor, and how they may be called."""

    name: str
    layer: str
    dates: DateSet
    waits: tuple[Wait, ...] = ()
    #: Most dates in one call, and whether they are of one month.
    most: int = 1
    by_month: bool = False
    #: Days of the calendar, ascending, of which a call leaves none out between its dates; none: it may leave any out.
    along: Sequence[int] = ()
    #: What its calls share with others and may be capped; see `lanes`.
    lanes: tuple[str, ...] = ()
    #: Processors of the same name here go together in one call a date.
    together: str | None = None
    #: Whether it may go in the very call that has the units of its date that it needs, behind them.
    in_order: bool = False
    #: Calls at most when each fails in passing, and seconds before the second.
    attempts: int = 3
    #: Whether a call adds rows to those that are there: what may have been done is looked at before another.
    adds: bool = False
    backoff: float = 0.0
    #: Seconds a call may take, and for which its service may keep a lock after one that was lost.
    limit: float | None = None
    lock: float = 0.0
    #: Seconds a unit is known to take.
    seconds: float | None = None
    #: Not a processor: the gates of the layer, which are judged date by date. Nothing is called.
    gate: bool = False


def plan_work(
    pipeline: Pipeline,
    plan: Plan,
    calendars: Mapping[str, CalendarDays],
    *,
    pipelined: bool = False,
    seconds: Mapping[str, float] | None = None,
) -> list[Work]:
    """The work of a plan, in its order.

    ``seconds`` are what a unit of each processor is known to take. ``pipelined`` puts gates that are judged date by date between
    the layers.
    """
    known = seconds or {}
    works: list[Work] = []
    for stage in plan.stages:
        works += [
            _work(pipeline, stage.layer, chosen.name, chosen.dates, calendars, known.get(chosen.name))
            for chosen in stage.processors
        ]
    return with_gates(pipeline, plan, works) if pipelined else works


def _written(processor: Processor) -> list[str]:
    return [processor.writes.name, *(part.table.name for part in processor.also)]


def layers_before(pipeline: Pipeline, plan: Plan) -> dict[str, frozenset[str]]:
    """The layers of a plan in its order, each with those of them that come before it."""
    layers = [stage.layer for stage in plan.stages]
    return {layer: pipeline.before[layer].intersection(layers) for layer in layers}


def gate_name(layer: str) -> str:
    """What the gates of a layer are called among the work: no processor can have that name."""
    return f"gates after {layer}"


def with_gates(pipeline: Pipeline, plan: Plan, works: Sequence[Work]) -> list[Work]:
    """The same work for a run in which a date goes on as soon as its gates pass.

    A gate of a date waits for the layer's units of that date, and where one of them judges several dates together, for all of
    the layer's. A unit of a later layer waits for the gates of its own date, and for those of each date in the windows that it
    has on processors of that layer.
    """
    gated = {stage.layer for stage in plan.stages if stage.gates}
    found: list[Work] = []
    for stage in plan.stages:
        own = [work for work in works if work.layer == stage.layer]
        found += [replace(work, waits=(*work.waits, *_gate_waits(pipeline, work, gated))) for work in own]
        if stage.layer in gated:
            dates = union(work.dates for work in own)
            days = [(day, day) for day in dates.numbers()]
            if days and any(gate.per != "date" for gate in pipeline.layer(stage.layer).gates if gate.name in stage.gates):
                days = [(days[0][0], days[-1][1])] * len(days)
            waits = tuple(Wait.of(work.name, days) for work in own)
            found.append(Work(name=gate_name(stage.layer), layer=stage.layer, dates=dates, waits=waits, gate=True))
    return found


def _gate_waits(pipeline: Pipeline, work: Work, gated: set[str]) -> list[Wait]:
    before = sorted(gated & pipeline.before[work.layer])
    days = [(day, day) for day in work.dates.numbers()]
    waits = [Wait.of(gate_name(layer), days) for layer in before]
    for wait in work.waits:
        layer = pipeline.processors[wait.upstream].layer
        if layer in before:
            waits.append(replace(wait, upstream=gate_name(layer)))
    return waits


def _work(
    pipeline: Pipeline,
    layer: str,
    name: str,
    dates: DateSet,
    calendars: Mapping[str, CalendarDays],
    seconds: float | None,
) -> Work:
    spec = pipeline.processors[name].spec_for(pipeline.runtime)
    assert isinstance(spec, Called), "only what is called is planned"
    # A processor that needs its own earlier dates has each date in a call of its own.
    chained = any(name in edge.upstreams for edge in pipeline.edges_into[name])
    lanes = [processor_lane(name), *map(table_lane, _written(pipeline.processors[name]))]
    return Work(
        name=name,
        layer=layer,
        dates=dates,
        waits=_waits(pipeline, name, dates, calendars),
        most=1 if chained else spec.max_dates,
        by_month=spec.by_month,
        along=calendars[pipeline.processors[name].calendar].expected.numbers() if spec.consecutive else (),
        lanes=(*lanes, service_lane(spec.shares)) if spec.shares else tuple(lanes),
        # One spec carries a call out: of another kind it is another call.
        together=f"{layer}, {type(spec).__name__} {spec.together}" if spec.together else None,
        in_order=spec.in_order,
        # What may have added rows is not called again before somebody looked.
        attempts=1 if pipeline.processors[name].rerun == "appends" else spec.attempts,
        adds=pipeline.processors[name].rerun == "appends",
        backoff=spec.backoff,
        limit=spec.time_limit,
        lock=spec.service.lock if spec.service else 0.0,
        seconds=seconds if seconds is not None else spec.seconds,
    )


def _waits(pipeline: Pipeline, name: str, dates: DateSet, calendars: Mapping[str, CalendarDays]) -> tuple[Wait, ...]:
    days = dates.numbers()
    waits = []
    for edge in pipeline.edges_into[name]:
        bounds = window_map(pipeline, edge, calendars).bounds(days)
        waits += [Wait.of(upstream, bounds) for upstream in edge.upstreams]
    return tuple(waits)
