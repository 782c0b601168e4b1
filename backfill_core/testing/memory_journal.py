"""The journal in memory: it forgets with the process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from backfill_core.adapters.sqlite_journal import LAPSE, held
from backfill_core.attempts import about
from backfill_core.durations import Durations
from backfill_core.errors import LeaseLost, NotUnderWay
from backfill_core.events import Event, Instruction, RunStarted
from backfill_core.model.units import Unit
from backfill_core.ports import Clock, Holds, Lease


class MemoryJournal:
    """A journal for tests. Which processes have ended is told to it rather than looked up."""

    def __init__(self, clock: Clock, *, host: str = "here", ended: Collection[int] = ()) -> None:
        """``host`` is where it is kept; ``ended`` are numbers of processes of that host that are no more."""
        self.clock = clock
        self.host = host
        self.ended = ended
        self._events: dict[str, list[Event]] = {}
        #: Each with whether its resource is written.
        self._leases: list[tuple[Lease, bool]] = []
        self._instructions: list[tuple[str, Instruction]] = []

    def begin(self, started: RunStarted, holds: Holds) -> str:
        now = self.clock.now()
        for lease, writes in self._in_the_way(holds):
            if self._alive(lease):
                raise held(lease, now, writes=writes)
            self._drop(lease.run)
        run = f"r{len(self._events) + 1}"
        self._events[run] = [started]
        for resource in (*holds.writes, *holds.reads):
            lease = Lease(resource=resource, run=run, pid=started.pid, host=started.host, since=now, heartbeat=now)
            self._leases.append((lease, resource in holds.writes))
        return run

    def append(self, run: str, events: Iterable[Event]) -> None:
        # Gathered first: events that cannot be had are recorded not at all, rather than in part.
        happened = list(events) if self._held_by(run) else []
        self.renew(run)
        self._events[run] += happened

    def renew(self, run: str) -> None:
        if not self._held_by(run):
            raise LeaseLost(run=run, holder="another run")
        beat = self.clock.now()
        self._leases = [(replace(each, heartbeat=beat) if each.run == run else each, writes) for each, writes in self._leases]

    def instruct(self, run: str, instruction: Instruction) -> int:
        if self.held_by(run) is None:
            raise NotUnderWay(run=run)
        self._instructions.append((run, instruction))
        return len(self._instructions)

    def instructions(self, run: str, *, after: int = 0) -> list[tuple[int, Instruction]]:
        numbered = enumerate(self._instructions, start=1)
        return [(number, asked) for number, (name, asked) in numbered if name == run and number > after]

    def end(self, run: str, event: Event) -> None:
        self._events[run].append(event)
        self._drop(run)

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
        return next((lease for lease, _ in self._leases if lease.resource == resource and self._alive(lease)), None)

    def held_by(self, run: str) -> Lease | None:
        return next((lease for lease in self._held_by(run) if self._alive(lease)), None)

    def close(self) -> None:
        """Keeps what it knows: there is nothing to let go."""

    def _held_by(self, run: str) -> list[Lease]:
        return [lease for lease, _ in self._leases if lease.run == run]

    def _in_the_way(self, holds: Holds) -> list[tuple[Lease, bool]]:
        """Leases that what is to be held does not go with, each with whether it is to be written."""
        wanted = dict.fromkeys(holds.reads, False) | dict.fromkeys(holds.writes, True)
        return [
            (lease, wanted[lease.resource])
            for lease, writes in self._leases
            if lease.resource in wanted and (writes or wanted[lease.resource])
        ]

    def _drop(self, run: str) -> None:
        self._leases = [(lease, writes) for lease, writes in self._leases if lease.run != run]

    def _alive(self, held: Lease) -> bool:
        gone = held.host == self.host and held.pid in self.ended
        return not gone and self.clock.now() - held.heartbeat < LAPSE
