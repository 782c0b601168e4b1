"""The rows of several queries in one answer: a script returns the rows of one statement, and a call has more to tell.

Each row is packed as JSON beside the place of the query that it is of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from backfill_core.queries.dialect import Query


def packed(queries: Sequence[Query], first: int = 0) -> Query:
    """One query with the rows (part, line) of all of them; parts count from ``first``. Every query's first date is ``day``."""
    params: dict[str, Any] = {}
    for query in queries:
        params |= query.params
    texts = [
        f"SELECT {place} AS part, TO_JSON_STRING(f) AS line FROM ({query.text}) AS f"
        for place, query in enumerate(queries, start=first)
    ]
    return Query("\nUNION ALL\n".join(texts), params)


def unpacked(rows: Iterable[Sequence[Any]]) -> dict[int, list[tuple[Any, ...]]]:
    """The rows of each part, their days as dates again."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for part, line in rows:
        values = json.loads(line)
        found.setdefault(part, []).append(tuple(_plain(name, value) for name, value in values.items()))
    return found


def _plain(name: str, value: Any) -> Any:
    return date.fromisoformat(value) if name == "day" and value is not None else value
