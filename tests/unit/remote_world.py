"""A run in memory whose processors are done by a service that a test plays: it answers, and it writes or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import Lock
from typing import Any

from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet, Span
from backfill_core.drain import Drain
from backfill_core.events import Claim, Event, Failure, Outcome, RunStarted
from backfill_core.execute import Execution, World
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, Schedule, ScheduleEntry
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Called
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.observe import observe, read_calendars
from backfill_core.plan import Plan, Request
from backfill_core.planning.make_plan import make_plan
from backfill_core.ports import BatchResult, Call, Holds
from backfill_core.run_state import RunState
from backfill_core.scheduling.terms import Terms
from backfill_core.testing import MemoryJournal, MemoryWarehouse

FIRST = date(2024, 5, 1)
DONE = Outcome(claim=Claim.DONE)
COLUMNS = {"day": "DATE", "key": "STRING", "written": "TIMESTAMP"}


def day(number: int) -> date:
    """The first day is 1."""
    return FIRST + timedelta(days=number - 1)


def lost(failure: Failure, why: str = "HTTP 500", retry_after: float | None = None) -> Outcome:
    return Outcome(claim=Claim.FAILED, failure=failure, why=why, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class Remote(Called):
    """Work that somebody else does."""

    _: KW_ONLY
    backoff: float = 0.0


def processor(name: str, layer: str = "one", *needs: Any, keys: int = 2, **called: Any) -> Processor:
    """A processor that wants ``keys`` rows a date."""
    table = Table(f"t.{name}", date="day", key=("key",), updated="written")
    run = Remote(**called)
    return Processor(name, layer=layer, calendar="daily", writes=table, needs=needs, complete_when=Rows(at_least=keys), run=run)


#: From a call, how often it has come for these units, and a pen to an outcome for each unit.
Answer = Callable[[Call, int, "Pen"], Mapping[Unit, Outcome] | Outcome]


@dataclass
class Pen:
    """Writes rows of a date into a table."""

    warehouse: MemoryWarehouse
    lock: Lock = field(default_factory=Lock)

    def write(self, name: str, on: date, keys: int = 2, written: datetime | None = None) -> None:
        stamp = written or datetime.now(UTC)
        rows = [{"day": on, "key": f"k{n}", "written": stamp} for n in range(keys)]
        with self.lock:
            self.warehouse.replace(Table(f"t.{name}", date="day", key=("key",)), [on], rows)

    def all(self, call: Call, keys: int = 2) -> Outcome:
        """Writes everything the call is about."""
        for name in call.batch.processors:
            for on in call.batch.dates:
                self.write(name, on, keys)
        return DONE


@dataclass
class Service:
    """A runner that answers as a test says, and remembers what it was asked."""

    answer: Answer
    pen: Pen
    #: Whether it looks at what it wrote, as a runner does that writes in a transaction of ours.
    inside: bool = False
    calls: list[tuple[tuple[str, ...], list[date]]] = field(default_factory=list)

    def run(self, call: Call) -> BatchResult:
        asked = (call.batch.processors, list(call.batch.dates))
        self.calls.append(asked)
        answer = self.answer(call, self.calls.count(asked), self.pen)
        if isinstance(answer, Outcome):
            answer = {Unit(name, on): answer for name in call.batch.processors for on in call.batch.dates}
        facts = {call.processor.name: self.pen.warehouse.facts(call.question)} if self.inside else {}
        return BatchResult(outcomes=answer, facts=facts)


@dataclass
class NoFiles:
    """A landing without files, but with a schedule that has two keys a day."""

    #: How many days its schedule knows.
    days: int

    def schedule(self, _: object) -> tuple[ScheduleEntry, ...]:
        return tuple(ScheduleEntry(day(number), f"k{n}", "2024", "game") for number in range(1, self.days + 1) for n in range(2))

    def files(self, _: object) -> dict[str, int]:
        return {}

    def describe(self, pattern: str) -> str:
        return pattern


@dataclass
class Told:
    """A listener that keeps what it hears, and may act on it."""

    events: list[Event] = field(default_factory=list)
    act: Callable[[Event], None] = lambda _: None

    def heard(self, run: str, events: Iterable[Event]) -> None:  # noqa: ARG002
        for event in events:
            self.events.append(event)
            self.act(event)


@dataclass
class Bench:
    """A graph over some days, with tables that may hold something already."""

    values: tuple[Any, ...]
    days: int = 5
    #: Whether the calendar knows the keys of each day.
    keyed: bool = False
    warehouse: MemoryWarehouse = field(default_factory=MemoryWarehouse)
    drain: Drain = field(default_factory=Drain)
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        layers = () if any(isinstance(value, Layer) for value in self.values) else (Layer("one"),)
        daily = (
            Schedule("daily", files="s.csv", date="day", key="key", season="season", type="type", expected=("game",))
            if self.keyed
            else EveryDay("daily", since=FIRST)
        )
        values = [daily, *layers, *self.values]
        self.landing = NoFiles(self.days)
        self.pipeline = Pipeline.build([Declared(value, "f.py") for value in values], "local")
        self.pen = Pen(self.warehouse)
        for name in self.pipeline.processors:
            self.warehouse.declare(f"t.{name}", COLUMNS)

    def plan(self, **asked: Any) -> tuple[Plan, Coverage]:
        span, today = Span(FIRST, day(self.days)), day(self.days + 10)
        calendars = read_calendars(self.pipeline, self.landing, span)
        coverage = observe(self.pipeline, self.warehouse, self.landing, calendars, span=span, today=today)
        through = self.pipeline.layers[-1].name
        return make_plan(self.pipeline, coverage, Request(target="t", span=span, today=today, through=through, **asked)), coverage

    def execution(
        self,
        answer: Answer,
        *,
        terms: Terms | None = None,
        asked: Mapping[str, Any] | None = None,
        inside: bool = False,
        **more: Any,
    ) -> Execution:
        plan, coverage = self.plan(**(asked or {}))
        self.service = Service(answer, self.pen, inside)
        world = World(
            warehouse=self.warehouse,
            landing=self.landing,
            runners={Remote: self.service},  # type: ignore[dict-item]
            journal=MemoryJournal(SystemClock()),
            clock=SystemClock(),
            listeners=(self.told,),
        )
        return Execution(
            self.pipeline,
            plan,
            coverage,
            world,
            today=plan.request.today,
            terms=terms or Terms(concurrency=1),
            drain=self.drain,
            **more,
        )

    def run(self, answer: Answer, **more: Any) -> RunState:
        return self.start(self.execution(answer, **more))

    def start(self, execution: Execution) -> RunState:
        started = RunStarted(at=datetime.now(UTC), pid=1, host="here", command="test", target="t", plan=execution.plan.to_json())
        return execution.run(started, Holds(writes=["w"]))

    def heard(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told.events if isinstance(event, kind)]

    def days_called(self, name: str) -> list[int]:
        """Numbers of the days that left, of one processor, in the order of leaving."""
        return [(on - FIRST).days + 1 for names, days in self.service.calls if name in names for on in days]


def days(*numbers: int) -> DateSet:
    return DateSet.of(*map(day, numbers))
