"""What a schedule's table says is to be expected, as a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from backfill_core.dates import EPOCH, LAST_DAY, Span
from backfill_core.model.calendar import Schedule, ScheduleEntry
from backfill_core.model.table import Table
from backfill_core.queries.dialect import Dialect, Names, Query
from backfill_core.queries.slices import Slice

_EVER = Span(EPOCH, LAST_DAY)


def schedule_query(calendar: Schedule, table: Table, dialect: Dialect, names: Names) -> Query:
    """The rows (day, key, season, type) of a table, each once: all days of it, for seasons begin where its rows do.

    The filter leaves none out, and is there for tables that answer no question without one.
    """
    own = Slice(table, "t", _EVER, dialect, names)
    columns = (calendar.key, calendar.season, calendar.type)
    texts = [f"CAST({own.column(name)} AS STRING) AS c{place}" for place, name in enumerate(columns)]
    return Query(f"SELECT DISTINCT {own.day} AS day, {', '.join(texts)} FROM {own.rows()}", own.params)


def schedule_entries(rows: Iterable[Sequence[Any]]) -> tuple[ScheduleEntry, ...]:
    """The entries in such rows; what lacks is empty, as in a file."""
    return tuple(ScheduleEntry(day=day, key=key or "", season=season or "", type=kind or "") for day, key, season, kind in rows)
