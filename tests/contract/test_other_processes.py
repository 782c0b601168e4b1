"""Functions in processes of their own, and the frames that functions return."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import sleep
from typing import Any

import duckdb
import pytest
from stores import DuckDBStore

from backfill_core.adapters.duckdb_runners import PythonRunner
from backfill_core.adapters.worker_processes import WorkerProcesses
from backfill_core.dates import DateSet, day_number
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Python
from backfill_core.model.table import Files, Table
from backfill_core.model.units import Batch
from backfill_core.ports import BatchResult, Call
from backfill_core.queries.question import TableQuestion

TABLE = Table("box.lines", date="day", key=("player",))
DONE = Outcome(claim=Claim.DONE)


def crunches(dates: list[date], ctx: Any) -> Iterator[dict[str, Any]]:
    return ({"day": day, "player": f"p{os.getpid()}", "path": ctx.files["feed"].get(day)} for day in dates)


def asks(_dates: list[date], ctx: Any) -> Any:
    return ctx.cursor.execute("SELECT 1")


def raises(_dates: list[date], _ctx: Any) -> Any:
    class OwnError(Exception):
        """Cannot be found by anybody else."""

    raise OwnError("too cold\nto work")


def leaves(_dates: list[date], _ctx: Any) -> Any:
    raise SystemExit("I am off")


def dies(_dates: list[date], _ctx: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def stays(_dates: list[date], _ctx: Any) -> Any:
    sleep(600)


def nothing(_dates: list[date], _ctx: Any) -> Any:
    return None


def empty(_dates: list[date], _ctx: Any) -> Any:
    return []


@dataclass
class Bench:
    store: DuckDBStore
    runner: PythonRunner

    def run(
        self, function: Callable[[Any, Any], Any], *days: int, process: bool = True, timeout: float | None = 60.0
    ) -> BatchResult:
        dates = DateSet.of(*(date(2024, 10, day) for day in days or (22,)))
        spec = Python(function, process=process, timeout=timeout)
        call = Call(
            batch=Batch(number=1, processors=("lines",), dates=dates),
            processor=Processor("lines", layer="raw", calendar="nba", writes=TABLE, run=spec, complete_when=Rows()),
            spec=spec,
            question=TableQuestion(processor="lines", table=TABLE, span=dates.span),
            tables={"lines": TABLE},
            sources={"feed": Files("{date}.json")},
        )
        return self.runner.run(call)


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerProcesses]:
    workers = WorkerProcesses((os.getcwd, ()))
    yield workers
    workers.close()


@pytest.fixture
def bench(tmp_path: Path, workers: WorkerProcesses) -> Iterator[Bench]:
    store = DuckDBStore(tmp_path)
    (tmp_path / "2024-10-22.json").touch()
    yield Bench(store, PythonRunner(store.warehouse, tmp_path, workers))
    store.warehouse.close()


def only(result: BatchResult) -> Outcome:
    (outcome,) = set(result.outcomes.values())
    return outcome


def test_rows_come_back_from_another_process_and_replace_those_of_its_dates(bench: Bench, tmp_path: Path) -> None:
    result = bench.run(crunches, 22, 23)
    assert only(result) == DONE
    assert result.facts["lines"].rows == {day_number(date(2024, 10, 22)): 1, day_number(date(2024, 10, 23)): 1}
    first = bench.store.rows("box.lines")
    assert {row["path"] for row in first} == {str(tmp_path / "2024-10-22.json"), None}
    assert only(bench.run(crunches, 24)) == DONE
    pids = {row["player"] for row in bench.store.rows("box.lines")}
    assert len(pids) == 1, "a process that is done takes the next call"
    assert f"p{os.getpid()}" not in pids


@pytest.mark.parametrize(
    ("function", "failure", "why"),
    [
        (asks, Failure.PERMANENT, "a function with process=True has no cursor"),
        (raises, Failure.PERMANENT, "too cold"),
        (leaves, Failure.PERMANENT, "I am off"),
        (nothing, Failure.PERMANENT, "it returned nothing, and in a process of its own it cannot have written"),
        (dies, Failure.TRANSIENT, "its process ended in the middle: killed, or"),
    ],
)
def test_what_goes_wrong_there_is_an_outcome(bench: Bench, function: Any, failure: Failure, why: str) -> None:
    outcome = only(bench.run(function, 22, 23))
    assert (outcome.claim, outcome.failure) == (Claim.FAILED, failure)
    assert outcome.why.startswith(why)
    assert only(bench.run(empty)) == DONE, "the next call has a process that works"


def test_when_its_time_is_up_its_process_is_killed(bench: Bench) -> None:
    assert only(bench.run(empty)) == DONE  # starting a process is not in the time
    outcome = only(bench.run(stays, timeout=0.1))
    assert outcome == Outcome(claim=Claim.FAILED, failure=Failure.TRANSIENT, why="killed after 0.1 s")


def test_a_stopped_run_ends_its_processes(bench: Bench) -> None:
    bench.runner.workers = WorkerProcesses((os.getcwd, ()))
    assert only(bench.run(empty)) == DONE
    bench.runner.close()
    assert only(bench.run(empty)) == Outcome(claim=Claim.FAILED, failure=Failure.TRANSIENT, why="the run was stopped")


class Columns:
    """A frame of nobody's library: it gives its columns by Arrow's C interface, as pandas, polars and pyarrow do."""

    def __init__(self, query: str) -> None:
        self.connection = duckdb.connect()
        self.rows = self.connection.sql(query)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.rows.__arrow_c_stream__(requested_schema)


QUERY = "SELECT DATE '2024-10-22' AS day, 'ann' AS player, 3 AS points UNION ALL SELECT DATE '2024-10-23', 'bob', 4"


def test_a_frame_is_rows(bench: Bench) -> None:
    frame = Columns(QUERY)
    assert only(bench.run(lambda _dates, _ctx: frame, 22, process=False)) == DONE
    frame.connection.close()
    assert bench.store.rows("box.lines") == [{"day": date(2024, 10, 22), "player": "ann", "points": 3}]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_of_libraries_that_are_installed(bench: Bench, library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is no dependency, and is not installed here")
    columns = {"day": [date(2024, 10, 22)], "player": ["ann"], "points": [3]}
    frame = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    assert only(bench.run(lambda _dates, _ctx: frame, 22, process=False)) == DONE
    assert [(row["player"], row["points"]) for row in bench.store.rows("box.lines")] == [("ann", 3)]
