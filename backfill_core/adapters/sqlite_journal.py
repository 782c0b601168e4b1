"""The journal in one SQLite file: runs, their events, and leases."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backfill_core.errors import JournalError, JournalUnwritten, LeaseLost, NoJournalFolder, NotUnderWay, WarehouseHeld
from backfill_core.ports import Clock, Holds, Lease

if TYPE_CHECKING:
    from backfill_core.events import Event, Instruction, RunStarted
    from backfill_core.model.units import Unit

#: Version of the file's tables and of the events in them.
SCHEMA = 3

#: Marks a SQLite file as a journal of ours.
_APPLICATION = 0x42464C31
#: A lease lapses after so long without a sign of life, whoever has it; that of a process of this host as soon as that ends.
LAPSE = timedelta(seconds=60)

#: Seconds to wait for a file that another process is writing.
_PATIENCE = 30.0

#: Events that durations are taken from, at most, and how many in a row.
_LATELY = 4000
_BLOCK = 250

_TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, started TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE events (
    run INTEGER NOT NULL REFERENCES runs (id), seq INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE leases (
    resource TEXT PRIMARY KEY, run INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    since TEXT NOT NULL, heartbeat TEXT NOT NULL
);
"""
#: What each version has more than the one before it.
_SINCE = {
    2: "CREATE TABLE instructions (number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), body TEXT NOT NULL)",
    3: """
CREATE TABLE held (
    resource TEXT NOT NULL, run INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    since TEXT NOT NULL, heartbeat TEXT NOT NULL, writes INTEGER NOT NULL, PRIMARY KEY (resource, run)
);
INSERT INTO held SELECT resource, run, pid, host, since, heartbeat, 1 FROM leases;
DROP TABLE leases;
ALTER TABLE held RENAME TO leases
""",
}


