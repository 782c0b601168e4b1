"""A project opened on one target: everything a command works with, put together."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from backfill_core.adapters.sqlite_journal import SqliteJournal, lease_words
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import Coverage
from backfill_core.dates import ONE_DAY, DateSet, Span
from backfill_core.errors import BadUsage, InvalidProject, JournalError, WarehouseHeld
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.reviews import Accepted, Reviews
from backfill_core.observe import closed_span, observe, read_calendars, season_span
from backfill_core.ports import Holds, Landing, Warehouse
from backfill_core.project.load import BrokenFiles, check_sql_files, load_project
from backfill_core.project.reviews import check_range, read_reviews
from backfill_core.project.set_names import check_set_names
from backfill_core.project.settings import GcpTarget, LocalTarget, Settings, Target
from backfill_core.project.settings_sources import environment, find_root, load_settings, settings_file
from backfill_core.project.targets import file_resource, holds_of, landing_folder, open_landing, open_warehouse
from backfill_core.reports.words import Head

if TYPE_CHECKING:
    from backfill_core.adapters.bigquery_schedules import TableSchedules
    from backfill_core.project.targets import OpenWarehouse

#: Folder of a project in which runs are remembered.
STATE = ".backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The closed span of a request, why it ends where it does, and the calendars over it."""

    span: Span
    #: A word for the end where none was typed.
    ends: str
    calendars: dict[str, CalendarDays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A project's root, settings and target, without its graph: enough to read its journal, whatever its files hold."""

    root: Path
    settings: Settings
    target_name: str
    target: Target
    #: Folder in which runs are remembered.
    state: Path

    @property
    def warehouse_path(self) -> Path:
        """The file of an embedded warehouse. Raises BadUsage where the warehouse is none."""
        if not isinstance(self.target, LocalTarget):
            raise BadUsage(message=f'target "{self.target_name}" keeps its tables in no file')
        return self.root / self.target.warehouse

    @property
    def logs(self) -> Path:
        """Where a run writes ``<run>.log``, and runners what a call said: ``<run>/<call>.log``."""
        return self.state / "logs"

    def head(self, command: str, span: Span, ends: str) -> Head:
        """What a command's first line says."""
        return Head(
            command=command,
            target=self.target_name,
            project=self.project_words,
            span=span,
            ends=ends,
            zone=self.settings.timezone,
        )

    @property
    def project_words(self) -> str:
        """The project's name, with that of the cloud project its tables are in."""
        cloud = f" ({self.target.project})" if isinstance(self.target, GcpTarget) else ""
        return self.root.name + cloud

    @property
    def variables(self) -> dict[str, str]:
        """What specs may name: the environment's variables, else those of .env, else those of the target's settings."""
        return {**self.target.variables, **environment(self.root, os.environ)}

    def journal(self, *, read_only: bool) -> SqliteJournal:
        return SqliteJournal(self.state / "journal.sqlite", SystemClock(), read_only=read_only)

    def durations(self) -> Mapping[str, Sequence[float]]:
        """Seconds that units took on this target lately, by processor."""
        journal = self.journal(read_only=True)
        try:
            return journal.durations(self.target_name)
        finally:
            journal.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Place):
    """A project opened on one target, with its graph."""

    pipeline: Pipeline
    warnings: tuple[str, ...]
    #: What people waived and accepted, whatever the target and the day.
    reviews: Reviews

    #: The landing files.
    files: Landing
    #: Schedules that stand in tables of the target; None: all stand in landing files.
    schedules: TableSchedules | None

    @property
    def landing(self) -> Landing:
        """Where landing files are looked for, and schedules read."""
        return self.schedules or self.files

    def today(self, override: date | None) -> date:
        return override or datetime.now(ZoneInfo(self.settings.timezone)).date()

    @contextmanager
    def warehouse(self, *, read_only: bool, otherwise: str = "") -> Iterator[OpenWarehouse]:
        """The warehouse, opened. Raises WarehouseHeld, with who holds an embedded one, before its file is touched.

        ``otherwise`` is what else there is to do then.
        """
        if isinstance(self.target, LocalTarget):
            # The file itself has a lock: a journal that cannot be read keeps nobody from looking, and every run from starting.
            with suppress(*([JournalError] if read_only else [])):
                self._refuse_held(self.target, otherwise)
        warehouse = open_warehouse(self.target, self.root, self.pipeline, read_only=read_only)
        try:
            with self._lent(warehouse):
                yield warehouse
        finally:
            warehouse.close()

    def _lent(self, warehouse: OpenWarehouse) -> AbstractContextManager[None]:
        """Schedules that stand in tables are asked of the warehouse that is open."""
        if self.schedules is None or isinstance(self.target, LocalTarget):
            return nullcontext()
        return self.schedules.lent(warehouse)  # type: ignore[arg-type]  # of such a target it is BigQuery's

    def looked_through(self, *, last_observed: bool) -> AbstractContextManager[OpenWarehouse | None]:
        """The warehouse, opened to be read; none where what a run last observed will do."""
        if last_observed:
            return nullcontext()
        return self.warehouse(read_only=True, otherwise=". Or, by what it last saw: --last-observed")

    def _refuse_held(self, target: LocalTarget, otherwise: str) -> None:
        journal = self.journal(read_only=True)
        try:
            held = journal.lease(file_resource(target, self.root))
        finally:
            journal.close()
        if held is not None:
            who = lease_words(held, SystemClock().now())
            look = f"Look: backfill status {held.run}{otherwise}"
            raise WarehouseHeld(who=who, what=f"the warehouse {target.warehouse}", look=look)

    def holds(self, planned: Collection[str]) -> Holds:
        """What a run that calls those processors leases."""
        return holds_of(self.target, self.root, self.pipeline, planned)

    def season(self, name: str) -> Span:
        """The span of a season, as the calendars know it. Raises UnknownSeason."""
        today = self.today(None)
        return season_span(name, read_calendars(self.pipeline, self.landing, Span(today, today)))

    def span(
        self,
        first: date | None,
        last: date | None,
        today: date,
        *,
        dates: DateSet | None = None,
        open_end: bool = False,
    ) -> Asked:
        """The span asked for, closed: from ``first`` to ``last``; with dates and no span, theirs.

        With ``open_end`` dates say only where it begins.

        Raises BadUsage or BeyondHorizon.
        """
        yesterday = today - ONE_DAY
        if dates is not None:
            if not dates & DateSet.of_span(Span(first or dates.first, max(first or dates.first, last or dates.last))):
                raise BadUsage(message=f"none of the dates ({dates.span}) lies between --from and --to")
            first, last = first or dates.first, last or (None if open_end else dates.last)
        start = first or self.settings.from_
        if start is None:
            raise BadUsage(message="no first date. Type --from YYYY-MM-DD, or set from in [tool.backfill]")
        if last is None and start > yesterday:
            raise BadUsage(message=f"--from {start} is after yesterday, {yesterday}. To plan ahead, type --to too")
        if last is not None and start > last:
            raise BadUsage(message=f"--from {start} is after --to {last}. Turn them round")
        calendars = read_calendars(self.pipeline, self.landing, Span(start, last or yesterday))
        span, ends = closed_span(start, last, yesterday, calendars)
        return Asked(span=span, ends=ends, calendars=calendars)

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """What was accepted of this target's rows."""
        return tuple(review for review in self.reviews.accepted if review.target == self.target_name)

    def reviews_of(self, calendars: dict[str, CalendarDays], *, waive: bool = True) -> Reviews:
        """What people decided, as far as it is to be taken into account. Raises BadReviews."""
        check_range(self.reviews, self.pipeline, calendars)
        return Reviews(waivers=self.reviews.waivers if waive else (), accepted=self.accepted)

    def observe(
        self,
        warehouse: Warehouse,
        calendars: dict[str, CalendarDays],
        span: Span,
        today: date,
        *,
        waive: bool = True,
    ) -> Coverage:
        """What the tables hold, judged with what people decided; ``waive=False`` leaves waivers out. Raises BadReviews."""
        reviews = self.reviews_of(calendars, waive=waive)
        return observe(self.pipeline, warehouse, self.landing, calendars, span=span, today=today, reviews=reviews)


