"""Schedules that stand in BigQuery's tables, where others keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from backfill_core.adapters.bigquery_errors import reason_of, words_of
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.errors import BackfillError, EmptyCalendar, UnreadableTable
from backfill_core.model.calendar import Schedule, ScheduleEntry
from backfill_core.model.table import Files, Table
from backfill_core.ports import Landing
from backfill_core.queries.dialect import BIGQUERY
from backfill_core.queries.schedule_sql import schedule_entries, schedule_query


class TableSchedules:
    """Landing files, but for calendars whose entries stand in a table: each of those is asked for once."""

    def __init__(self, landing: Landing, tables: Mapping[str, Table], open_warehouse: Callable[[], BigQueryWarehouse]) -> None:
        """``tables`` are those of calendars, by name; ``open_warehouse`` is asked where none is lent."""
        self._landing = landing
        self._tables = tables
        self._open = open_warehouse
        self._lent: BigQueryWarehouse | None = None
        self._known: dict[str, tuple[ScheduleEntry, ...]] = {}

    @contextmanager
    def lent(self, warehouse: BigQueryWarehouse) -> Iterator[None]:
        """While it is lent, a warehouse is asked that is open anyway."""
        self._lent = warehouse
        try:
            yield
        finally:
            self._lent = None

    def schedule(self, calendar: Schedule) -> tuple[ScheduleEntry, ...]:
        """Raises EmptyCalendar for a table that is not there, UnreadableTable or CloudError."""
        if calendar.name not in self._tables:
            return self._landing.schedule(calendar)
        if calendar.name not in self._known:
            self._known[calendar.name] = self._asked(calendar, self._tables[calendar.name])
        return self._known[calendar.name]

    def files(self, source: Files) -> Mapping[str, int]:
        return self._landing.files(source)

    def describe(self, pattern: str) -> str:
        return self._landing.describe(pattern)

    def _asked(self, calendar: Schedule, table: Table) -> tuple[ScheduleEntry, ...]:
        if self._lent is not None:
            return _entries(self._lent, calendar, table)
        warehouse = self._open()
        try:
            return _entries(warehouse, calendar, table)
        finally:
            warehouse.close()


def _entries(warehouse: BigQueryWarehouse, calendar: Schedule, table: Table) -> tuple[ScheduleEntry, ...]:
    try:
        rows = warehouse.ask(f"calendar {calendar.name}", "none", schedule_query(calendar, table, BIGQUERY, warehouse.names))
    except BackfillError:
        raise
    except Exception as error:
        if reason_of(error) == "notFound":
            warehouse.schema([table.dataset])  # tells of a dataset that is in another location
            problem = f"{table.name} is not there" + (": backfill create-tables --yes makes it" if table.ddl else "")
            raise EmptyCalendar(calendar=calendar.name, problem=problem) from error
        raise UnreadableTable(table=table.name, problem=f"calendar {calendar.name}: {words_of(error)}") from error
    return schedule_entries(rows)
