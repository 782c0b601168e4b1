"""What every journal must do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backfill_core.adapters.sqlite_journal import SqliteJournal
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.dates import DateSet, Span
from backfill_core.errors import JournalError, LeaseLost, WarehouseHeld
from backfill_core.events import BatchEnded, BatchStarted, DrainAsked, Event, Heartbeat, RunEnded, RunStarted, UnitsEnded, Word
from backfill_core.plan import Plan, Request
from backfill_core.run_state import RunState

NOW = datetime(2025, 3, 5, 10, 21, tzinfo=UTC)
DATES = DateSet.from_json(["2025-03-05..2025-03-07"])
SPAN = Span(DATES.first, DATES.last)
PLAN = Plan(
    request=Request(target="local", span=SPAN, today=SPAN.last, through="l"),
    graph="g",
    stages=(),
    blocked=(),
    not_planned={},
    asked=3,
)
#: A process that has ended for sure: its number is above what the kernel gives.
DEAD = 2**22 + 1


def started(pid: int) -> RunStarted:
    return RunStarted(at=NOW, pid=pid, host=os.uname().nodename, command="c", target="local", plan=PLAN.to_json())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "state" / "journal.sqlite", SystemClock(), read_only=False)
    yield opened
    opened.close()


def test_events_come_back_as_they_were_and_fold_to_a_state(journal: SqliteJournal) -> None:
    run = journal.begin(started(os.getpid()), "w")
    happened: list[Event] = [
        BatchStarted(at=NOW, batch=1, processors=("p",), dates=DATES),
        BatchEnded(at=NOW, batch=1, seconds=1.5),
        UnitsEnded(at=NOW, processor="p", dates=DATES, word=Word.DONE, degraded=DATES, batch=1),
        DrainAsked(at=NOW, in_flight=2),
        Heartbeat(at=NOW),
    ]
    journal.append(run, happened)
    ended = RunEnded(at=NOW, exit_code=0, exit_reason="all done", queries={"asked": 3})
    journal.end(run, ended)
    events = [event for _, event in journal.events(run)]
    assert events == [started(os.getpid()), *happened, ended]
    assert [seq for seq, _ in journal.events(run, after=5)] == [6, 7]
    state = RunState.fold(run, events)
    assert state.dates(Word.DONE, "p") == DATES
    assert state.ended == ended
    assert journal.runs() == ["r1"]


def test_a_held_lease_refuses_and_a_returned_one_does_not(journal: SqliteJournal) -> None:
    run = journal.begin(started(os.getpid()), "w")
    with pytest.raises(WarehouseHeld, match=rf"run r1 \(pid {os.getpid()}"):
        journal.begin(started(os.getpid()), "w")
    assert journal.begin(started(os.getpid()), "another") == "r2"
    journal.end(run, RunEnded(at=NOW, exit_code=0, exit_reason="all done"))
    assert journal.begin(started(os.getpid()), "w") == "r3"


def test_the_lease_of_a_dead_process_lapses_and_is_lost_to_it(journal: SqliteJournal) -> None:
    dead = journal.begin(started(DEAD), "w")
    assert journal.lease("w") is None
    journal.begin(started(os.getpid()), "w")
    with pytest.raises(LeaseLost):
        journal.append(dead, [Heartbeat(at=NOW)])


def test_reading_makes_no_file(tmp_path: Path) -> None:
    reading = SqliteJournal(tmp_path / "journal.sqlite", SystemClock(), read_only=True)
    assert reading.runs() == []
    reading.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [True, False])
def test_a_foreign_or_corrupt_or_newer_file_is_refused(tmp_path: Path, read_only: bool) -> None:
    foreign, corrupt, newer = (tmp_path / name for name in ("foreign", "corrupt", "newer"))
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    corrupt.write_bytes(b"no database at all" * 100)
    SqliteJournal(newer, SystemClock(), read_only=False).close()
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for path, told in ((foreign, "no journal of backfill"), (corrupt, "not a database"), (newer, "its version is 99")):
        with pytest.raises(JournalError, match=told):
            SqliteJournal(path, SystemClock(), read_only=read_only)
