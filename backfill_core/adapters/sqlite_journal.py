"""The journal in one SQLite file: runs, their events, and leases."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from backfill_core.errors import JournalError, LeaseLost, WarehouseHeld
from backfill_core.ports import Clock, Lease

if TYPE_CHECKING:
    from backfill_core.events import Event, RunStarted
    from backfill_core.model.units import Unit

#: Version of the file's tables and of the events in them.
SCHEMA = 1

#: Marks a SQLite file as a journal of ours.
_APPLICATION = 0x42464C31
#: A lease of another host lapses after so long without a sign of life.
LAPSE = timedelta(seconds=60)

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


class SqliteJournal:
    """A durable journal. Opened to read, it never makes a file: one that is not there yet has no runs."""

    def __init__(self, path: Path, clock: Clock, *, read_only: bool) -> None:
        self.path = path
        self.clock = clock
        try:
            self._db = self._open(read_only)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(path=path, problem=str(error)) from error

    def _open(self, read_only: bool) -> sqlite3.Connection:
        if read_only and not self.path.exists():
            db = sqlite3.connect(":memory:", isolation_level=None)
            _make_tables(db)
            return db
        if read_only:
            # Reading a file that nobody is writing must leave no files beside it, and works in a folder that cannot be written.
            quiet = not self.path.with_name(self.path.name + "-wal").exists()
            mode = "immutable=1" if quiet else "mode=ro"
            db = sqlite3.connect(f"{self.path.resolve().as_uri()}?{mode}", uri=True, timeout=30, isolation_level=None)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            if db.execute("SELECT 1 FROM sqlite_master").fetchone() or read_only:
                self._check(db)  # before anything is changed: the file may be another program's
            if not read_only:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE")
                if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                    _make_tables(db)
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise JournalError(path=self.path, problem="it is no journal of backfill")
        if version > SCHEMA:
            raise JournalError(path=self.path, problem=f"its version is {version}, this one reads up to {SCHEMA}")

    def begin(self, started: RunStarted, resource: str) -> str:
        now = self.clock.now().isoformat()
        with self._transaction("Nothing was run"):
            held = self.lease(resource)
            if held is not None:
                who = lease_words(held, self.clock.now())
                raise WarehouseHeld(who=who, path=resource, look=f"Look: backfill status {held.run}")
            cursor = self._db.execute("INSERT INTO runs (started, target) VALUES (?, ?)", (now, started.target))
            run = cursor.lastrowid or 0
            self._db.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)",
                (resource, run, started.pid, started.host, now, now),
            )
            self._insert(run, [started])
        return f"r{run}"

    def append(self, run: str, events: Iterable[Event]) -> None:
        number = _number(run)
        with self._transaction("Nothing more was started"):
            renewed = self._db.execute("UPDATE leases SET heartbeat = ? WHERE run = ?", (self.clock.now().isoformat(), number))
            if not renewed.rowcount:
                raise LeaseLost(run=run, holder="another run")
            self._insert(number, events)

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
            raise JournalError(path=self.path, problem=f"{error}. {otherwise}") from error

    def _insert(self, run: int, events: Iterable[Event]) -> None:
        from backfill_core.adapters.event_codec import encode

        (last,) = self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM events WHERE run = ?", (run,)).fetchone()
        rows = [(run, seq, *encode(event)) for seq, event in enumerate(events, start=last + 1)]
        self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)

    def events(self, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
        from backfill_core.adapters.event_codec import decode

        rows = self._db.execute(
            "SELECT seq, kind, body FROM events WHERE run = ? AND seq > ? ORDER BY seq", (_number(run), after)
        ).fetchall()
        try:
            return [(seq, decode(kind, body)) for seq, kind, body in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(path=self.path, problem=f"run {run} cannot be read: {error}") from error

    def unit_events(self, target: str, unit: Unit) -> Iterator[tuple[str, list[Event]]]:
        from backfill_core.attempts import about

        of_target = "SELECT id FROM runs WHERE target = ? ORDER BY id DESC"
        for (run,) in self._db.execute(of_target, (target,)).fetchall():
            # A run says much of other processors, which need not be read.
            mine = "kind IN ('BatchStarted', 'UnitsEnded', 'UnitsUnverified') AND INSTR(body, ?)"
            query = f"SELECT kind, body FROM events WHERE run = ? AND ({mine} OR kind = 'BatchEnded') ORDER BY seq"
            told = about(unit, self._decoded(run, self._db.execute(query, (run, json.dumps(unit.processor)))))
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
        (count,) = self._db.execute(f"SELECT COUNT(*) {mine}", (target,)).fetchone()
        if not count:
            return {}  # a plan of a new project needs no events, and loading them would show in its time
        from backfill_core.adapters.event_codec import decode
        from backfill_core.durations import Durations

        apart = max(1, -(-min(count, 10 * _LATELY) // _LATELY))
        rows = self._db.execute(
            f"SELECT run, kind, body {mine} AND kind IN ('BatchStarted', 'BatchEnded', 'UnitsEnded') AND seq / ? % ? = 0 "
            "ORDER BY run DESC, seq DESC LIMIT ?",
            (target, _BLOCK, apart, _LATELY),
        ).fetchall()
        found = Durations()
        try:
            for _, events in groupby(reversed(rows), key=itemgetter(0)):
                found.add(decode(kind, body) for _, kind, body in events)
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(path=self.path, problem=f"its events cannot be read: {error}") from error
        return found.seconds

    def runs(self) -> list[str]:
        return [f"r{number}" for (number,) in self._db.execute("SELECT id FROM runs ORDER BY id")]

    def lease(self, resource: str) -> Lease | None:
        row = self._db.execute(
            "SELECT resource, run, pid, host, since, heartbeat FROM leases WHERE resource = ?", (resource,)
        ).fetchone()
        if row is None:
            return None
        held = Lease(
            resource=row[0],
            run=f"r{row[1]}",
            pid=row[2],
            host=row[3],
            since=datetime.fromisoformat(row[4]),
            heartbeat=datetime.fromisoformat(row[5]),
        )
        return held if self._alive(held) else None

    def _alive(self, held: Lease) -> bool:
        if held.host == socket.gethostname():
            return _runs(held.pid)
        return self.clock.now() - held.heartbeat < LAPSE

    def close(self) -> None:
        self._db.close()


def _make_tables(db: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {_APPLICATION}")
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def lease_words(held: Lease, now: datetime) -> str:
    """Who holds a lease, as the refusal says it."""
    alive = max(0, int((now - held.heartbeat).total_seconds()))
    since = held.since.astimezone(UTC).strftime("%H:%M UTC")
    return f"run {held.run} (pid {held.pid}, since {since}, alive {alive} s ago)"


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
