"""The least a warehouse and a runner can be: a row count a date, written by calls that take as long as they are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import sleep

from backfill_core.adapters.sqlite_journal import SqliteJournal
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import DateFacts
from backfill_core.dates import Span, day_number
from backfill_core.drain import Drain
from backfill_core.events import Claim, Outcome, RunStarted
from backfill_core.execute import Execution, World
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay
from backfill_core.model.expectations import Rows
from backfill_core.model.needs import Need
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Called
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.model.windows import days
from backfill_core.observe import observe, read_calendars
from backfill_core.plan import Plan, Request
from backfill_core.planning.make_plan import make_plan
from backfill_core.ports import BatchResult, Call, Holds, Listener
from backfill_core.queries.question import TableQuestion
from backfill_core.run_state import RunState
from backfill_core.scheduling.terms import Terms

FIRST = date(2014, 1, 1)
_DONE = Outcome(claim=Claim.DONE)


@dataclass(frozen=True, slots=True)
class Sleep(Called):
    """Takes a while, then leaves a row."""

    _: KW_ONLY


@dataclass
class Counts:
    """Tables that are the number of rows on each day."""

    tables: dict[str, dict[int, int]] = field(default_factory=dict)
    asked: int = 0

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:  # noqa: ARG002
        return {name: {"day": "DATE", "n": "INT64"} for name in self.tables}

    def observe(self, question: TableQuestion) -> DateFacts:
        self.asked += 1
        return self.facts(question)

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        return list(map(self.observe, questions))

    def facts(self, question: TableQuestion) -> DateFacts:
        held = self.tables[question.table.name]
        first, last = day_number(question.span.first), day_number(question.span.last)
        rows = {day: held[day] for day in range(first, last + 1) if day in held}
        return DateFacts(rows=rows, distinct=rows)

    def close(self) -> None:
        """There is nothing to let go."""


@dataclass
class Sleeper:
    """Sleeps as long as each unit takes, and writes its row.

    ``inside``: it looks at it too, as a runner with a transaction of ours does; else somebody has to look afterwards.
    """

    warehouse: Counts
    seconds: Mapping[Unit, float]
    inside: bool

    def run(self, call: Call) -> BatchResult:
        name, outcomes = call.processor.name, {}
        for day in call.batch.dates:
            unit = Unit(name, day)
            if self.seconds:
                sleep(self.seconds[unit])
            self.warehouse.tables[call.question.table.name][day_number(day)] = 1
            outcomes[unit] = _DONE
        return BatchResult(outcomes=outcomes, facts={name: self.warehouse.facts(call.question)} if self.inside else {})


@dataclass
class NoFiles:
    """A landing without files."""

    def schedule(self, _: object) -> tuple[()]:
        return ()

    def files(self, _: object) -> dict[str, int]:
        return {}

    def describe(self, pattern: str) -> str:
        return pattern


def row_of(count: int, *, window_on_last: bool = False) -> list[Processor]:
    """Processors in a row, each needing the same date of the one before; the last a window of ten days on it, if asked."""
    found = []
    for place in range(count):
        window = {"window": days(10)} if window_on_last and place == count - 1 else {}
        needs = (Need(f"p{place - 1}", **window),) if place else ()
        table = Table(f"b.p{place}", date="day", key=("n",))
        found.append(
            Processor(f"p{place}", layer="one", calendar="daily", writes=table, needs=needs, complete_when=Rows(), run=Sleep())
        )
    return found


@dataclass
class Bench:
    """An empty warehouse, and a plan to fill it."""

    processors: list[Processor]
    count: int
    seconds: Mapping[Unit, float] = field(default_factory=dict)
    inside: bool = True
    listeners: tuple[Listener, ...] = ()

    def __post_init__(self) -> None:
        values = [EveryDay("daily", since=FIRST), Layer("one"), *self.processors]
        self.pipeline = Pipeline.build([Declared(value, "f.py") for value in values], "local")

    def run(self, journal: Path, concurrency: int) -> tuple[Plan, RunState]:
        """Plans and carries out, with a durable journal there."""
        warehouse, clock = Counts({f"b.{p.name}": {} for p in self.processors}), SystemClock()
        span = Span(FIRST, FIRST + timedelta(days=self.count - 1))
        calendars = read_calendars(self.pipeline, NoFiles(), span)
        coverage = observe(self.pipeline, warehouse, NoFiles(), calendars, span=span, today=date(2024, 1, 1))
        plan = make_plan(self.pipeline, coverage, Request(target="t", span=span, today=date(2024, 1, 1), through="one"))
        store = SqliteJournal(journal, clock, read_only=False)
        world = World(
            warehouse=warehouse,
            landing=NoFiles(),
            runners={Sleep: Sleeper(warehouse, self.seconds, self.inside)},  # type: ignore[dict-item]
            journal=store,
            clock=clock,
            listeners=self.listeners,
        )
        execution = Execution(
            self.pipeline,
            plan,
            coverage,
            world,
            today=plan.request.today,
            terms=Terms(concurrency=concurrency),
            drain=Drain(),
        )
        started = RunStarted(at=datetime.now(UTC), pid=1, host="h", command="bench", target="t", plan=plan.to_json())
        state = execution.run(started, Holds(writes=["w"]))
        store.close()
        return plan, state
