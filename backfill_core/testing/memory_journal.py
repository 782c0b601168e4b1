"""The journal in memory: it forgets with the process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from backfill_core.adapters.sqlite_journal import LAPSE, lease_words
from backfill_core.attempts import about
from backfill_core.durations import Durations
from backfill_core.errors import LeaseLost, WarehouseHeld
from backfill_core.events import Event, RunStarted
from backfill_core.model.units import Unit
from backfill_core.ports import Clock, Lease


class MemoryJournal:
    """A journal for tests. Which processes have ended is told to it rather than looked up."""

    def __init__(self, clock: Clock, *, host: str = "here", ended: Collection[int] = ()) -> None:
        """``host`` is where it is kept; ``ended`` are numbers of processes of that host that are no more."""
        self.clock = clock
        self.host = host
        self.ended = ended
        self._events: dict[str, list[Event]] = {}
        self._leases: dict[str, Lease] = {}

    def begin(self, started: RunStarted, resource: str) -> str:
        held, now = self.lease(resource), self.clock.now()
        if held is not None:
            raise WarehouseHeld(who=lease_words(held, now), path=resource, look=f"Look: backfill status {held.run}")
        run = f"r{len(self._events) + 1}"
        self._events[run] = [started]
        self._leases[resource] = Lease(resource=resource, run=run, pid=started.pid, host=started.host, since=now, heartbeat=now)
        return run

    def append(self, run: str, events: Iterable[Event]) -> None:
        held = self._held_by(run)
        if not held:
            raise LeaseLost(run=run, holder="another run")
        # Gathered first: events that cannot be had are recorded not at all, rather than in part.
        happened = list(events)
        for lease in held:
            self._leases[lease.resource] = replace(lease, heartbeat=self.clock.now())
        self._events[run] += happened

    def end(self, run: str, event: Event) -> None:
        self._events[run].append(event)
        for lease in self._held_by(run):
            del self._leases[lease.resource]

    def events(self, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
        return [(number, event) for number, event in enumerate(self._events.get(run, ()), start=1) if number > after]

    def runs(self) -> list[str]:
        return list(self._events)

    def unit_events(self, target: str, unit: Unit) -> Iterator[tuple[str, list[Event]]]:
        for run, (started, *events) in reversed(self._events.items()):
            if isinstance(started, RunStarted) and started.target == target and (told := about(unit, events)):
                yield run, told

    def durations(self, target: str) -> dict[str, list[float]]:
        found = Durations()
        for started, *events in self._events.values():
            if isinstance(started, RunStarted) and started.target == target:
                found.add(events)
        return found.seconds

    def lease(self, resource: str) -> Lease | None:
        held = self._leases.get(resource)
        return held if held is not None and self._alive(held) else None

    def close(self) -> None:
        """Keeps what it knows: there is nothing to let go."""

    def _held_by(self, run: str) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.run == run]

    def _alive(self, held: Lease) -> bool:
        if held.host == self.host:
            return held.pid not in self.ended
        return self.clock.now() - held.heartbeat < LAPSE
