"""What the runner of `Command` specs makes of real programs: of their exit codes, output, files and children."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import pytest
from stores import DuckDBStore

from backfill_core.adapters.call_folder import CallFolders
from backfill_core.adapters.command_runner import CommandRunner
from backfill_core.adapters.duckdb_runners import ParquetLoader
from backfill_core.dates import DateSet, day_number
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.command import Command
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.model.templates import Secret
from backfill_core.model.units import Batch, Unit
from backfill_core.ports import BatchResult, Call, Occasion
from backfill_core.queries.dialect import Names
from backfill_core.queries.question import TableQuestion

COLUMNS = {"day": "DATE", "player": "STRING", "points": "INT64"}
TABLE = Table("box.lines", date="day", key=("player",))
DONE = Outcome(claim=Claim.DONE)
#: Writes rows (day, player, points) as Parquet.
WRITE = """
import duckdb, os, sys
rows = ", ".join(f"(DATE '2024-10-{day}', '{player}', 7)" for day, _, player in (each.partition("=") for each in sys.argv[1:]))
query = f"SELECT * FROM (VALUES {rows}) AS t(day, player, points)"
duckdb.execute(f"COPY ({query}) TO '{os.environ['BACKFILL_OUT']}/rows.parquet' (FORMAT parquet)")
"""
#: Starts a child that no request ends, writes its number into a file, and then ends itself or does not.
CHILDREN = """
(trap '' TERM; exec sleep 600) & echo $! > "$1"; echo up
if [ "$2" = stay ]; then wait; fi
"""


@dataclass
class Bench:
    store: DuckDBStore
    runner: CommandRunner
    folder: Path

    def run(self, code: str, *words: str, **given: Any) -> BatchResult:
        return self.runner.run(self.call(code, *words, **given))

    def call(self, code: str, *words: str, days: tuple[int, ...] = (22,), together: int = 1, **spec: Any) -> Call:
        as_it_is = code.replace("{", "{{").replace("}", "}}")
        program = ["sh", "-c", as_it_is, "sh"] if code == CHILDREN else [sys.executable, "-c", as_it_is]
        command = Command([*program, *words], **({"timeout": 30.0} | spec))
        dates, names = DateSet.of(*(date(2024, 10, day) for day in days)), ("lines", "more")[:together]
        return Call(
            batch=Batch(number=3, processors=names, dates=dates),
            processor=Processor("lines", layer="raw", calendar="nba", writes=TABLE, run=command, complete_when=Rows()),
            spec=command,
            question=TableQuestion(processor="lines", table=TABLE, span=dates.span),
            tables={"lines": TABLE},
            occasion=Occasion(run="r12", run_key="r12 here", reasons=("missing",)),
        )

    @property
    def log(self) -> str:
        return (self.folder / "logs" / "r12" / "3.log").read_text(encoding="utf-8")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = DuckDBStore(tmp_path)
    runner = CommandRunner(tmp_path, CallFolders(tmp_path), ParquetLoader(store.warehouse), {**os.environ, "KEY": "s3cr3t"})
    yield Bench(store, runner, tmp_path)
    runner.close()
    store.warehouse.close()


def only(result: BatchResult) -> Outcome:
    (outcome,) = set(result.outcomes.values())
    return outcome


def test_it_is_told_what_it_is_called_for(bench: Bench) -> None:
    code = "import os, sys; print(*sys.argv[1:], os.environ['WHY'], os.getcwd(), sep='|')"
    words = ("{date_from}", "{date_to:%Y%m%d}", "{dates}", "{processor}", "{run}", "{attempt}", "{has_rows}", "{forced}", "{{x}}")
    result = bench.run(code, *words, environment={"WHY": "{reason}: a; $HOME"}, days=(22, 24))
    assert result == BatchResult(outcomes={Unit("lines", date(2024, 10, day)): DONE for day in (22, 24)})
    said = bench.log.splitlines()[-1]
    told = f"2024-10-22|20241024|2024-10-22,2024-10-24|lines|r12|1|false|false|{{x}}|missing: a; $HOME|{bench.folder}"
    assert said == told


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("0", DONE),
        ("75", Outcome(claim=Claim.FAILED, failure=Failure.TRANSIENT, why="exit 75: so it goes")),
        ("1", Outcome(claim=Claim.FAILED, failure=Failure.PERMANENT, why="exit 1: so it goes")),
        ("3", Outcome(claim=Claim.DECLINED, why="exit 3: so it goes")),
        ("4", Outcome(claim=Claim.FAILED, failure=Failure.UNKNOWN, why="exit 4: so it goes")),
        ("5", Outcome(claim=Claim.DONE, why="it was skipped there: exit 5: so it goes")),
        ("6", Outcome(claim=Claim.FAILED, failure=Failure.AUTH, why="exit 6: so it goes")),
    ],
)
def test_exit_codes_mean_what_the_spec_says(bench: Bench, end: str, outcome: Outcome) -> None:
    codes = {3: "declined", 4: "unknown", 5: "skipped", 6: "auth"}
    code = "import sys; print('first'); print('so it goes\\n', file=sys.stderr); sys.exit(int(sys.argv[1]))"
    assert only(bench.run(code, end, exit_codes=codes)) == outcome


def test_a_program_that_says_nothing_or_is_killed(bench: Bench) -> None:
    assert only(bench.run("raise SystemExit(2)")).why == "exit 2"
    killed = only(bench.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert (killed.failure, killed.why) == (Failure.TRANSIENT, "killed by SIGKILL")


def test_a_program_that_is_not_there_fails_and_raises_nothing(bench: Bench) -> None:
    call = bench.call("")
    spec = Command(["no-such-program", "x"])
    assert (
        only(bench.runner.run(replace(call, spec=spec))).why == 'no program "no-such-program". Install it, or name it by its path'
    )
    spec = Command([str(bench.folder)])
    assert only(bench.runner.run(replace(call, spec=spec))).why == f"it could not be run: Permission denied: {bench.folder}"


def test_a_log_that_cannot_be_kept_stops_before_the_call(bench: Bench) -> None:
    (bench.folder / "logs").write_text("in the way", encoding="utf-8")
    assert only(bench.run("open('ran', 'w')")).why.startswith("its log or files cannot be kept: ")
    assert not (bench.folder / "ran").exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"environment": {"A": "${UNSET}"}}, "nothing was run: environment variable UNSET is not set"),
        ({"days": (22, 23), "environment": {"A": "{date}"}}, "nothing was run: this call has no {date}"),
    ],
)
def test_what_cannot_be_filled_in_stops_before_the_call(bench: Bench, given: dict[str, Any], why: str) -> None:
    assert only(bench.run("open('ran', 'w')", **given)).why == why
    assert not (bench.folder / "ran").exists()


def test_files_that_it_leaves_replace_the_rows_of_its_dates_and_are_verified_inside(bench: Bench) -> None:
    day = date(2024, 10, 21)
    bench.store.put("box.lines", COLUMNS, [{"day": day, "player": "old"}, {"day": day.replace(day=22), "player": "ann"}])
    result = bench.run(WRITE, "21=new", "22=ann", "22=bob", "23=cy", days=(22, 23))
    assert set(result.outcomes.values()) == {DONE}
    assert result.facts["lines"].rows == {day_number(date(2024, 10, 22)): 2, day_number(date(2024, 10, 23)): 1}
    found = {(row["day"].day, row["player"], row["points"]) for row in bench.store.rows("box.lines")}
    assert found == {(21, "old", None), (22, "ann", 7), (22, "bob", 7), (23, "cy", 7)}
    assert not (bench.folder / "out").exists()


def test_the_shrink_guard_holds_for_files_too(bench: Bench) -> None:
    bench.store.put("box.lines", COLUMNS, [{"day": date(2024, 10, 22), "player": player} for player in ("ann", "bob")])
    assert only(bench.run(WRITE, "22=ann")).why == "shrank, 2 keys -> 1; nothing was changed"
    assert len(bench.store.rows("box.lines")) == 2


def test_files_of_a_program_that_failed_or_that_are_none_change_nothing(bench: Bench) -> None:
    failed = bench.run(WRITE + "sys.exit('after writing')", "22=ann")
    assert only(failed).why == "exit 1: after writing"
    broken = bench.run("import os; open(os.environ['BACKFILL_OUT'] + '/a.parquet', 'w').write('x')")
    assert only(broken).failure is Failure.PERMANENT
    assert "a.parquet" in only(broken).why
    assert bench.store.rows("box.lines") == []


def test_files_where_nobody_takes_them_in_are_a_failure(bench: Bench) -> None:
    assert only(bench.run(WRITE, "22=ann", together=2)).why.startswith("it left files in $BACKFILL_OUT for several processors")
    bench.runner.loader = None
    assert only(bench.run(WRITE, "22=ann")).why.startswith("it left files in $BACKFILL_OUT, which this warehouse does not")


def test_a_program_is_told_where_the_target_keeps_its_tables(bench: Bench) -> None:
    code = "import os, sys; sys.exit(f'{sys.argv[1]} {os.environ[\"INTO\"]}')"
    told = {"environment": {"INTO": "{dataset}"}}
    assert only(bench.run(code, "<{prefix}>", **told)).why == "exit 1: <> box"
    bench.runner.place = Names(datasets={"box": "crate"}, prefix="dev_")
    assert only(bench.run(code, "<{prefix}>", **told)).why == "exit 1: <dev_> dev_crate"


def test_variables_reach_a_program_where_its_spec_names_them(bench: Bench) -> None:
    bench.runner.variables = {"BUCKET": "gs://lake-of-nba", "OTHER": "0th3r"}
    code = 'import os, sys; sys.exit(f\'{sys.argv[1]} {os.environ["B"]} {os.environ.get("OTHER")}\')'
    assert only(bench.run(code, "--to=${BUCKET}", environment={"B": Secret("env:BUCKET")})).why == "exit 1: --to=*** *** None"
    assert "lake-of-nba" not in bench.log


def test_a_secret_reaches_the_program_and_shows_nowhere(bench: Bench) -> None:
    code = "import os, sys; print('key', os.environ['API_KEY']); sys.exit('wrong key ' + os.environ['API_KEY'])"
    assert only(bench.run(code, environment={"API_KEY": "${KEY}"})).why == "exit 1: wrong key ***"
    assert "key ***" in bench.log
    assert "s3cr3t" not in bench.log


def gone(pid: int) -> bool:
    """Whether a process is no more, or only waits to be reaped by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in ("Z", "X")
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool]) -> bool:
    end = monotonic() + 20
    while monotonic() < end:
        if condition():
            return True
        os.sched_yield()
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


