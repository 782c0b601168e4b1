"""What the engine asks of the world. Adapters answer; nothing here does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a command that only plans needs no events, and loading them would show in its time
    from backfill_core.coverage import DateFacts, KeysFound
    from backfill_core.events import Event, Instruction, Outcome, RunStarted
    from backfill_core.model.calendar import Schedule, ScheduleEntry, Season
    from backfill_core.model.processor import Processor
    from backfill_core.model.runs import RunSpec
    from backfill_core.model.table import Files, Table
    from backfill_core.model.units import Batch, Unit
    from backfill_core.planning.contents import ContentColumn
    from backfill_core.queries.question import NamingQuestion, TableQuestion


class Warehouse(Protocol):
    """Tables that can be asked about. There is no free query: the engine asks questions it has a type for."""

    @property
    def asked(self) -> int:
        """How many queries were sent so far; those inside a writing transaction are not among them."""

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        """Columns and types of every table in those datasets, by ``dataset.table``."""

    def observe(self, question: TableQuestion) -> DateFacts:
        """The facts of one table. Raises UnreadableTable."""

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        """The facts of several, in their order, asked side by side where that is faster. Raises UnreadableTable."""

    def differing_keys(self, question: NamingQuestion, limit: int) -> KeysFound:
        """Which keys lack on a day and which are beyond what is wanted or break a rule, at most ``limit`` of each named.

        In one query. Their numbers are those that ``observe`` counts. Raises UnreadableTable.
        """

    def close(self) -> None: ...


class Landing(Protocol):
    """Files that others leave, below a target's landing folder."""

    def schedule(self, calendar: Schedule) -> tuple[ScheduleEntry, ...]:
        """Every entry of a schedule, of its files or its table. Raises LandingError; of a table what `TableSchedules` raises."""

    def files(self, source: Files) -> Mapping[str, int]:
        """The files of a source by path, with the microseconds since 1970 at which each was last changed."""

    def describe(self, pattern: str) -> str:
        """Where files of that pattern are looked for, as a person would type it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why and when a batch is called: what a program or a service may be told beside its dates."""

    #: The run's name in its journal, and a text that no other run has anywhere.
    run: str = ""
    run_key: str = ""
    #: Which call of these units it is, from 1 on.
    attempt: int = 1
    #: Why its units are planned.
    reasons: tuple[str, ...] = ()
    #: Whether rows that are there are to be written anew.
    forced: bool = False
    #: Whether any of its dates holds rows.
    has_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One batch as a runner gets it."""

    batch: Batch
    processor: Processor
    spec: RunSpec
    #: What to ask of the processor's first table to verify it, over the batch's dates.
    question: TableQuestion
    #: The tables it may name, by processor.
    tables: Mapping[str, Table]
    #: The same of each further table that the processor fills, by its short name.
    also: Mapping[str, TableQuestion] = field(default_factory=dict)
    #: The sources of files it may read, by processor.
    sources: Mapping[str, Files] = field(default_factory=dict)
    #: The columns to fill that say what each date's rows were computed from.
    contents: tuple[ContentColumn, ...] = ()
    #: Seasons of the processor's calendar, by which files of a season are named.
    seasons: tuple[Season, ...] = ()
    #: Whether a date may hold fewer distinct keys than before.
    allow_shrink: bool = False
    #: The specs of all processors of the batch, by name.
    specs: Mapping[str, RunSpec] = field(default_factory=dict)
    occasion: Occasion = Occasion()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What came of a call: an outcome for every unit of its batch."""

    outcomes: Mapping[Unit, Outcome]
    #: What the table held before the writing transaction was committed, by processor; none where the runner
    #: does not write in a transaction of ours and its claims have to be observed afterwards.
    facts: Mapping[str, DateFacts] = field(default_factory=dict)


class Runner(Protocol):
    """Carries out batches. Called from several threads at once. It raises nothing for work that fails: that is an outcome."""

    def run(self, call: Call) -> BatchResult: ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The instant, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """What a run leases: nobody else may hold what it writes, nor write what it reads."""

    writes: Collection[str]
    reads: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who holds what, since when, and when it was last heard of."""

    resource: str
    run: str
    pid: int
    host: str
    since: datetime
    heartbeat: datetime


class Journal(Protocol):
    """What runs did, append-only, and who holds what. It never says what state a unit is in."""

    def begin(self, started: RunStarted, holds: Holds) -> str:
        """Takes the leases and records the run's start as one thing; returns the run's name. Raises WarehouseHeld."""

    def append(self, run: str, events: Iterable[Event]) -> None:
        """Records events as one commit, and renews the run's leases. Raises LeaseLost when another run took it."""

    def end(self, run: str, event: Event) -> None:
        """Records the last event and gives the lease back, as one thing."""

    def events(self, run: str, *, after: int = 0) -> list[tuple[int, Event]]:
        """A run's events with their numbers, those after a number."""

    def runs(self) -> list[str]:
        """Names of all runs, oldest first."""

    def unit_events(self, target: str, unit: Unit) -> Iterator[tuple[str, Sequence[Event]]]:
        """Newest run on a target first, of those that say anything of a unit: the run and, in their order, the events that
        tell of the unit, with the ends of the calls it was in.
        """

    def durations(self, target: str) -> Mapping[str, Sequence[float]]:
        """Seconds a unit took on a target, by processor: lately verified units, and none that wrote nothing."""

    def lease(self, resource: str) -> Lease | None:
        """Who holds a resource now; a lease that has lapsed is none."""

    def held_by(self, run: str) -> Lease | None:
        """The lease that a run holds now; one that has lapsed is none."""

    def renew(self, run: str) -> None:
        """Gives a sign of life. Raises LeaseLost when another run took the lease."""

    def instruct(self, run: str, instruction: Instruction) -> int:
        """Leaves an instruction for a run, and returns its number. Raises NotUnderWay."""

    def instructions(self, run: str, *, after: int = 0) -> list[tuple[int, Instruction]]:
        """What was asked of a run, with numbers, those after a number."""

    def close(self) -> None: ...


class Listener(Protocol):
    """Somebody who follows a run's events: a terminal, a log."""

    def heard(self, run: str, events: Iterable[Event]) -> None: ...


class Notifier(Protocol):
    """Tells people that something happened."""

    def notify(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What a Python processor is given beside its dates.

    ``cursor`` is a DB-API cursor in the transaction that writes; its ``sql`` returns a relation that may be returned.
    """

    cursor: Any
    #: Quoted names of the tables the processor writes and needs, by processor.
    tables: Mapping[str, str]
    #: Paths of the files of each needed source that exist, by processor and then by day.
    files: Mapping[str, Mapping[date, str]]
