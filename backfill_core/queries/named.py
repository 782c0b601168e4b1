"""SQL of a project's authors, who name processors in braces, with the tables' own names in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backfill_core.model.table import Table
from backfill_core.queries.dialect import Dialect, Names, Query
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.slices import Slice


def named(text: str, tables: Mapping[str, Table], dialect: Dialect, names: Names) -> str:
    """The text with the tables' own names for the processors in braces. Raises ValueError for one that is not known."""

    def quoted(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in tables:
            raise ValueError(f"{{{name}}} is no processor that this one needs or writes")
        return dialect.name(*names.parts(tables[name]))

    return re.sub(r"\{(\w+)\}", quoted, text)


def offending_query(text: str, question: TableQuestion, dialect: Dialect, names: Names) -> Query:
    """One row a day on which a rule's query returns rows: the day, and how many."""
    returned = Slice(question.table, "o", question.span, dialect, names)
    params = {name: value for name, value in returned.params.items() if name in ("zone_o", "format_o")}
    params |= {"date_from": question.span.first, "date_to": question.span.last}
    return Query(f"SELECT {returned.day} AS day, COUNT(*) AS n FROM ({text.rstrip().rstrip(';')}\n) AS o GROUP BY 1", params)
