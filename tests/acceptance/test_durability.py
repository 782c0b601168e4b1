"""Journals that fail, and runs that are killed: nothing is done that cannot be recorded, and nothing is lost."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from backfill_core.events import BatchStarted, Event
from backfill_core.project.past_runs import read_events, read_run, read_runs
from backfill_core.project.session import open_place
from projects import backfill
from slow_shop import BEGUN, SPAN, ask, asked, begin, begin_slow, end_all, execute, finish, make_slow_shop, wait_for

#: How often a run is killed: a few times here, many in `make soak`.
KILLS = int(os.environ.get("SOAK_KILLS", "10"))
HUMBLE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = make_slow_shop(tmp_path / "shop")
    monkeypatch.chdir(made)
    yield made
    end_all()


def tables(project: Path) -> dict[str, list[Any]]:
    """What the tables hold, without when it was written."""
    with duckdb.connect(str(project / "w.duckdb"), read_only=True) as connection:
        there = {
            f"{schema}.{name}"
            for schema, name in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        }
        return {
            name: connection.execute(f"SELECT day, shop, amount FROM {name} ORDER BY ALL").fetchall() if name in there else []
            for name in ("shop.orders", "shop.sums")
        }


def execute_with_files_up_to(project: Path, most: int) -> subprocess.CompletedProcess[str]:
    """An execute on a disk with room for files of so many bytes each."""
    return subprocess.run(
        [sys.executable, "-m", "backfill_core", "execute", *SPAN, "--yes"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


def test_a_disk_that_fills_up_stops_the_run_and_says_so(project: Path) -> None:
    came = execute_with_files_up_to(project, 100_000)
    assert came.returncode == 2, came.stdout + came.stderr
    assert came.stdout.count("\nrun r1  20 units") == 1
    assert came.stderr.startswith("error: the journal ")
    assert "cannot be written: " in came.stderr
    assert "Nothing more was started" in came.stderr
    assert len(came.stderr.splitlines()) == 1, "the first failure, and no traceback"
    state, alive = read_run(open_place(project, None), "r1")
    called = {str(day) for batch in state.paces for day in state.dates("done", batch)}  # type: ignore[arg-type]
    held = {str(day) for day, *_ in tables(project)["shop.orders"]}
    assert (alive, called <= held) == (False, True)
    again = backfill(project, "resume", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert asked(project, "plan", *SPAN)["totals"]["units"] == 0


def test_a_disk_without_room_for_a_journal_runs_nothing(project: Path) -> None:
    came = execute_with_files_up_to(project, 20_000)
    assert came.returncode == 2, came.stdout + came.stderr
    assert "cannot be written: " in came.stderr and "Nothing was run" in came.stderr
    assert tables(project) == {"shop.orders": [], "shop.sums": []}
    assert "no run yet" in ask(project, "status").stderr
    assert execute(project).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_journal_that_cannot_be_written_is_told_before_anything_runs(project: Path) -> None:
    execute(project, "--dates", "2024-05-01")
    journal = project / ".backfill" / "journal.sqlite"
    journal.chmod(0o444)
    journal.parent.chmod(0o555)
    try:
        command = [*HUMBLE, sys.executable, "-m", "backfill_core", "execute", *SPAN, "--yes"]
        came = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    finally:
        journal.parent.chmod(0o755)
        journal.chmod(0o644)
    assert came.returncode == 2, came.stdout + came.stderr
    assert "journal.sqlite cannot be written" in came.stderr and "Nothing was run" in came.stderr
    assert len(tables(project)["shop.orders"]) == 3


@pytest.mark.parametrize("kind", ["foreign", "corrupt"])
def test_a_file_that_is_no_journal_is_told_by_every_command(project: Path, kind: str) -> None:
    journal = project / ".backfill" / "journal.sqlite"
    journal.parent.mkdir()
    if kind == "foreign":
        with sqlite3.connect(journal) as db:
            db.execute("CREATE TABLE t (x)")
        db.close()
    else:
        journal.write_bytes(b"no journal at all" * 500)
    before = journal.read_bytes()
    for words in (("execute", *SPAN, "--yes"), ("status",), ("pause",)):
        came = ask(project, *words)
        assert (came.returncode, "Traceback" in came.stderr) == (2, False), came.stderr
        assert "journal.sqlite cannot be used: " in came.stderr
    assert not (project / "w.duckdb").exists()
    # History alone is lost: whoever only looks is warned where it would have told something, and sees the rest.
    planned, explained = ask(project, "plan", *SPAN), ask(project, "explain", "orders", "2024-05-01", *SPAN)
    for came, shown in ((planned, "10 missing"), (explained, "tried    not known: the journal cannot be read")):
        assert (came.returncode, shown in came.stdout) == (0, True), came.stdout + came.stderr
        assert "warning: the journal " in came.stderr and "no state is lost" in came.stderr
    assert ask(project, "coverage", *SPAN).returncode == 0
    doctor = ask(project, "doctor", "--from", "2024-05-01")
    assert (doctor.returncode, "error: the journal " in doctor.stdout) == (2, True), doctor.stdout
    assert journal.read_bytes() == before


def test_a_file_where_the_folder_of_runs_belongs(project: Path) -> None:
    (project / ".backfill").write_text("", encoding="utf-8")
    for words in (("execute", *SPAN, "--yes"), ("runs",), ("pause",)):
        came = ask(project, *words)
        assert (came.returncode, ".backfill is a file, and runs are remembered in a folder" in came.stderr) == (2, True), (
            came.stderr
        )
    assert not (project / "w.duckdb").exists()
    planned = ask(project, "plan", *SPAN)
    assert (planned.returncode, "warning: " in planned.stderr) == (0, True), planned.stderr


def test_a_run_that_lost_its_lease_stops(project: Path) -> None:
    running = begin_slow(project, "--concurrency", "1")
    with sqlite3.connect(project / ".backfill" / "journal.sqlite", timeout=30) as db:
        db.execute("UPDATE leases SET run = 99")
    db.close()
    (project / "slow").unlink()
    said = finish(running)
    assert running.returncode == 2, said
    assert "run r1 no longer holds its lease" in said
    assert len(tables(project)["shop.orders"]) == 3, "what was in flight came home, and nothing else left"


def test_sigterm_before_the_run_begins_leaves_and_runs_nothing(project: Path) -> None:
    holder = begin_slow(project)
    waiting = begin(project, "execute", *SPAN, "--yes", "--wait")
    assert waiting.stdout is not None
    assert waiting.stdout.readline().startswith("waiting for run r1")
    waiting.send_signal(signal.SIGTERM)
    said = finish(waiting)
    assert (waiting.returncode, "nothing was run" in said, "Traceback" in said) == (130, True, False), said
    holder.send_signal(signal.SIGHUP)
    holder.send_signal(signal.SIGTERM)
    wait_for(project, "DRAINING")
    (project / "slow").unlink()
    assert "interrupted with" in finish(holder)
    assert holder.returncode == 130
    assert len(read_runs(open_place(project, None), 9)) == 1


def test_a_signal_while_paused_ends_the_run(project: Path) -> None:
    running = begin_slow(project)
    ask(project, "pause")
    (project / "slow").unlink()
    wait_for(project, r"in flight 0 ")
    running.send_signal(signal.SIGINT)
    said = finish(running)
    assert running.returncode == 130, said
    assert said.endswith("next: backfill resume r1\n")


def test_what_a_killed_run_had_in_flight_is_not_called_again_while_its_service_may_hold_a_lock(project: Path) -> None:
    plugins = project / "plugins" / "all.py"
    locked = 'Python(load, max_dates=1, service=Service("desk", in_flight=2, lock=600))'
    text = plugins.read_text(encoding="utf-8").replace("Python(load, max_dates=1)", locked)
    plugins.write_text(text.replace("Rows, Sql", "Rows, Service, Sql"), encoding="utf-8")
    running = begin_slow(project)
    running.kill()
    finish(running)
    (project / "slow").unlink()
    resumed = ask(project, "resume", "--yes", "--max-duration", "1s")
    assert resumed.returncode == 5, resumed.stdout + resumed.stderr
    told = " ".join(resumed.stdout.split())
    assert re.search(r"waits: orders 2024-05-\d\d[^:]*: a call of an earlier run may still be at work", told), told
    calls = [{on for event in read_events(open_place(project, None), run)[1] for on in called(event)} for run in ("r1", "r2")]
    assert calls[0] and not calls[0] & calls[1]


def called(event: Event) -> Iterator[tuple[str, date]]:
    """The units that left, where the event tells of a call."""
    if isinstance(event, BatchStarted):
        yield from ((name, on) for name in event.processors for on in event.dates)


def test_killed_at_any_moment_and_resumed_the_tables_are_those_of_an_undisturbed_run(project: Path) -> None:
    assert execute(project).returncode == 0
    undisturbed = tables(project)
    seed = random.SystemRandom().randrange(10**9)
    chance = random.Random(seed)
    place = open_place(project, None)
    for turn in range(KILLS):
        lost = sorted(chance.sample(range(1, 11), k=chance.randint(4, 10)))
        days = ", ".join(f"'2024-05-{day:02}'" for day in lost)
        with duckdb.connect(str(project / "w.duckdb")) as connection:
            connection.execute(f"DELETE FROM shop.orders WHERE day IN ({days})")
            connection.execute(f"DELETE FROM shop.sums WHERE day IN ({days})")
        running = begin(project, "execute", *SPAN, "--yes")
        assert running.stdout is not None
        for _ in range(chance.randint(6, 24)):
            running.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            running.wait(chance.uniform(0, 0.03))
        running.kill()
        running.communicate()
        BEGUN.clear()
        state, _ = read_runs(place, 1)[0]
        again = backfill(project, "resume", "--yes") if state.ended is None else execute(project)
        told = f"seed {seed}, turn {turn}, {state.name}: {again.stdout}{again.stderr}"
        assert again.returncode == 0, told
        assert tables(project) == undisturbed, told
