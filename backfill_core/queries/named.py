"""SQL of a project's authors, who name processors in braces, with the tables' own names in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from backfill_core.model.table import Table
from backfill_core.queries.dialect import Dialect, Names, Query
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.slices import Slice

#: Columns of a rule's row that are told.
_COLUMNS = 5


def named(text: str, tables: Mapping[str, Table], dialect: Dialect, names: Names) -> str:
    """The text with the tables' own names for the processors in braces. Raises ValueError for one that is not known."""

    def quoted(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in tables:
            raise ValueError(f"{{{name}}} is no processor that this one needs or writes")
        return dialect.name(*names.parts(tables[name]))

    return re.sub(r"\{(\w+)\}", quoted, text)


def offending_rows_query(text: str, question: TableQuestion, limit: int, dialect: Dialect, names: Names) -> Query:
    """The rows that a rule's query returns of the first day of a span: 1, how many, the row as JSON."""
    returned = Slice(question.table, "o", question.span, dialect, names)
    params = {name: value for name, value in returned.params.items() if name in ("zone_o", "format_o")}
    params |= {"date_from": question.span.first, "date_to": question.span.first, "limit_0": limit}
    rows = f"SELECT {dialect.row.format('o')} AS k0 FROM ({text.rstrip().rstrip(';')}\n) AS o"
    rows += f" WHERE {returned.day} = {dialect.param('date_from')}"
    numbered = f"SELECT COUNT(*) OVER () AS n, k0, ROW_NUMBER() OVER (ORDER BY k0) AS place FROM ({rows}) AS g"
    wanted = f"place <= {dialect.param('limit_0')} ORDER BY place"
    return Query(f"SELECT 1 AS part, n, k0 FROM ({numbered}) AS p WHERE {wanted}", params)


def row_words(row: str, table: Table) -> str:
    """A row of a rule's query, given as JSON, as people read it: ``(game_id 7, team BOS)``; nothing of one that is a date alone.

    Told are those of its columns that are of the table's key, then the first of the others.
    """
    values = {name: value for name, value in json.loads(row).items() if name != table.date}
    first = sorted(values, key=lambda name: name not in table.key)[:_COLUMNS]
    told = ", ".join(f"{name} {'NULL' if value is None else value}" for name, value in values.items() if name in first)
    return f"({told})" if told else ""


def offending_query(text: str, question: TableQuestion, dialect: Dialect, names: Names) -> Query:
    """One row a day on which a rule's query returns rows: the day, and how many."""
    returned = Slice(question.table, "o", question.span, dialect, names)
    params = {name: value for name, value in returned.params.items() if name in ("zone_o", "format_o")}
    params |= {"date_from": question.span.first, "date_to": question.span.last}
    return Query(f"SELECT {returned.day} AS day, COUNT(*) AS n FROM ({text.rstrip().rstrip(';')}\n) AS o GROUP BY 1", params)
