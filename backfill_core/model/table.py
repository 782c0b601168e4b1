"""Where a processor's rows live: a warehouse table, or files that somebody else leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from backfill_core.model.windows import Days


@dataclass(frozen=True, slots=True)
class Table:
    """A warehouse table with one slice of rows a date."""

    #: ``dataset.table``; the target adds project, dataset map and prefix.
    name: str
    _: KW_ONLY
    #: Column by which rows belong to a date.
    date: str
    #: Its type. A TIMESTAMP belongs to the day it is in ``zone``, a STRING is a day written in ``format``.
    date_type: Literal["DATE", "TIMESTAMP", "STRING"] = "DATE"
    zone: str = "UTC"
    #: Year, month and day in that order, each of fixed width, so that texts sort as their days do.
    format: str = "%Y-%m-%d"
    #: What makes a row unique on its date (the date column itself need not be named).
    key: tuple[str, ...] = ()
    #: Column of type TIMESTAMP that says when a row was written.
    updated: str | None = None
    #: Column with a hash of each row's content; a date's hashes together tell whether its content changed.
    hash: str | None = None
    #: Until this long after a date, rows that are not there are pending rather than missing.
    settles_after: Days | None = None
    #: GoogleSQL ``CREATE TABLE``; without it the first write makes the table from what it writes.
    ddl: str | None = None
    #: Columns and values that mark this processor's rows where several processors share the table.
    only: Mapping[str, str] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        return self.name.partition(".")[0]

    @property
    def short(self) -> str:
        """The name without its dataset."""
        return self.name.partition(".")[2]

    @property
    def key_on_date(self) -> tuple[str, ...]:
        """The key's columns without the date column."""
        return tuple(column for column in self.key if column != self.date)


@dataclass(frozen=True, slots=True)
class Files:
    """Files below the target's landing folder, one a date or one a season.

    ``pattern`` is a path with ``{date}`` (YYYY-MM-DD) or ``{season}`` (the calendar's name of it) in it.
    """

    pattern: str

    @property
    def name(self) -> str:
        return f"landing {self.pattern}"
