"""A project opened on one target: everything a command works with, put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.landing_files import LandingFiles
from backfill_core.adapters.sqlite_journal import SqliteJournal, lease_words
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import Coverage
from backfill_core.dates import Span
from backfill_core.errors import BadUsage, WarehouseHeld
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.observe import closed_span, observe, read_calendars
from backfill_core.project.load import load_project
from backfill_core.project.settings import Settings, Target, find_root, load_settings
from backfill_core.queries.sql import Names

#: Folder of a project in which runs are remembered.
STATE = ".backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A project's root, settings, graph and target."""

    root: Path
    settings: Settings
    target_name: str
    target: Target
    pipeline: Pipeline
    warnings: tuple[str, ...]
    #: Folder in which its runs are remembered.
    state: Path

    @property
    def warehouse_path(self) -> Path:
        return self.root / self.target.warehouse

    @property
    def landing(self) -> LandingFiles:
        return LandingFiles(self.root / self.target.landing)

    @property
    def resource(self) -> str:
        """What a run leases: an embedded warehouse is one file with one owner."""
        return str(self.warehouse_path.resolve())

    @property
    def names(self) -> Names:
        return Names(datasets=self.target.datasets, prefix=self.target.prefix)

    def today(self, override: date | None) -> date:
        return override or datetime.now(ZoneInfo(self.settings.timezone)).date()

    def journal(self, *, read_only: bool) -> SqliteJournal:
        return SqliteJournal(self.state / "journal.sqlite", SystemClock(), read_only=read_only)

    @contextmanager
    def warehouse(self, *, read_only: bool) -> Iterator[DuckDBWarehouse]:
        """The warehouse, opened. Raises WarehouseHeld, with who holds it, before the file is touched."""
        journal = self.journal(read_only=True)
        try:
            held = journal.lease(self.resource)
        finally:
            journal.close()
        if held is not None:
            who = lease_words(held, SystemClock().now())
            raise WarehouseHeld(who=who, path=self.target.warehouse, look=f"Look: backfill status {held.run}")
        warehouse = DuckDBWarehouse(self.warehouse_path, self.names, self.root, read_only=read_only)
        try:
            yield warehouse
        finally:
            warehouse.close()

    def span(self, first: date | None, last: date | None, today: date) -> tuple[Span, dict[str, CalendarDays]]:
        """The span asked for, closed, and the calendars over it. Raises BadUsage or BeyondHorizon."""
        start = first or self.settings.from_
        if start is None:
            raise BadUsage(message="no first date. Type --from YYYY-MM-DD, or set from in [tool.backfill]")
        end = last or today
        if start > end:
            raise BadUsage(message=f"--from {start} is after --to {end}. Turn them round")
        calendars = read_calendars(self.pipeline, self.landing, Span(start, end))
        span = closed_span(start, last, max(start, today - timedelta(days=1)), calendars)
        return span, calendars if span.last == end else read_calendars(self.pipeline, self.landing, span)

    def observe(self, warehouse: DuckDBWarehouse, calendars: dict[str, CalendarDays], span: Span, today: date) -> Coverage:
        return observe(self.pipeline, warehouse, self.landing, calendars, span=span, today=today)


def open_project(folder: Path, target: str | None) -> Session:
    """Loads the project that ``folder`` is in, for one target."""
    root = find_root(folder.resolve())
    settings = load_settings(root)
    name, chosen = settings.the_target(target, root / "pyproject.toml")
    found, warnings = load_project(root)
    return Session(
        root=root,
        settings=settings,
        target_name=name,
        target=chosen,
        pipeline=Pipeline.build(found, chosen.runtime),
        warnings=tuple(warnings),
        state=root / STATE,
    )