class SqliteJournal:
    """A durable journal. Opened to read, it never makes a file: one that is not there yet has no runs."""

    def __init__(self, path: Path, clock: Clock, *, read_only: bool) -> None:
        self.path = path
        self.clock = clock
        if path.parent.exists() and not path.parent.is_dir():
            raise NoJournalFolder(folder=path.parent)
        try:
            self._db = self._open(read_only)
        except (sqlite3.Error, OSError) as error:
            if _is_no_journal(error) or read_only:
                raise JournalError(path=path, problem=str(error)) from error
            raise JournalUnwritten(path=path, problem=error, otherwise="Nothing was run") from error

    def _open(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            return self._open_to_read()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        with _closed_on_error(db):
            if _has_tables(db):
                self._check(db)  # before anything is changed: the file may be another program's
            _to_wal(db)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            _make_tables(db)
            db.execute("COMMIT")
        return db

    def _open_to_read(self) -> sqlite3.Connection:
        if self.path.exists():
            # Reading a file that nobody is writing must leave no files beside it, and works in a folder that cannot be written.
            quiet = not self.path.with_name(self.path.name + "-wal").exists()
            mode = "immutable=1" if quiet else "mode=ro"
            db = sqlite3.connect(f"{self.path.resolve().as_uri()}?{mode}", uri=True, timeout=_PATIENCE, isolation_level=None)
            with _closed_on_error(db):
                if _has_tables(db):
                    self._check(db)
                    return db
            db.close()  # whoever was making it was killed before the first run
        db = sqlite3.connect(":memory:", isolation_level=None)
        _make_tables(db)
        return db

    def _rows(self, statement: str, given: Sequence[object] = ()) -> list[Any]:
        """Raises JournalError for a file that turns out to be damaged."""
        try:
            return self._db.execute(statement, given).fetchall()
        except sqlite3.Error as error:
            raise JournalError(path=self.path, problem=str(error)) from error

    def _check(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise JournalError(path=self.path, problem="it is no journal of backfill")
        if version > SCHEMA:
            raise JournalError(path=self.path, problem=f"its version is {version}, this one reads up to {SCHEMA}")

    def begin(self, started: RunStarted, holds: Holds) -> str:
        now = self.clock.now()
        with self._transaction("Nothing was run"):
            if refusal := self.in_the_way(holds):
                raise refusal
            for lease, _ in self._conflicting(holds):  # all of them have lapsed, and their runs lose the others too
                self._db.execute("DELETE FROM leases WHERE run = ?", (_number(lease.run),))
            cursor = self._db.execute("INSERT INTO runs (started, target) VALUES (?, ?)", (now.isoformat(), started.target))
            run = cursor.lastrowid or 0
            beat = (run, started.pid, started.host, now.isoformat(), now.isoformat())
            rows = [(each, *beat, 1) for each in holds.writes] + [(each, *beat, 0) for each in holds.reads]
            self._db.executemany("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._insert(run, [started])
        return f"r{run}"

    def in_the_way(self, holds: Holds) -> WarehouseHeld | None:
        """The refusal of whoever wants to hold that now."""
        found = ((lease, writes) for lease, writes in self._conflicting(holds) if self._alive(lease))
        return next((held(lease, self.clock.now(), writes=writes) for lease, writes in found), None)

    def _conflicting(self, holds: Holds) -> Iterator[tuple[Lease, bool]]:
        """Leases that others took and that do not go with those, each with whether it is to be written."""
        for writes, resources in ((True, holds.writes), (False, holds.reads)):
            for resource in resources:
                which = "resource = ?" if writes else "resource = ? AND writes"
                yield from ((lease, writes) for lease in self._leases(which, resource))

    def append(self, run: str, events: Iterable[Event]) -> None:
        number = _number(run)
        with self._transaction("Nothing more was started"):
            self._renew(run)
            self._insert(number, events)

    def renew(self, run: str) -> None:
        with self._transaction("Its lease was not renewed"):
            self._renew(run)

    def _renew(self, run: str) -> None:
        beat = (self.clock.now().isoformat(), _number(run))
        if not self._db.execute("UPDATE leases SET heartbeat = ? WHERE run = ?", beat).rowcount:
            raise LeaseLost(run=run, holder="another run")

    def instruct(self, run: str, instruction: Instruction) -> int:
        from backfill_core.adapters.event_codec import encode

        with self._transaction("Nothing was asked"):
            if self.held_by(run) is None:
                raise NotUnderWay(run=run)
            _, body = encode(instruction)
            cursor = self._db.execute("INSERT INTO instructions (run, body) VALUES (?, ?)", (_number(run), body))
            return cursor.lastrowid or 0

    def instructions(self, run: str, *, after: int = 0) -> list[tuple[int, Instruction]]:
        from backfill_core.adapters.event_codec import decode_instruction

        rows = self._rows(
            "SELECT number, body FROM instructions WHERE run = ? AND number > ? ORDER BY number", (_number(run), after)
        )
        return [(number, decode_instruction(body)) for number, body in rows]

    def end(self, run: str, event: Event) -> None:
        number = _number(run)
        with self._transaction("The run's end is not in it"):
            self._insert(number, [event])
            self._db.execute("DELETE FROM leases WHERE run = ?", (number,))

    @contextmanager
    def _transaction(self, otherwise: str) -> Iterator[None]:
        """All of it or nothing. Raises JournalError, which says what follows."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise JournalUnwritten(path=self.path, problem=error, otherwise=otherwise) from error

    def _insert(self, run: int, events: Iterable[Event]) -> None:
        from backfill_core.adapters.event_codec import encode

        (last,) = self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM events WHERE run = ?", (run,)).fetchone()
        rows = [(run, seq, *encode(event)) for seq, event in enumerate(events, start=last + 1)]
        self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)

    def events(self, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
        from backfill_core.adapters.event_codec import decode

        rows = self._rows("SELECT seq, kind, body FROM events WHERE run = ? AND seq > ? ORDER BY seq", (_number(run), after))
        try:
            return [(seq, decode(kind, body)) for seq, kind, body in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(path=self.path, problem=f"run {run} cannot be read: {error}") from error

    def unit_events(self, target: str, unit: Unit) -> Iterator[tuple[str, list[Event]]]:
        from backfill_core.attempts import about

        of_target = "SELECT id FROM runs WHERE target = ? ORDER BY id DESC"
        for (run,) in self._rows(of_target, (target,)):
            # A run says much of other processors, which need not be read.
            mine = "kind IN ('BatchStarted', 'UnitsEnded', 'UnitsUnverified') AND INSTR(body, ?)"
            query = f"SELECT kind, body FROM events WHERE run = ? AND ({mine} OR kind = 'BatchEnded') ORDER BY seq"
            told = about(unit, self._decoded(run, self._rows(query, (run, json.dumps(unit.processor)))))
            if told:
                yield f"r{run}", told

    def _decoded(self, run: int, rows: Iterable[tuple[str, str]]) -> Iterator[Event]:
        from backfill_core.adapters.event_codec import decode

        try:
            for kind, body in rows:
                yield decode(kind, body)
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(path=self.path, problem=f"run r{run} cannot be read: {error}") from error

    def durations(self, target: str) -> dict[str, list[float]]:
        # A long history costs no more than a short one: of the newest events, blocks are taken that lie evenly in their runs,
        # for a run ends with the processors of its last layer.
        mine = "FROM events WHERE run IN (SELECT id FROM runs WHERE target = ?)"
        ((count,),) = self._rows(f"SELECT COUNT(*) {mine}", (target,))
        if not count:
            return {}  # a plan of a new project needs no events, and loading them would show in its time
        from backfill_core.adapters.event_codec import decode
        from backfill_core.durations import Durations

        apart = max(1, -(-min(count, 10 * _LATELY) // _LATELY))
        rows = self._rows(
            f"SELECT run, kind, body {mine} AND kind IN ('BatchStarted', 'BatchEnded', 'UnitsEnded') AND seq / ? % ? = 0 "
            "ORDER BY run DESC, seq DESC LIMIT ?",
            (target, _BLOCK, apart, _LATELY),
        )
        found = Durations()
        try:
            for _, events in groupby(reversed(rows), key=itemgetter(0)):
                found.add(decode(kind, body) for _, kind, body in events)
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(path=self.path, problem=f"its events cannot be read: {error}") from error
        return found.seconds

    def runs(self) -> list[str]:
        return [f"r{number}" for (number,) in self._rows("SELECT id FROM runs ORDER BY id")]

    def lease(self, resource: str) -> Lease | None:
        return next(filter(self._alive, self._leases("resource = ?", resource)), None)

    def held_by(self, run: str) -> Lease | None:
        return next(filter(self._alive, self._leases("run = ?", _number(run))), None)

    def _leases(self, which: str, *given: object) -> list[Lease]:
        rows = self._rows(f"SELECT resource, run, pid, host, since, heartbeat FROM leases WHERE {which}", given)
        return [
            Lease(
                resource=resource,
                run=f"r{run}",
                pid=pid,
                host=host,
                since=datetime.fromisoformat(since),
                heartbeat=datetime.fromisoformat(heartbeat),
            )
            for resource, run, pid, host, since, heartbeat in rows
        ]

    def _alive(self, held: Lease) -> bool:
        gone = held.host == socket.gethostname() and not _runs(held.pid)
        return not gone and self.clock.now() - held.heartbeat < LAPSE

    def close(self) -> None:
        self._db.close()


@contextmanager
def _closed_on_error(db: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        db.close()
        raise


def _to_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait by itself when several processes make a new file a write-ahead one at once."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _has_tables(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None


def _make_tables(db: sqlite3.Connection) -> None:
    """Makes what the file does not have yet: all of it, or what is newer than its version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if not version:
        for statement in _TABLES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
    for newer, statement in _SINCE.items():
        if newer > version:
            for part in statement.split(";"):
                db.execute(part)
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def lease_words(held: Lease, now: datetime) -> str:
    """Who holds a lease, as the refusal says it."""
    alive = max(0, int((now - held.heartbeat).total_seconds()))
    since = held.since.astimezone(UTC).strftime("%H:%M UTC")
    return f"run {held.run} (pid {held.pid}, since {since}, alive {alive} s ago)"


def held(lease: Lease, now: datetime, *, writes: bool) -> WarehouseHeld:
    """The refusal of a run that wants to write, or to read, what another holds."""
    what = f"{lease.resource}, which this run {'writes' if writes else 'reads'}"
    return WarehouseHeld(who=lease_words(lease, now), what=what, look=f"Look: backfill status {lease.run}")


def _is_no_journal(error: Exception) -> bool:
    """Whether the file itself is at fault, rather than the disk or the folder that it lies in."""
    damaged = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in damaged


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _number(run: str) -> int:
    return int(run[1:]) if run[:1] == "r" and run[1:].isdigit() else -1