def open_place(folder: Path, target: str | None) -> Place:
    """Loads the settings of the project that ``folder`` is in, for one target."""
    root = find_root(folder.resolve())
    settings = load_settings(root)
    name, chosen = settings.the_target(target, settings_file(root))
    return Place(root=root, settings=settings, target_name=name, target=chosen, state=root / STATE)


def open_project(folder: Path, target: str | None) -> Session:
    """Loads the project that ``folder`` is in, settings and files, for one target."""
    place = open_place(folder, target)
    try:
        found, warnings = load_project(place.root)
    except BrokenFiles as broken:
        others = Pipeline.problems_of_some(broken.found, place.target.runtime)
        raise InvalidProject([*broken.problems, *others]) from broken
    if isinstance(place.target, LocalTarget) and not place.warehouse_path.exists():
        warnings.append(f"warehouse {place.target.warehouse} is not there yet; the first run makes it")
    pipeline = Pipeline.build(found, place.target.runtime)
    landing = landing_folder(place.target, place.root)
    if landing is not None and not landing.is_dir() and pipeline.reads_files:
        warnings.append(f"landing folder {landing} is not there")
    check_sql_files(place.root, pipeline)
    check_set_names(pipeline, place.root, place.target_name, place.target)
    if place.target.prefix or place.target.datasets:
        from backfill_core.project.passing_on import check_services_told

        check_services_told(pipeline, place.target_name, place.target)
    files = open_landing(place.target, place.root)
    return Session(
        files=files,
        schedules=_schedules(place, pipeline, files),
        root=place.root,
        settings=place.settings,
        target_name=place.target_name,
        target=place.target,
        state=place.state,
        pipeline=pipeline,
        warnings=tuple(warnings),
        reviews=read_reviews(place.root, pipeline),
    )


def _schedules(place: Place, pipeline: Pipeline, files: Landing) -> TableSchedules | None:
    """The schedules that stand in tables of the target, if any."""
    tables = pipeline.schedule_tables()
    if not tables:
        return None
    from backfill_core.adapters.bigquery_schedules import TableSchedules
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse

    def opened() -> BigQueryWarehouse:
        warehouse = open_warehouse(place.target, place.root, pipeline, read_only=True)
        assert isinstance(warehouse, BigQueryWarehouse), "nowhere else are schedules in tables"
        return warehouse

    return TableSchedules(files, tables, opened)
