"""Estimates: what the simulations come to, what they rest on, and how they are said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from backfill_core.dates import DateSet, Span
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, calendar_days
from backfill_core.model.expectations import Rows
from backfill_core.model.needs import Need
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Python
from backfill_core.model.table import Table
from backfill_core.plan import Plan, PlannedProcessor, Request, Stage
from backfill_core.planning.estimate import Estimate, estimate
from backfill_core.reports.estimate_texts import estimate_line, rough
from backfill_core.scheduling.terms import Terms

DATES = DateSet.from_json(["2024-05-01..2024-05-10"])
SPAN = DATES.span
DAILY = EveryDay("daily", since=date(2024, 1, 1))


def processor(name: str, layer: str, *needs: Need, seconds: float | None = None) -> Processor:
    run = Python(lambda _dates, _ctx: (), max_dates=1, seconds=seconds)
    table = Table(f"t.{name}", date="day", key=("k",))
    return Processor(name, layer=layer, calendar="daily", writes=table, needs=needs, complete_when=Rows(), run=run)


def pipeline(*processors: Processor) -> Pipeline:
    layers = (Layer("one"), Layer("two", after=("one",)))
    return Pipeline.build([Declared(value, "f.py") for value in (DAILY, *layers, *processors)], "local")


def planned(graph: Pipeline) -> Plan:
    stages = tuple(
        Stage(
            layer=layer.name,
            processors=tuple(PlannedProcessor(name=p.name, reasons={"missing": DATES}) for p in graph.within(layer.name)),
            gates=(),
        )
        for layer in graph.layers
    )
    request = Request(target="t", span=SPAN, today=date(2024, 6, 1), through="two")
    return Plan(request=request, graph="g", stages=stages, blocked=(), not_planned={}, asked=10)


def estimated(graph: Pipeline, measured: dict[str, list[float]], concurrency: int) -> Estimate | None:
    calendars = {"daily": calendar_days(DAILY, Span(date(2024, 1, 1), SPAN.last))}
    return estimate(graph, planned(graph), calendars, measured, terms=Terms(concurrency=concurrency))


CHAIN = (processor("a", "one"), processor("b", "one", Need("a")), processor("c", "two", Need("b")))


@pytest.mark.parametrize(("concurrency", "seconds"), [(1, 10 * (2 + 3 + 4)), (2, 5 * (2 + 3 + 4)), (20, 2 + 3 + 4)])
def test_durations_that_never_vary_give_the_time_that_the_schedule_takes(concurrency: int, seconds: float) -> None:
    found = estimated(pipeline(*CHAIN), {"a": [2.0], "b": [3.0, 3.0], "c": [4.0], "gone": [9.0]}, concurrency)
    assert found is not None
    assert found.p50 == found.p90 == seconds
    assert (found.critical, found.chain) == (9.0, ("a", "b", "c"))
    assert (found.measured, found.declared, found.unknown) == (4, (), ())
    assert found.calls == {"a": 10, "b": 10, "c": 10}


def test_what_varies_gives_a_range_and_the_same_one_each_time() -> None:
    graph = pipeline(*CHAIN)
    measured = {"a": [1.0, 2.0, 9.0], "b": [1.0, 1.5], "c": [2.0, 8.0]}
    found = estimated(graph, measured, 2)
    assert found is not None
    assert 5 * 4.0 <= found.p50 < found.p90 <= 5 * (9.0 + 1.5 + 8.0)
    assert found == estimated(graph, measured, 2)


def test_declared_seconds_stand_in_for_the_journal_and_the_unknown_is_told() -> None:
    graph = pipeline(processor("a", "one", seconds=2.0), processor("b", "one", seconds=7.0), processor("c", "two"))
    assert estimated(pipeline(*CHAIN), {}, 1) is None
    found = estimated(graph, {"b": [1.0]}, 1)
    assert found is not None
    assert (found.p50, found.measured, found.declared, found.unknown) == (30.0, 1, ("a",), ("c",))
    assert found.chain[-1] in ("a", "b"), "what takes no time leads nowhere"


def test_an_estimate_in_words() -> None:
    found = Estimate(
        concurrency=4,
        p50=720.0,
        p90=1080.0,
        critical=540.0,
        chain=("a", "b", "c"),
        calls={},
        measured=1204,
        declared=(),
        unknown=("x", "y"),
    )
    assert estimate_line(found) == (
        "estimate: 12-18 min at 4 in flight (durations of 1,204 units in the journal; 2 processors never ran, taken as no "
        "time); critical path 9 min: a -> b -> c"
    )
    long = replace(found, chain=tuple("abcdefg"), p50=9000.0, p90=9100.0, unknown=(), declared=("d",), measured=0)
    assert estimate_line(long) == (
        "estimate: 2.5 h at 4 in flight (declared seconds of 1 processor); critical path 9 min: a -> b -> ... -> g"
    )
    assert [rough(seconds) for seconds in (0.0, 0.2, 40.4, 600.0, 12_600.0)] == ["0 s", "1 s", "40 s", "10 min", "3.5 h"]