@needs_proc
def test_when_its_time_is_up_it_is_killed_with_its_children(bench: Bench) -> None:
    mark = bench.folder / "pid"
    outcome = only(bench.run(CHILDREN, str(mark), "stay", timeout=1.0))
    assert outcome == Outcome(claim=Claim.FAILED, failure=Failure.TRANSIENT, why="killed after 1 s: up")
    assert until(lambda: gone(int(mark.read_text(encoding="utf-8"))))


@needs_proc
def test_what_it_leaves_running_is_killed_too(bench: Bench) -> None:
    mark = bench.folder / "pid"
    assert only(bench.run(CHILDREN, str(mark), "go")) == DONE
    assert until(lambda: gone(int(mark.read_text(encoding="utf-8"))))


@needs_proc
def test_a_stopped_run_kills_what_is_under_way_and_starts_nothing_more(bench: Bench) -> None:
    mark = bench.folder / "pid"
    came: list[Outcome] = []
    thread = Thread(target=lambda: came.append(only(bench.run(CHILDREN, str(mark), "stay"))))
    thread.start()
    assert until(lambda: mark.exists() and mark.read_text(encoding="utf-8") != "")
    bench.runner.close()
    thread.join(20)
    assert came == [Outcome(claim=Claim.FAILED, failure=Failure.TRANSIENT, why="killed, for the run was stopped")]
    assert until(lambda: gone(int(mark.read_text(encoding="utf-8"))))
    assert only(bench.run("open('ran', 'w')")).failure is Failure.TRANSIENT
    assert not (bench.folder / "ran").exists()
