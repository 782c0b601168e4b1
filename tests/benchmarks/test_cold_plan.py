"""Whole commands, from a cold start, beside the least that could do: ratios of medians in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import demo
from projects import copy_of_reference
from projects_of_size import fill_with_holes, write_project

PROCESSORS = 8
ROUNDS = 9
#: Asks the same questions as the plan does, and nothing else.
BARE = """
import duckdb
connection = duckdb.connect("w.duckdb", read_only=True)
connection.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'b'").fetchall()
for place in range(8):
    connection.execute(
        f"SELECT day, COUNT(*), COUNT(DISTINCT n) FROM b.p{place} WHERE day BETWEEN $first AND $last GROUP BY 1",
        {"first": "2014-01-01", "last": "2023-12-31"},
    ).fetchall()
"""
MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def run(folder: Path, *words: str) -> tuple[float, float]:
    """(seconds, peak memory in MB) of one process."""
    came = subprocess.run([sys.executable, "-c", MEASURE, *words], cwd=folder, capture_output=True, text=True, check=True)
    seconds, memory = map(float, came.stdout.split())
    return seconds, memory


def side_by_side(folder: Path, first: list[str], second: list[str]) -> tuple[float, float, float]:
    """(median seconds of the first, of the second, peak MB of the first), taken in turns."""
    ours, theirs, peak = [], [], 0.0
    for _ in range(ROUNDS):
        seconds, memory = run(folder, *first)
        ours.append(seconds)
        peak = max(peak, memory)
        theirs.append(run(folder, *second)[0])
        time.sleep(0.05)
    return statistics.median(ours), statistics.median(theirs), peak


def tell(name: str, **figures: float) -> None:
    print(f"\n{name}: " + json.dumps({key: round(value, 3) for key, value in figures.items()}))


def test_a_cold_plan_of_ten_years_beside_a_bare_script(tmp_path: Path) -> None:
    write_project(tmp_path, processors=PROCESSORS, max_dates=31)
    fill_with_holes(tmp_path, PROCESSORS)
    (tmp_path / "bare.py").write_text(BARE, encoding="utf-8")
    plan = [sys.executable, "-m", "backfill_core", "plan", "--to", "2023-12-31"]
    ours, bare, peak = side_by_side(tmp_path, plan, [sys.executable, "bare.py"])
    tell("plan of 29,216 units / bare script", plan=ours, bare=bare, ratio=ours / bare, peak_mb=peak)
    assert ours / bare <= 4
    assert peak < 150


def test_help_beside_click(tmp_path: Path) -> None:
    ours, click, _ = side_by_side(
        tmp_path, [sys.executable, "-m", "backfill_core", "--help"], [sys.executable, "-c", "import click"]
    )
    tell("help / import click", help=ours, click=click, ratio=ours / click)
    assert ours / click <= 4


def test_a_cold_plan_of_the_sample_beside_duckdb(tmp_path: Path) -> None:
    """The sample as it is first made: nothing has run on it, 1,527 units are to do."""
    root = copy_of_reference(tmp_path, "2024-10-01")
    demo.make_sample(root, 7)
    ours, duckdb, peak = side_by_side(
        root, [sys.executable, "-m", "backfill_core", "plan"], [sys.executable, "-c", "import duckdb"]
    )
    tell("plan of the sample / import duckdb", plan=ours, duckdb=duckdb, ratio=ours / duckdb, peak_mb=peak)
    assert ours / duckdb <= 6
