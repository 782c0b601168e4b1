"""The rows that one table holds on the days of a span, as SQL.

The filter stands on the raw date column, with bounds of its own type and nothing wrapped round it: only so do partitions
prune. Which day a row belongs to is an expression where the column is no DATE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from backfill_core.dates import ONE_DAY, Span
from backfill_core.model.table import Table
from backfill_core.queries.dialect import Dialect, Names, Query


@dataclass(frozen=True, slots=True)
class Slice:
    """One table under an alias, over a span of days. Its parameters end in the alias, so that several stand in one query."""

    table: Table
    alias: str
    span: Span
    dialect: Dialect
    names: Names

    def column(self, name: str) -> str:
        return f"{self.alias}.{self.dialect.name(name)}"

    @property
    def day(self) -> str:
        """The day that a row belongs to."""
        raw = self.column(self.table.date)
        match self.table.date_type:
            case "DATE":
                return raw
            case "TIMESTAMP":
                return self.dialect.local_day.format(raw, self._param("zone"))
            case "STRING":
                return self.dialect.parsed_day.format(raw, self._param("format"))

    def listed(self, columns: Iterable[str], aliases: Iterable[str]) -> str:
        return ", ".join(f"{self.column(name)} AS {alias}" for name, alias in zip(columns, aliases, strict=True))

    @property
    def relation(self) -> str:
        return f"{self.dialect.name(*self.names.parts(self.table))} AS {self.alias}"

    @property
    def where(self) -> str:
        day = self.column(self.table.date)
        if self.table.date_type == "TIMESTAMP":
            between = f"{day} >= {self._param('first')} AND {day} < {self._param('last')}"
        else:
            between = f"{day} BETWEEN {self._param('first')} AND {self._param('last')}"
        only = [f"{self.column(name)} = {self._param(f'only{place}')}" for place, name in enumerate(self.table.only)]
        return " AND ".join([between, *only])

    def rows(self, *also: str) -> str:
        """What stands after FROM: the table and its filter."""
        return f"{self.relation} WHERE {' AND '.join([self.where, *also])}"

    @property
    def params(self) -> dict[str, Any]:
        """Values of everything that ``where`` and ``day`` name."""
        first, last = bounds(self.table, self.span)
        values = {"first": first, "last": last} | {f"only{place}": value for place, value in enumerate(self.table.only.values())}
        match self.table.date_type:
            case "TIMESTAMP":
                values["zone"] = self.table.zone
            case "STRING":
                values["format"] = self.table.format
            case "DATE":
                pass
        return {f"{name}_{self.alias}": value for name, value in values.items()}

    def _param(self, name: str) -> str:
        return self.dialect.param(f"{name}_{self.alias}")


def bounds(table: Table, span: Span) -> tuple[Any, Any]:
    """A span in values of the date column: first and last; of a TIMESTAMP the first instant and the first one after it."""
    match table.date_type:
        case "DATE":
            return span.first, span.last
        case "TIMESTAMP":
            return _midnight(span.first, table.zone), _midnight(span.last + ONE_DAY, table.zone)
        case "STRING":
            return span.first.strftime(table.format), span.last.strftime(table.format)


def _midnight(day: date, zone: str) -> datetime:
    # Not every table has a zone, and a plan that meets none need not load any.
    from zoneinfo import ZoneInfo

    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def together(*parts: Query) -> Query:
    """One query with the rows of several of the same columns."""
    if len(parts) == 1:
        return parts[0]
    params: dict[str, Any] = {}
    for part in parts:
        params |= part.params
    return Query(" UNION ALL ".join(f"({part.text})" for part in parts), params)
