"""What services of a local cloud do: a project's own `Sql` and `Python` specs, computed where the rows are.

The very runners of an embedded warehouse do the work, on the tables of a BigQuery on this machine; but as services do it, with
nothing verified and no guard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from backfill_core.adapters.duckdb_runners import PythonRunner, SqlRunner
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.calls import make_call
from backfill_core.coverage import NO_FACTS, DateFacts
from backfill_core.dates import DateSet, Span
from backfill_core.errors import BadUsage
from backfill_core.events import Claim
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.runs import Python, Sql
from backfill_core.model.table import Table
from backfill_core.model.units import Batch
from backfill_core.model.windows import SameDate
from backfill_core.queries.asking import sql_path
from backfill_core.queries.dialect import DUCKDB, Names
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.slices import Slice
from backfill_core.testing.layer_services import Job

if TYPE_CHECKING:
    import duckdb

    from backfill_core.testing.bigquery_engine import Engine


class _EngineTables(DuckDBWarehouse):
    """An engine's tables as the runners of an embedded warehouse see them. Nothing is verified: whoever calls looks."""

    def __init__(self, engine: Engine, names: Names, root: Path) -> None:
        self.engine = engine
        super().__init__(root / "nowhere", names, root, read_only=True, connection=engine.cursor())

    def facts(self, question: TableQuestion, cursor: duckdb.DuckDBPyConnection) -> DateFacts:  # noqa: ARG002
        return NO_FACTS

    def make_declared(self, tables: Iterable[Table], cursor: duckdb.DuckDBPyConnection) -> None:
        """Services make no tables."""


class LocalJobs:
    """The jobs of a project's processors."""

    def __init__(
        self,
        pipeline: Pipeline,
        engine: Engine,
        names: Names,
        calendars: Mapping[str, CalendarDays],
        root: Path,
        landing: Path,
    ) -> None:
        """``pipeline`` is the graph whose specs compute; ``names`` are those of the tables in the engine."""
        self.pipeline = pipeline
        self.engine = engine
        self.calendars = calendars
        self.tables = _EngineTables(engine, names, root)
        files = {
            name: root / sql_path(pipeline, name, spec.file)
            for name, processor in pipeline.processors.items()
            if isinstance(spec := processor.spec_for(pipeline.runtime), Sql)
        }
        self._sql = SqlRunner(self.tables, files)
        self._python = PythonRunner(self.tables, landing)
        self._numbers = count(1)

    def job(self, name: str) -> Job:
        """The work of a processor. Raises BadUsage where this machine cannot do it."""
        spec = self.pipeline.processors[name].spec_for(self.pipeline.runtime)
        match spec:
            case Sql() | Python(process=False):
                pass
            case _:
                what = f'"{name}" has no Sql or Python for runtime "{self.pipeline.runtime}", so that no service here can do it'
                raise BadUsage(message=what)
        return Job(lambda days: self._write(name, days), lambda day: self._lacks(name, day))

    def _write(self, name: str, days: Sequence[date]) -> int:
        """Computes and replaces the rows of those of the days that anything is expected on; how many there are."""
        processor = self.pipeline.processors[name]
        calendar = self.calendars[processor.calendar]
        wanted = DateSet.of(*days) & calendar.expected
        if processor.warmup:
            wanted -= calendar.warming_up(processor.warmup.count)
        if not wanted:
            return 0
        batch = Batch(number=next(self._numbers), processors=(name,), dates=wanted)
        call = make_call(self.pipeline, self.calendars, batch, allow_shrink=True)
        runner = self._sql if isinstance(call.spec, Sql) else self._python
        wrong = [each for each in runner.run(call).outcomes.values() if each.claim is not Claim.DONE]
        if wrong:
            raise RuntimeError(wrong[0].why)
        for table in processor.tables.values():
            self.engine.tables[self.tables.names.parts(table)[-2:]].modified = datetime.now(UTC)  # type: ignore[index]
        return sum(self._count(table, day) for table in processor.tables.values() for day in wanted)

    def _lacks(self, name: str, day: date) -> str:
        """The upstream that a date of a processor cannot do without and that holds nothing on it."""
        for edge in self.pipeline.edges_into[name]:
            if edge.kind is EdgeKind.HARD and isinstance(edge.window, SameDate):
                held = [self.pipeline.processors[up].writes for up in edge.upstreams]
                if not any(isinstance(table, Table) and self._count(table, day) for table in held):
                    return f"{' or '.join(edge.upstreams)} holds nothing on {day}"
        return ""

    def _count(self, table: Table, day: date) -> int:
        rows = Slice(table, "t", Span(day, day), DUCKDB, self.tables.names)
        with self.tables.cursor() as cursor:
            (found,) = cursor.execute(f"SELECT COUNT(*) FROM {rows.rows()}", rows.params).fetchall()[0]
        return int(found)
