"""What every journal must do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from backfill_core.adapters.lease_keeper import LeaseKeeper
from backfill_core.adapters.sqlite_journal import SqliteJournal
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.dates import DateSet, Span
from backfill_core.errors import JournalError, LeaseLost, NotUnderWay, WarehouseHeld
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    Control,
    DrainAsked,
    Event,
    Heartbeat,
    Instructed,
    Instruction,
    RunEnded,
    RunStarted,
    SightBack,
    SightLost,
    UnitsClaimed,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.model.units import Unit
from backfill_core.plan import Plan, Request
from backfill_core.ports import Holds, Journal, Lease
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
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    happened: list[Event] = [
        BatchStarted(at=NOW, batch=1, processors=("p",), dates=DATES),
        BatchEnded(at=NOW, batch=1, seconds=1.5),
        UnitsClaimed(at=NOW, processor="p", dates=DATES),
        UnitsEnded(at=NOW, processor="p", dates=DATES, word=Word.DONE, degraded=DATES, batch=1),
        Instructed(at=NOW, number=1, control=Control.PAUSE, by="ann@here"),
        Instructed(at=NOW, number=2, control=Control.THROTTLE, by="ann@here", concurrency=3, caps={"s": 2}),
        SightLost(at=NOW, why="HTTP 503", looks=1, again=NOW),
        SightBack(at=NOW),
        DrainAsked(at=NOW, in_flight=2, slowest=1.5, at_most=60.0),
        Heartbeat(at=NOW),
    ]
    journal.append(run, happened)
    ended = RunEnded(at=NOW, exit_code=0, exit_reason="all done", queries={"asked": 3})
    journal.end(run, ended)
    events = [event for _, event in journal.events(run)]
    assert events == [started(os.getpid()), *happened, ended]
    assert [seq for seq, _ in journal.events(run, after=10)] == [11, 12]
    state = RunState.fold(run, events)
    assert state.dates(Word.DONE, "p") == DATES
    assert state.ended == ended
    assert (state.paused, state.concurrency, state.caps) == (happened[4], 3, {"s": 2})
    assert journal.runs() == ["r1"]


def test_what_runs_say_of_a_unit_is_found_newest_run_first(journal: Journal) -> None:
    unit, other = Unit("p", DATES.first), Unit("p", date(2025, 4, 1))
    call = BatchStarted(at=NOW, batch=1, processors=("p",), dates=DATES)
    elsewhere = BatchStarted(at=NOW, batch=2, processors=("pp",), dates=DATES)
    unverified = UnitsUnverified(at=NOW, processor="p", dates=DATES, why="wrote nothing")
    failed = UnitsEnded(at=NOW, processor="p", dates=DateSet.of(unit.day), word=Word.FAILED, why="no", batch=1)
    ends = [BatchEnded(at=NOW, batch=number, seconds=number / 2) for number in (1, 2)]
    first = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    journal.append(first, [call, elsewhere, *ends, unverified, failed])
    journal.end(first, ENDED)
    silent = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    journal.append(silent, [elsewhere, ends[1], UnitsEnded(at=NOW, processor="pp", dates=DATES, word=Word.DONE, batch=2)])
    journal.end(silent, ENDED)
    last = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    journal.append(last, [failed])
    told = list(journal.unit_events("local", unit))
    assert told == [(last, [failed]), (first, [call, ends[0], unverified, failed])]
    assert list(journal.unit_events("local", other)) == list(journal.unit_events("gcp", unit)) == []


def test_a_held_lease_refuses_and_a_returned_one_does_not(journal: Journal) -> None:
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    with pytest.raises(WarehouseHeld, match=rf"run r1 \(pid {os.getpid()}"):
        journal.begin(started(os.getpid()), Holds(writes=["w"]))
    assert journal.begin(started(os.getpid()), Holds(writes=["another"])) == "r2"
    journal.end(run, ENDED)
    assert journal.begin(started(os.getpid()), Holds(writes=["w"])) == "r3"


def test_what_is_written_is_held_alone_and_what_is_read_by_many(journal: Journal) -> None:
    first = journal.begin(started(os.getpid()), Holds(writes=["sums", "weeks"], reads=["orders"]))
    second = journal.begin(started(os.getpid()), Holds(writes=["stock"], reads=["orders"]))
    for holds, who, what in (
        (Holds(writes=["sums"]), first, "sums, which this run writes"),
        (Holds(writes=["more"], reads=["weeks"]), first, "weeks, which this run reads"),
        (Holds(writes=["orders"]), first, "orders, which this run writes"),
        (Holds(writes=["more"], reads=["orders", "stock"]), second, "stock, which this run reads"),
    ):
        with pytest.raises(WarehouseHeld, match=rf"run {who} \(.* holds {what}\. Look: backfill status {who}"):
            journal.begin(started(os.getpid()), holds)
    assert journal.runs() == [first, second]
    journal.end(first, ENDED)
    assert journal.lease("sums") is journal.held_by(first) is None
    assert journal.held_by(second) is not None
    assert journal.begin(started(os.getpid()), Holds(writes=["sums"], reads=["orders"])) == "r3"


def test_whoever_takes_one_of_a_dead_runs_leases_takes_them_all(journal: Journal) -> None:
    dead = journal.begin(started(DEAD), Holds(writes=["sums", "weeks"]))
    journal.begin(started(os.getpid()), Holds(writes=["more"], reads=["weeks"]))
    with pytest.raises(LeaseLost):
        journal.renew(dead)
    journal.begin(started(os.getpid()), Holds(writes=["sums"]))


def test_the_lease_of_a_dead_process_lapses_and_is_lost_to_it(journal: Journal) -> None:
    dead = journal.begin(started(DEAD), Holds(writes=["w"]))
    assert journal.lease("w") is None
    journal.begin(started(os.getpid()), Holds(writes=["w"]))
    with pytest.raises(LeaseLost):
        journal.append(dead, [Heartbeat(at=NOW)])
    assert [event for _, event in journal.events(dead)] == [started(DEAD)]


def test_a_run_that_lost_its_lease_does_not_give_back_that_of_the_next(journal: Journal) -> None:
    dead = journal.begin(started(DEAD), Holds(writes=["w"]))
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    journal.end(dead, ENDED)
    assert journal.events(dead)[-1] == (2, ENDED)
    held = journal.lease("w")
    assert held is not None
    assert held.run == run


def test_a_lease_says_who_since_when_and_when_last_heard_of(journal: Journal, clock: SetClock) -> None:
    assert journal.lease("w") is None
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    clock.move(40)
    held = Lease(resource="w", run=run, pid=os.getpid(), host=HERE, since=NOW, heartbeat=NOW)
    assert journal.lease("w") == held
    journal.append(run, [])
    assert journal.lease("w") == Lease(resource="w", run=run, pid=os.getpid(), host=HERE, since=NOW, heartbeat=clock.now())
    clock.move(3)
    with pytest.raises(WarehouseHeld, match=r"since 10:21 UTC, alive 3 s ago\).*backfill status r1"):
        journal.begin(started(os.getpid()), Holds(writes=["w"]))
    assert journal.runs() == [run]
    journal.end(run, ENDED)
    assert journal.lease("w") is None


@pytest.mark.parametrize(("pid", "host"), [(DEAD, "elsewhere"), (os.getpid(), HERE)], ids=["away", "here"])
def test_a_lease_lapses_after_a_minute_of_silence(journal: Journal, clock: SetClock, pid: int, host: str) -> None:
    silent = journal.begin(started(pid, host), Holds(writes=["w"]))
    clock.move(59)
    journal.append(silent, [Heartbeat(at=clock.now())])
    clock.move(59)
    journal.renew(silent)
    clock.move(59)
    with pytest.raises(WarehouseHeld):
        journal.begin(started(os.getpid()), Holds(writes=["w"]))
    clock.move(1)
    assert journal.lease("w") is journal.held_by(silent) is None
    journal.append(silent, [Heartbeat(at=clock.now())])  # nobody took it meanwhile
    assert journal.lease("w") == journal.held_by(silent) is not None
    clock.move(60)
    here = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    for sign in (lambda: journal.append(silent, [Heartbeat(at=clock.now())]), lambda: journal.renew(silent)):
        with pytest.raises(LeaseLost, match=f"run {silent} no longer holds"):
            sign()
    held = journal.lease("w")
    assert held is not None and held.run == here
    assert journal.held_by(silent) is None
    assert len(journal.events(silent)) == 3, "what it had to say after it lost its lease is not recorded"


def test_instructions_reach_the_run_they_are_for_once(journal: Journal, clock: SetClock) -> None:
    first, second = (journal.begin(started(os.getpid()), Holds(writes=[resource])) for resource in ("a", "b"))
    pause = Instruction(at=NOW, control=Control.PAUSE, by="ann@here")
    throttle = Instruction(at=NOW, control=Control.THROTTLE, by="bob@there", concurrency=3, caps={"s": 2})
    one, two, three = journal.instruct(first, pause), journal.instruct(second, pause), journal.instruct(first, throttle)
    assert one < two < three
    assert journal.instructions(first) == [(one, pause), (three, throttle)]
    assert journal.instructions(first, after=one) == [(three, throttle)]
    assert journal.instructions(second, after=two) == journal.instructions("nonsense") == []
    journal.end(first, ENDED)
    clock.move(61)
    for name in (first, second, "r9"):
        with pytest.raises(NotUnderWay, match=f"run {name} is not under way"):
            journal.instruct(name, pause)


def test_a_run_that_has_ended_or_never_began_records_nothing(journal: Journal) -> None:
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
    journal.end(run, ENDED)
    for name in (run, "r9", "nonsense"):
        with pytest.raises(LeaseLost, match=f"run {name} no longer holds"):
            journal.append(name, [Heartbeat(at=NOW)])
    assert [event for _, event in journal.events(run)] == [started(os.getpid()), ENDED]
    assert journal.events("r9") == journal.events("nonsense") == []
    assert journal.runs() == [run]


def test_runs_are_numbered_apart(journal: Journal) -> None:
    runs = [journal.begin(started(os.getpid()), Holds(writes=[resource])) for resource in ("a", "b")]
    for batch in (1, 2):
        for run in runs:
            journal.append(run, [BatchEnded(at=NOW, batch=batch, seconds=1.0)])
    assert [journal.events(run, after=1) for run in runs] == [
        [(number, BatchEnded(at=NOW, batch=number - 1, seconds=1.0)) for number in (2, 3)] for _ in runs
    ]
    assert journal.runs() == ["r1", "r2"]


def test_durations_are_seconds_a_unit_of_what_was_verified_on_a_target(journal: Journal) -> None:
    assert journal.durations("local") == {}
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
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
    again = journal.begin(started(os.getpid()), Holds(writes=["w"]))
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
    run = journal.begin(started(os.getpid()), Holds(writes=["w"]))
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
    run = writing.begin(started(os.getpid()), Holds(writes=["w"]))
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


#: The tables of a journal as the first version made them, with a run whose plan and events say what they said then.
FIRST_VERSION = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, started TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE events (
    run INTEGER NOT NULL REFERENCES runs (id), seq INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE leases (
    resource TEXT PRIMARY KEY, run INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    since TEXT NOT NULL, heartbeat TEXT NOT NULL
);
PRAGMA application_id = 1111903281;
PRAGMA user_version = 1;
INSERT INTO runs VALUES (1, '2025-03-05T10:21:00+00:00', 'local');
INSERT INTO leases VALUES ('w', 1, PID, 'elsewhere', '2025-03-05T10:21:00+00:00', '2025-03-05T10:21:00+00:00');
""".replace("PID", str(DEAD))
FIRST_EVENTS = {
    "RunStarted": {
        "at": {"$at": "2025-03-05T10:21:00+00:00"},
        "pid": DEAD,
        "host": HERE,
        "command": "backfill execute",
        "target": "local",
        "plan": PLAN.to_json(),
        "chosen": ["p"],
        "before": {},
    },
    "BatchStarted": {
        "at": {"$at": "2025-03-05T10:21:01+00:00"},
        "batch": 1,
        "processors": ["p"],
        "dates": {"$dates": ["2025-03-05..2025-03-07"]},
        "attempt": 1,
    },
    "UnitsEnded": {
        "at": {"$at": "2025-03-05T10:21:02+00:00"},
        "processor": "p",
        "dates": {"$dates": ["2025-03-05"]},
        "word": "failed",
        "why": "HTTP 503",
        "degraded": {"$dates": []},
        "batch": 1,
    },
}


