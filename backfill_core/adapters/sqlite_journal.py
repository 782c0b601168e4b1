"""The journal in one SQLite file: runs, their events, and leases."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backfill_core.adapters.event_codec import SCHEMA, decode, encode
from backfill_core.errors import JournalError, LeaseLost, WarehouseHeld
from backfill_core.events import Event, RunStarted
from backfill_core.ports import Clock, Lease

#: Marks a SQLite file as a journal of ours.
_APPLICATION = 0x42464C31
#: A lease of another host lapses after so long without a sign of life.
LAPSE = timedelta(seconds=60)

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
            db.executescript(_TABLES)
            return db
        if read_only:
            db = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None)
            self._check(db)
            return db
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
        self._check(db)
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise JournalError(path=self.path, problem="it is no journal of backfill. Move it away")
        if version > SCHEMA:
            raise JournalError(path=self.path, problem=f"its version is {version}, this one reads up to {SCHEMA}. Upgrade")

    def begin(self, started: RunStarted, resource: str) -> str:
        now = self.clock.now().isoformat()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            held = self.lease(resource)
            if held is not None:
                self._db.execute("ROLLBACK")
                raise WarehouseHeld(
                    who=lease_words(held, self.clock.now()), path=resource, look=f"Look: backfill status {held.run}"
                )
            cursor = self._db.execute("INSERT INTO runs (started, target) VALUES (?, ?)", (now, started.target))
            run = cursor.lastrowid
            self._db.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)",
                (resource, run, started.pid, started.host, now, now),
            )
            self._insert(run or 0, [started])
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(path=self.path, problem=f"{error}. Nothing was run") from error
        return f"r{run}"

    def append(self, run: str, events: Iterable[Event]) -> None:
        number = _number(run)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            renewed = self._db.execute("UPDATE leases SET heartbeat = ? WHERE run = ?", (self.clock.now().isoformat(), number))
            if not renewed.rowcount:
                self._db.execute("ROLLBACK")
                raise LeaseLost(run=run, holder="another run")
            self._insert(number, events)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(path=self.path, problem=f"{error}. Nothing more was started") from error

    def end(self, run: str, event: Event) -> None:
        number = _number(run)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._insert(number, [event])
            self._db.execute("DELETE FROM leases WHERE run = ?", (number,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(path=self.path, problem=str(error)) from error

    def _insert(self, run: int, events: Iterable[Event]) -> None:
        (last,) = self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM events WHERE run = ?", (run,)).fetchone()
        rows = [(run, seq, *encode(event)) for seq, event in enumerate(events, start=last + 1)]
        self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)

    def events(self, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
        rows = self._db.execute(
            "SELECT seq, kind, body FROM events WHERE run = ? AND seq > ? ORDER BY seq", (_number(run), after)
        ).fetchall()
        try:
            return [(seq, decode(kind, body)) for seq, kind, body in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(path=self.path, problem=f"run {run} cannot be read: {error}") from error

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
