"""Signs of life beside a run's own: however long its loop waits for a warehouse, its lease does not lapse."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from backfill_core.adapters.sqlite_journal import SqliteJournal
from backfill_core.errors import JournalError, LeaseLost
from backfill_core.events import Event, RunEnded, RunStarted
from backfill_core.ports import Clock

#: Seconds between two of them.
APART = 10.0


class LeaseKeeper:
    """A listener that renews a run's lease from a thread of its own while the run goes on."""

    def __init__(self, journal: Path, clock: Clock, *, apart: float = APART) -> None:
        self.journal = journal
        self.clock = clock
        self.apart = apart
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> LeaseKeeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def heard(self, run: str, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, RunStarted):
                self._thread = threading.Thread(target=self._keep, args=(run,), name="lease", daemon=True)
                self._thread.start()
            elif isinstance(event, RunEnded):
                self._over.set()

    def _keep(self, run: str) -> None:
        # What goes wrong here goes wrong in the loop too, which says it.
        with suppress(JournalError, LeaseLost):
            journal = SqliteJournal(self.journal, self.clock, read_only=False)
            try:
                while not self._over.wait(self.apart):
                    journal.renew(run)
            finally:
                journal.close()