def first_version(path: Path) -> Path:
    with sqlite3.connect(path) as db:
        db.executescript(FIRST_VERSION)
        for seq, (kind, body) in enumerate(FIRST_EVENTS.items(), start=1):
            db.execute("INSERT INTO events VALUES (1, ?, ?, ?)", (seq, kind, json.dumps(body)))
    db.close()
    return path


def test_a_journal_of_the_first_version_stays_as_it_is_when_read(tmp_path: Path, clock: SetClock) -> None:
    path = first_version(tmp_path / "journal.sqlite")
    before = path.read_bytes()
    reading = SqliteJournal(path, clock, read_only=True)
    state = RunState.fold("r1", (event for _, event in reading.events("r1")))
    assert (reading.runs(), state.plan) == (["r1"], PLAN)
    assert state.dates(Word.FAILED, "p") == DateSet.of(DATES.first)
    assert state.started is not None and (state.started.user, state.started.commit) == ("", "")
    reading.close()
    assert path.read_bytes() == before


def test_a_journal_of_the_first_version_migrates_when_written(tmp_path: Path, clock: SetClock) -> None:
    path = first_version(tmp_path / "journal.sqlite")
    for number in (1, 2):  # the second opening finds it migrated
        writing = SqliteJournal(path, clock, read_only=False)
        if number == 1:
            with pytest.raises(WarehouseHeld, match="run r1 "):
                writing.begin(started(os.getpid()), Holds(writes=["more"], reads=["w"]))
            clock.move(61)
        run = writing.begin(started(os.getpid()), Holds(writes=["w"]))
        assert writing.instruct(run, Instruction(at=NOW, control=Control.PAUSE, by="ann@here")) == number
        assert [kind for _, kind in writing.events("r1")][1:] == [
            BatchStarted(at=NOW + timedelta(seconds=1), batch=1, processors=("p",), dates=DATES),
            UnitsEnded(
                at=NOW + timedelta(seconds=2),
                processor="p",
                dates=DateSet.of(DATES.first),
                word=Word.FAILED,
                why="HTTP 503",
                batch=1,
            ),
        ]
        writing.end(run, ENDED)
        writing.close()
    reading = SqliteJournal(path, clock, read_only=True)
    assert reading.runs() == ["r1", "r2", "r3"]
    reading.close()


