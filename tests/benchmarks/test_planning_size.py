"""Planning in memory, at a size: how time and memory grow with units, windows and fragmentation."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from datetime import date, timedelta

import pytest

from backfill_core.coverage import DateFacts
from backfill_core.dates import Span, day_number
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, calendar_days
from backfill_core.model.expectations import Rows
from backfill_core.model.needs import Need
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.model.windows import calendar_dates, days
from backfill_core.plan import Request
from backfill_core.planning.judge import judge_coverage
from backfill_core.planning.make_plan import make_plan

FIRST = date(1990, 1, 1)


def graph(processors: int) -> Pipeline:
    """Processors in a row, each with three windows on the ones before it."""
    found: list[Processor] = []
    for place in range(processors):
        needs = [
            Need(f"p{place - back}", window=window)
            for back, window in ((1, days(10)), (2, days(60)), (3, calendar_dates(20)))
            if place >= back
        ]
        table = Table(f"b.p{place}", date="day", key=("n",), updated="at")
        found.append(
            Processor(
                f"p{place}",
                layer="one",
                calendar="daily",
                writes=table,
                needs=tuple(needs),
                complete_when=Rows(),
                run=Sql("x.sql"),
            )
        )
    values = [EveryDay("daily", since=FIRST), Layer("one"), *found]
    return Pipeline.build([Declared(value, "all.py", 1) for value in values], "local")


def facts(processors: int, count: int, *, holes: str, stale: bool) -> dict[str, DateFacts]:
    """What each table holds: all but a tenth at the end, or every other day."""
    start = day_number(FIRST)
    chosen = range(0, count, 2) if holes == "alternating" else range(count - count // 10)
    numbers = [start + n for n in chosen]
    found = {}
    for place in range(processors):
        rows = dict.fromkeys(numbers, 100)
        stamps = {}
        if stale:
            base = 1_700_000_000_000_000 + place * 1_000_000_000
            # Written in order, but for one day in fifty that was written again later, so that windows after it are stale.
            again = {number: 10**12 for number in numbers if number % 50 == place % 50}
            stamps = {number: base + (number % 97) * 1_000_000 + again.get(number, 0) for number in numbers}
        found[f"p{place}"] = DateFacts(rows=rows, distinct=rows, oldest=stamps, newest=stamps)
    return found


def measure(processors: int, count: int, holes: str, stale: bool) -> tuple[float, int]:
    """(seconds, planned units) of judging and planning, facts and graph being there."""
    pipeline = graph(processors)
    span = Span(FIRST, FIRST + timedelta(days=count - 1))
    calendars = {"daily": calendar_days(pipeline.calendars["daily"], span)}
    reach = dict.fromkeys(pipeline.processors, span)
    held = facts(processors, count, holes=holes, stale=stale)
    started = time.perf_counter()
    coverage = judge_coverage(pipeline, calendars, held, reach, span=span, today=span.last)
    plan = make_plan(pipeline, coverage, Request(target="local", span=span, today=span.last, through="one"))
    took = time.perf_counter() - started
    if processors * count <= 1_000_000 and holes == "compact":
        assert len(json.dumps(plan.to_json(), indent=1)) < 5_000_000, "a compact plan is a small file"
    return took, plan.units + plan.blocked_units


def apart(processors: int, count: int, holes: str, stale: bool) -> tuple[float, float]:
    """The same in a process of its own: (seconds, peak MB)."""
    text = f"import test_planning_size as t; print(*t.report({processors}, {count}, {holes!r}, {stale}))"
    came = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=__file__.rpartition("/")[0]
    )
    seconds, memory, _ = map(float, came.stdout.split())
    return seconds, memory


def report(processors: int, count: int, holes: str, stale: bool) -> tuple[float, float, int]:
    seconds, units = measure(processors, count, holes, stale)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, units


@pytest.mark.parametrize(("stale", "most"), [(False, 1.0), (True, 2.0)])
def test_a_million_units(stale: bool, most: float) -> None:
    seconds, memory = apart(100, 10_000, "compact", stale)
    print(f"\na million units, staleness {stale}: {seconds:.2f} s, {memory:.0f} MB")
    assert seconds <= most * 1.15, "about a second without staleness, two with it"
    assert memory < 300


def test_the_worst_fragmentation_costs_no_more_than_twice() -> None:
    compact, _ = apart(100, 10_000, "compact", stale=False)
    worst, _ = apart(100, 10_000, "alternating", stale=False)
    print(f"\ncompact {compact:.2f} s, alternating {worst:.2f} s")
    assert worst <= 2 * compact


def test_time_grows_no_worse_than_linearly() -> None:
    small, _ = apart(100, 2_000, "compact", stale=True)
    large, _ = apart(1000, 10_000, "compact", stale=True)
    print(f"\n200,000 units {small:.2f} s, 10,000,000 units {large:.2f} s: {large / small / 50:.2f} of linear")
    assert large <= small * 50 * 1.15
