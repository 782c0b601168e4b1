"""Executing beside the least that could do: a durable row a unit, and the time that the calls take by themselves."""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from backfill_core.adapters.run_log import RunLog
from backfill_core.dates import DateSet
from backfill_core.events import Event, UnitsEnded
from backfill_core.model.units import Unit
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.simulate import drawn, simulate
from backfill_core.scheduling.terms import Terms
from backfill_core.scheduling.work import Wait, Work
from plain_rows import FIRST, Bench, row_of

ROUNDS = 5
DATES, PLACES = 235, 16


def tell(name: str, **figures: float) -> None:
    print(f"\n{name}: " + json.dumps({key: round(value, 3) for key, value in figures.items()}))


def plain_loop(path: Path, units: int) -> float:
    """Seconds for a durable row a unit, one after the other, in the same kind of file."""
    rows: dict[int, int] = {}
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE units (number INTEGER PRIMARY KEY, word TEXT)")
        started = time.perf_counter()
        for number in range(units):
            rows[number] = 1
            db.execute("INSERT INTO units VALUES (?, 'done')", (number,))
        return time.perf_counter() - started


def overhead(folder: Path, units: int) -> tuple[float, float]:
    """(milliseconds a unit of a run, of the loop): medians of rounds in turns."""
    bench, ours, plain = Bench(row_of(8), units // 8), [], []
    for place in range(ROUNDS):
        started = time.perf_counter()
        plan, state = bench.run(folder / f"{units}-{place}.sqlite", 4)
        ours.append((time.perf_counter() - started) * 1000 / units)
        assert (plan.units, state.exit()[0]) == (units, 0)
        plain.append(plain_loop(folder / f"{units}-{place}.plain", units) * 1000 / units)
    return statistics.median(ours), statistics.median(plain)


def test_a_run_beside_a_loop_that_writes_a_durable_row_a_unit(tmp_path: Path) -> None:
    small, plain = overhead(tmp_path, 2_000)
    large, _ = overhead(tmp_path, 8_000)
    tell("ms a unit: run / plain loop", run=small, plain=plain, ratio=small / plain, run_of_8000=large)
    assert small <= 3 * plain
    assert large <= 1.1 * small


@pytest.mark.parametrize(("window", "scale", "most"), [(False, 1.0, 1.05), (True, 1.0, 1.05), (False, 10.0, 1.03)])
def test_calls_fill_the_places_they_have(tmp_path: Path, window: bool, scale: float, most: float) -> None:
    """235 dates of 6 processors that sleep 20 to 60 ms (or ten times that), 16 in flight."""
    chance = random.Random(11)
    days = [FIRST + timedelta(days=place) for place in range(DATES)]
    seconds = {Unit(f"p{place}", day): chance.uniform(0.02, 0.06) * scale for place in range(6) for day in days}
    bench = Bench(row_of(6, window_on_last=window), DATES, seconds)
    least = max(sum(seconds.values()) / PLACES, longest_chain(seconds, window=window))
    started = time.perf_counter()
    _, state = bench.run(tmp_path / "j.sqlite", PLACES)
    whole = time.perf_counter() - started
    assert state.exit()[0] == 0 and state.started and state.last_done
    bodies = (state.last_done - state.started.at).total_seconds()
    tell(f"makespan / least, window {window}", least=least, bodies=bodies / least, whole=whole / least)
    assert bodies <= most * least
    assert whole <= (1.2 if scale == 1.0 else 1.04) * least


def longest_chain(seconds: dict[Unit, float], *, window: bool) -> float:
    """Seconds of the longest row of units of which each waits for the one before it."""
    ended: dict[Unit, float] = {}
    for name, before in [("p0", ""), *((f"p{place}", f"p{place - 1}") for place in range(1, 6))]:
        for place in range(DATES):
            day = FIRST + timedelta(days=place)
            reach = range(max(0, place - 10), place) if window and name == "p5" else range(place, place + 1)
            up = [ended[Unit(before, FIRST + timedelta(days=seen))] for seen in reach] if before else []
            ended[Unit(name, day)] = seconds[Unit(name, day)] + max(up, default=0.0)
    return max(ended.values())


GROWTH = "import test_execution_size as t; print(*t.growth({units}, inside={inside}))"


class Weigher:
    """A listener that looks how much memory the process holds, at each hundredth of so many units."""

    def __init__(self, units: int) -> None:
        self.apart = units // 100
        self.ended = 0
        #: MB, from the first hundredth on.
        self.seen: list[float] = []

    def heard(self, run: str, events: Iterable[Event]) -> None:  # noqa: ARG002
        self.ended += sum(len(event.dates) for event in events if isinstance(event, UnitsEnded))
        if self.ended >= self.apart * (len(self.seen) + 1):
            pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
            self.seen.append(pages * resource.getpagesize() / 1e6)


def growth(units: int, *, inside: bool) -> tuple[float, float]:
    """(MB held after a tenth of a run of so many units, most MB beyond that until its end), with its log and its journal."""
    weigher = Weigher(units)
    with TemporaryDirectory() as folder, RunLog(Path(folder), "text") as log:
        bench = Bench(row_of(8), units // 8, inside=inside, listeners=(log, weigher))
        _, state = bench.run(Path(folder) / "j.sqlite", 4)
    assert (state.exit()[0], state.units) == (0, units)
    tenth = weigher.seen[len(weigher.seen) // 10]
    return tenth, max(weigher.seen) - tenth


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks at memory in /proc")
@pytest.mark.parametrize("inside", [True, False])
def test_a_long_run_holds_no_more_than_what_its_tables_hold(inside: bool) -> None:
    """What is known of a unit's rows are a few numbers; nothing of its call, its claim or its word stays."""
    tenth, more = apart(GROWTH.format(units=100_000, inside=inside))
    tell(f"a run of 100,000 units, verified inside {inside}", mb_after_a_tenth=tenth, mb_more=more)
    assert more <= 30, "a third of a KB for each of the 90,000 other units"


SIMULATE = "import test_execution_size as t; print(*t.simulated({processors}, {dates}))"


def simulated(processors: int, dates: int) -> tuple[float, float]:
    """(CPU seconds, peak MB) of a simulated run, each processor with a window of ten days on the one before it."""
    numbers = list(range(40_000, 40_000 + dates))
    names = [f"p{place}" for place in range(processors)]
    bounds = [(day - 10, day - 1) for day in numbers]
    waits = {name: (Wait.of(before, bounds),) for before, name in pairwise(names)}
    held = DateSet.from_numbers(numbers)
    works = [Work(name=name, layer="one", dates=held, waits=waits.get(name, ())) for name in names]
    started = time.process_time()
    scheduler = Scheduler(works, {"one": frozenset()}, Terms(concurrency=16))
    ran = simulate(scheduler, drawn(dict.fromkeys(names, (1.0, 2.0, 4.0)), 1))
    assert ran.units == processors * dates
    return time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(text: str) -> tuple[float, float]:
    """Two figures from a process of their own."""
    came = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=__file__.rpartition("/")[0]
    )
    one, other = map(float, came.stdout.split())
    return one, other


def test_a_million_simulated_units() -> None:
    small, _ = apart(SIMULATE.format(processors=100, dates=1_000))
    seconds, memory = apart(SIMULATE.format(processors=100, dates=10_000))
    tell("a million simulated units", seconds=seconds, mb=memory, against_100000=seconds / small / 10)
    assert memory < 1000
    assert seconds <= 10 * small * 1.25, "the cost a unit is constant"
    assert seconds <= 90
