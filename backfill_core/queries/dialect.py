"""Where a target keeps its tables, and the few words in which engines differ.

What GoogleSQL and DuckDB read the same way is written once; so asking needs no translator, whose import alone would cost a
sixth of a plan's time. Identifiers pass through ``Dialect.name``, values are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backfill_core.model.table import Table


@dataclass(frozen=True, slots=True)
class Names:
    """Where a target keeps its tables: renamed datasets and a prefix before each."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    project: str | None = None

    def parts(self, table: Table | str) -> tuple[str, ...]:
        """The path of a table on this target, outermost part first."""
        dataset, _, name = (table if isinstance(table, str) else table.name).partition(".")
        own = (self.prefix + self.datasets.get(dataset, dataset), name)
        return (self.project, *own) if self.project else own


@dataclass(frozen=True, slots=True)
class Dialect:
    """The words in which engines differ."""

    #: Quotes identifiers.
    quote: str
    #: What stands inside one for a sign that would end it, in this order.
    escapes: tuple[tuple[str, str], ...]
    #: Stands before a parameter's name.
    marker: str
    #: Microseconds since 1970 of a timestamp.
    micros: str
    #: Rows (day) from a parameter that is an array of days.
    unnest: str
    #: Rows (day, reach) from two such parameters, place by place.
    unnest_pairs: str
    #: The day of a timestamp in a zone; the day that a text in a format is.
    local_day: str
    parsed_day: str
    #: One hash of all the texts in a group, whatever their order.
    digest: str
    #: A row as a JSON object.
    row: str

    def name(self, *parts: str) -> str:
        return ".".join(self.quote + self._escaped(part) + self.quote for part in parts)

    def _escaped(self, part: str) -> str:
        for sign, instead in self.escapes:
            part = part.replace(sign, instead)
        return part

    def param(self, name: str) -> str:
        return self.marker + name


DUCKDB = Dialect(
    quote='"',
    escapes=(('"', '""'),),
    marker="$",
    micros="epoch_us({})",
    unnest="SELECT UNNEST({}) AS day",
    unnest_pairs="SELECT UNNEST({}) AS day, UNNEST({}) AS reach",
    local_day="CAST(CAST({} AS TIMESTAMPTZ) AT TIME ZONE {} AS DATE)",
    parsed_day="CAST(STRPTIME({}, {}) AS DATE)",
    digest="MD5(STRING_AGG({0}, ',' ORDER BY {0}))",
    row="CAST(TO_JSON({}) AS STRING)",
)
BIGQUERY = Dialect(
    quote="`",
    escapes=(("\\", "\\\\"), ("`", "\\`"), ("\n", "\\n")),
    marker="@",
    micros="UNIX_MICROS({})",
    unnest="SELECT day FROM UNNEST({}) AS day",
    unnest_pairs="SELECT day, reach FROM UNNEST({}) AS day WITH OFFSET AS i JOIN UNNEST({}) AS reach WITH OFFSET AS j ON i = j",
    local_day="DATE({}, {})",
    parsed_day="PARSE_DATE({1}, {0})",
    digest="TO_HEX(MD5(STRING_AGG({0}, ',' ORDER BY {0})))",
    row="TO_JSON_STRING({})",
)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and its parameters."""

    text: str
    params: Mapping[str, Any]