def test_a_journal_whose_maker_was_killed_is_an_empty_one(tmp_path: Path, clock: SetClock) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()
    reading = SqliteJournal(path, clock, read_only=True)
    assert reading.runs() == []
    reading.close()
    writing = SqliteJournal(path, clock, read_only=False)
    assert writing.begin(started(os.getpid()), Holds(writes=["w"])) == "r1"
    writing.close()


def test_a_damaged_page_is_an_error_that_names_the_file(tmp_path: Path, clock: SetClock) -> None:
    path = tmp_path / "journal.sqlite"
    writing = SqliteJournal(path, clock, read_only=False)
    run = writing.begin(started(os.getpid()), Holds(writes=["w"]))
    writing.append(run, [BatchEnded(at=NOW, batch=batch, seconds=1.0) for batch in range(2000)])
    writing.end(run, ENDED)
    writing.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    reading = SqliteJournal(path, clock, read_only=True)
    for ask in (reading.runs, lambda: reading.lease("w"), lambda: reading.events(run), lambda: reading.durations("local")):
        with pytest.raises(JournalError, match=r"journal.sqlite cannot be used: .*malformed"):
            ask()
    reading.close()


def test_of_processes_that_want_one_lease_at_once_one_gets_it(tmp_path: Path) -> None:
    code = (
        "import sys, socket, os, pathlib\n"
        "from datetime import UTC, datetime\n"
        "from backfill_core.adapters.sqlite_journal import SqliteJournal\n"
        "from backfill_core.adapters.system_clock import SystemClock\n"
        "from backfill_core.errors import WarehouseHeld\n"
        "from backfill_core.events import RunStarted\n"
        "from backfill_core.ports import Holds\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "journal = SqliteJournal(pathlib.Path('journal.sqlite'), SystemClock(), read_only=False)\n"
        "started = RunStarted(at=datetime.now(UTC), pid=os.getpid(), host=socket.gethostname(), command='', target='', plan={})\n"
        "try:\n"
        "    print(journal.begin(started, Holds(writes=['w'])), flush=True); sys.stdin.readline()\n"
        "except WarehouseHeld as held:\n"
        "    print('refused', flush=True)\n"
    )
    command = [sys.executable, "-c", code]
    racing = [subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    streams = [(each.stdin, each.stdout) for each in racing]
    assert [out.readline() for _, out in streams if out] == ["ready\n"] * 6
    for into, _ in streams:
        assert into is not None
        into.write("go\n")
        into.flush()
    said = sorted(out.readline() for _, out in streams if out)
    for each in racing:
        each.communicate()  # whoever has it keeps it until all have asked
    assert said == ["r1\n", *["refused\n"] * 5]


def test_a_lease_is_kept_while_its_run_is_busy_elsewhere(tmp_path: Path) -> None:
    path, clock = tmp_path / "journal.sqlite", SystemClock()
    writing = SqliteJournal(path, clock, read_only=False)
    start = started(os.getpid())
    run = writing.begin(start, Holds(writes=["w"]))
    first = writing.held_by(run)
    assert first is not None
    with LeaseKeeper(path, clock, apart=0.01) as keeper:
        keeper.heard(run, [start])
        deadline = time.monotonic() + 30
        while (held := writing.held_by(run)) is None or held.heartbeat == first.heartbeat:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    writing.end(run, ENDED)
    assert (held.since, held.run) == (first.since, run)
    writing.close()
