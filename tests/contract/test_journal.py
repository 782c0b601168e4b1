"""What every journal must do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from backfill_core.adapters.sqlite_journal import SqliteJournal
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.dates import DateSet, Span
from backfill_core.errors import JournalError, LeaseLost, WarehouseHeld
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    DrainAsked,
    Event,
    Heartbeat,
    RunEnded,
    RunStarted,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.model.units import Unit
from backfill_core.plan import Plan, Request
from backfill_core.ports import Journal, Lease
from backfill_core.run_state import RunState
from backfill_core.testing import MemoryJournal

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
HERE = os.uname().nodename
ENDED = RunEnded(at=NOW, exit_code=0, exit_reason="all done")


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def started(pid: int, host: str = HERE) -> RunStarted:
    return RunStarted(at=NOW, pid=pid, host=host, command="c", target="local", plan=PLAN.to_json())


def sqlite_journal(folder: Path, clock: SetClock) -> Journal:
    return SqliteJournal(folder / "state" / "journal.sqlite", clock, read_only=False)


def memory_journal(_folder: Path, clock: SetClock) -> Journal:
    return MemoryJournal(clock, host=HERE, ended=(DEAD,))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=[sqlite_journal, memory_journal])
def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Iterator[Journal]:
    make: Callable[[Path, SetClock], Journal] = request.param
    opened = make(tmp_path, clock)
    yield opened
    opened.close()


def test_events_come_back_as_they_were_and_fold_to_a_state(journal: Journal) -> None:
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


def test_what_runs_say_of_a_unit_is_found_newest_run_first(journal: Journal) -> None:
    unit, other = Unit("p", DATES.first), Unit("p", date(2025, 4, 1))
    call = BatchStarted(at=NOW, batch=1, processors=("p",), dates=DATES)
    elsewhere = BatchStarted(at=NOW, batch=2, processors=("pp",), dates=DATES)
    unverified = UnitsUnverified(at=NOW, processor="p", dates=DATES, why="wrote nothing")
    failed = UnitsEnded(at=NOW, processor="p", dates=DateSet.of(unit.day), word=Word.FAILED, why="no", batch=1)
    ends = [BatchEnded(at=NOW, batch=number, seconds=number / 2) for number in (1, 2)]
    first = journal.begin(started(os.getpid()), "w")
    journal.append(first, [call, elsewhere, *ends, unverified, failed])
    journal.end(first, ENDED)
    silent = journal.begin(started(os.getpid()), "w")
    journal.append(silent, [elsewhere, ends[1], UnitsEnded(at=NOW, processor="pp", dates=DATES, word=Word.DONE, batch=2)])
    journal.end(silent, ENDED)
    last = journal.begin(started(os.getpid()), "w")
    journal.append(last, [failed])
    told = list(journal.unit_events("local", unit))
    assert told == [(last, [failed]), (first, [call, ends[0], unverified, failed])]
    assert list(journal.unit_events("local", other)) == list(journal.unit_events("gcp", unit)) == []


def test_a_held_lease_refuses_and_a_returned_one_does_not(journal: Journal) -> None:
    run = journal.begin(started(os.getpid()), "w")
    with pytest.raises(WarehouseHeld, match=rf"run r1 \(pid {os.getpid()}"):
        journal.begin(started(os.getpid()), "w")
    assert journal.begin(started(os.getpid()), "another") == "r2"
    journal.end(run, ENDED)
    assert journal.begin(started(os.getpid()), "w") == "r3"


def test_the_lease_of_a_dead_process_lapses_and_is_lost_to_it(journal: Journal) -> None:
    dead = journal.begin(started(DEAD), "w")
    assert journal.lease("w") is None
    journal.begin(started(os.getpid()), "w")
    with pytest.raises(LeaseLost):
        journal.append(dead, [Heartbeat(at=NOW)])
    assert [event for _, event in journal.events(dead)] == [started(DEAD)]


def test_a_run_that_lost_its_lease_does_not_give_back_that_of_the_next(journal: Journal) -> None:
    dead = journal.begin(started(DEAD), "w")
    run = journal.begin(started(os.getpid()), "w")
    journal.end(dead, ENDED)
    assert journal.events(dead)[-1] == (2, ENDED)
    held = journal.lease("w")
    assert held is not None
    assert held.run == run


def test_a_lease_says_who_since_when_and_when_last_heard_of(journal: Journal, clock: SetClock) -> None:
    assert journal.lease("w") is None
    run = journal.begin(started(os.getpid()), "w")
    clock.move(40)
    held = Lease(resource="w", run=run, pid=os.getpid(), host=HERE, since=NOW, heartbeat=NOW)
    assert journal.lease("w") == held
    journal.append(run, [])
    assert journal.lease("w") == Lease(resource="w", run=run, pid=os.getpid(), host=HERE, since=NOW, heartbeat=clock.now())
    clock.move(3)
    with pytest.raises(WarehouseHeld, match=r"since 10:21 UTC, alive 3 s ago\).*backfill status r1"):
        journal.begin(started(os.getpid()), "w")
    assert journal.runs() == [run]
    journal.end(run, ENDED)
    assert journal.lease("w") is None


def test_the_lease_of_another_host_lapses_after_a_minute_of_silence(journal: Journal, clock: SetClock) -> None:
    away = journal.begin(started(DEAD, "elsewhere"), "w")
    clock.move(59)
    journal.append(away, [Heartbeat(at=clock.now())])
    clock.move(59)
    with pytest.raises(WarehouseHeld):
        journal.begin(started(os.getpid()), "w")
    clock.move(1)
    assert journal.lease("w") is None
    journal.append(away, [Heartbeat(at=clock.now())])  # nobody took it meanwhile
    assert journal.lease("w") is not None
    clock.move(60)
    here = journal.begin(started(os.getpid()), "w")
    clock.move(3600)
    with pytest.raises(LeaseLost):
        journal.append(away, [Heartbeat(at=clock.now())])
    held = journal.lease("w")
    assert held is not None, "a process of this host that runs keeps its lease, however silent"
    assert held.run == here


def test_a_run_that_has_ended_or_never_began_records_nothing(journal: Journal) -> None:
    run = journal.begin(started(os.getpid()), "w")
    journal.end(run, ENDED)
    for name in (run, "r9", "nonsense"):
        with pytest.raises(LeaseLost, match=f"run {name} no longer holds"):
            journal.append(name, [Heartbeat(at=NOW)])
    assert [event for _, event in journal.events(run)] == [started(os.getpid()), ENDED]
    assert journal.events("r9") == journal.events("nonsense") == []
    assert journal.runs() == [run]


def test_runs_are_numbered_apart(journal: Journal) -> None:
    runs = [journal.begin(started(os.getpid()), resource) for resource in ("a", "b")]
    for batch in (1, 2):
        for run in runs:
            journal.append(run, [BatchEnded(at=NOW, batch=batch, seconds=1.0)])
    assert [journal.events(run, after=1) for run in runs] == [
        [(number, BatchEnded(at=NOW, batch=number - 1, seconds=1.0)) for number in (2, 3)] for _ in runs
    ]
    assert journal.runs() == ["r1", "r2"]


def test_durations_are_seconds_a_unit_of_what_was_verified_on_a_target(journal: Journal) -> None:
    assert journal.durations("local") == {}
    run = journal.begin(started(os.getpid()), "w")
    first, second, third = (DateSet.of(day) for day in DATES)
    journal.append(
        run,
        [
            BatchStarted(at=NOW, batch=1, processors=("p",), dates=first | second),
            BatchStarted(at=NOW, batch=2, processors=("p",), dates=third),
            BatchStarted(at=NOW, batch=3, processors=("q",), dates=first | second),
            BatchEnded(at=NOW, batch=1, seconds=3.0),
            UnitsEnded(at=NOW, processor="p", dates=first, word=Word.DONE, batch=1),
            UnitsEnded(at=NOW, processor="p", dates=second, word=Word.FAILED, why="wrote nothing", batch=1),
            BatchEnded(at=NOW, batch=3, seconds=8.0),
            # Claims that are looked at later do not say which call they come from; the latest one counts.
            BatchStarted(at=NOW, batch=4, processors=("q",), dates=second, attempt=2),
            BatchEnded(at=NOW, batch=4, seconds=5.0),
            UnitsEnded(at=NOW, processor="q", dates=first | second, word=Word.DONE),
            UnitsEnded(at=NOW, processor="r", dates=first, word=Word.SKIPPED, why="found complete"),
        ],
    )
    assert journal.durations("local") == {"p": [1.5], "q": [4.0, 5.0]}
    assert journal.durations("gcp") == {}
    journal.end(run, ENDED)
    again = journal.begin(started(os.getpid()), "w")
    journal.append(
        again,
        [
            BatchStarted(at=NOW, batch=2, processors=("p",), dates=third),
            BatchEnded(at=NOW, batch=2, seconds=0.5),
            UnitsEnded(at=NOW, processor="p", dates=third, word=Word.DONE, batch=2),
        ],
    )
    assert journal.durations("local") == {"p": [1.5, 0.5], "q": [4.0, 5.0]}, "oldest first, runs kept apart"


def test_durations_of_a_long_run_are_of_all_its_processors(journal: Journal) -> None:
    run = journal.begin(started(os.getpid()), "w")
    for name in "pqr":
        happened: list[Event] = []
        for batch in range(1500):
            happened += [
                BatchStarted(at=NOW, batch=batch, processors=(name,), dates=DATES),
                BatchEnded(at=NOW, batch=batch, seconds=3.0),
                UnitsEnded(at=NOW, processor=name, dates=DATES, word=Word.DONE, batch=batch),
            ]
        journal.append(run, happened)
    found = journal.durations("local")
    assert sorted(found) == ["p", "q", "r"]
    assert all(len(seconds) > 500 and set(seconds) == {1.0} for seconds in found.values())


def test_another_reader_of_the_file_sees_what_was_appended(tmp_path: Path, clock: SetClock) -> None:
    writing = sqlite_journal(tmp_path, clock)
    run = writing.begin(started(os.getpid()), "w")
    writing.append(run, [Heartbeat(at=NOW)])
    reading = SqliteJournal(tmp_path / "state" / "journal.sqlite", clock, read_only=True)
    assert [event for _, event in reading.events(run)] == [started(os.getpid()), Heartbeat(at=NOW)]
    assert reading.lease("w") == writing.lease("w") is not None
    reading.close()
    writing.close()


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
