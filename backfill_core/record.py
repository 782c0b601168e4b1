"""What a run says: folded into its state at once, put on disk together, then told to whoever listens."""

from __future__ import annotations

from collections.abc import Sequence

from backfill_core.errors import JournalError
from backfill_core.events import Event, RunEnded, RunStarted
from backfill_core.ports import Holds, Journal, Listener
from backfill_core.run_state import RunState


class Record:
    """The record of one run."""

    def __init__(self, journal: Journal, listeners: Sequence[Listener]) -> None:
        self.journal = journal
        self.listeners = list(listeners)
        self.state = RunState("")
        self._unsaid: list[Event] = []
        self._broken = False

    def follow(self, listener: Listener) -> None:
        """Adds somebody who is told of everything from now on."""
        self.listeners.append(listener)

    def begin(self, started: RunStarted, holds: Holds) -> None:
        """Raises WarehouseHeld when another run is in the way."""
        self.state = RunState(self.journal.begin(started, holds))
        self.state.apply(started)
        self._tell([started])

    def say(self, event: Event) -> None:
        """Takes an event in. It is on disk after the next `flush`."""
        self._unsaid.append(event)
        self.state.apply(event)

    def flush(self) -> None:
        """Puts what happened since the last time on disk, as one commit, and tells the listeners."""
        events, self._unsaid = self._unsaid, []
        if events:
            try:
                self.journal.append(self.state.name, events)
            except JournalError:
                self._broken = True
                raise
            self._tell(events)

    def end(self, ended: RunEnded) -> None:
        """Records the end; where the journal failed before, as far as it can: the first failure is the one to tell."""
        try:
            self.journal.end(self.state.name, ended)
        except JournalError:
            if not self._broken:
                raise
        self.state.apply(ended)
        self._tell([ended])

    def _tell(self, events: list[Event]) -> None:
        for listener in self.listeners:
            listener.heard(self.state.name, events)
