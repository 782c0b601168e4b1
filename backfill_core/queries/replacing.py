"""The statements that put what a query computes in the place of some dates' rows: all of it, or nothing.

One script, one transaction, in which is looked too at what the table then holds. A date that would hold fewer distinct keys than
before is left as it is, and told. Nothing in it is more than GoogleSQL's plain statements: what fails in an open transaction is
undone by the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.model.table import Table
from backfill_core.queries.dialect import BIGQUERY, Names, Query
from backfill_core.queries.packed import packed
from backfill_core.queries.slices import Slice

_RESULT = "backfill_result"
_SHRUNK = "backfill_shrunk"
_FACTS = "backfill_facts"
_OUTSIDE = "a row is outside the slice of the table that this processor writes"


def replacing(
    select: str,
    columns: Sequence[str],
    table: Table,
    dates: DateSet,
    names: Names,
    *,
    contents: Mapping[str, Mapping[date, str]] = MappingProxyType({}),
    facts: Sequence[Query] = (),
    may_shrink: bool = False,
) -> Query:
    """The script for one call. ``select`` is GoogleSQL that returns ``columns``, and takes @date_from and @date_to.

    ``contents`` are texts, by column and date, for rows that do not say themselves what they were computed from.

    Its rows are packed: part 0 are (day, keys held, keys given) of the dates that were left alone because they would have
    shrunk, part 1 and on the rows that each of ``facts`` returned before the transaction was committed.
    """
    held = Slice(table, "t", dates.span, BIGQUERY, names)
    given = Slice(replace(table, only={}), "g", dates.span, BIGQUERY, names)
    result = f"{_RESULT} AS g WHERE {given.where}"
    computed = _filled(select.rstrip().rstrip(";"), columns, table, dates, names, contents)
    columns = tuple(dict.fromkeys((*columns, *contents)))
    statements = [f"CREATE TEMP TABLE {_RESULT} AS\n{computed.text}"]
    outside = [f"(g.{BIGQUERY.name(c)} IS NULL OR g.{BIGQUERY.name(c)} <> @only{n}_t)" for n, c in enumerate(table.only)]
    if outside:
        statements.append(
            f"SELECT IF(COUNT(*) > 0, ERROR('{_OUTSIDE}'), 0) AS n FROM {_RESULT} AS g WHERE {' OR '.join(outside)}"
        )
    statements.append("BEGIN TRANSACTION")
    guarded = bool(table.key_on_date) and not may_shrink
    left_alone = f" AND {{day}} NOT IN (SELECT day FROM {_SHRUNK})" if guarded else ""
    if guarded:
        statements.append(f"CREATE TEMP TABLE {_SHRUNK} AS\n{_shrinking(held, given)}")
    for rows, action in ((held, f"DELETE FROM {held.rows()}"), (given, _insert(columns, table, names) + result)):
        statements.append(f"{action} AND {rows.day} IN UNNEST(@dates)" + left_alone.format(day=rows.day))
    told = [packed(facts, first=1).text] if facts else []
    if told:
        statements.append(f"CREATE TEMP TABLE {_FACTS} AS\n{told[0]}")
    statements.append("COMMIT TRANSACTION")
    answers = [packed([Query(f"SELECT day, held, given FROM {_SHRUNK}", {})]).text] if guarded else []
    answers += [f"SELECT part, line FROM {_FACTS}"] if told else []
    if answers:
        statements.append("\nUNION ALL\n".join(answers))
    params: dict[str, Any] = dict(packed(facts).params) | dict(computed.params) | held.params | given.params
    params |= {"dates": list(dates), "date_from": dates.span.first, "date_to": dates.span.last}
    return Query(";\n".join(statements), params)


def _filled(
    select: str,
    columns: Sequence[str],
    table: Table,
    dates: DateSet,
    names: Names,
    contents: Mapping[str, Mapping[date, str]],
) -> Query:
    """The SELECT with the texts in their columns where its rows have none."""
    told = {column: texts for column, texts in contents.items() if texts}
    if not told:
        return Query(select, {})
    rows = Slice(replace(table, only={}), "r", dates.span, BIGQUERY, names)
    params = {name: value for name, value in rows.params.items() if name in ("zone_r", "format_r")}
    picked = [f"{rows.column(column)} AS {BIGQUERY.name(column)}" for column in columns if column not in told]
    joins = []
    for place, (column, texts) in enumerate(told.items()):
        own = f"CAST({rows.column(column)} AS STRING), " if column in columns else ""
        picked.append(f"COALESCE({own}v{place}.reach) AS {BIGQUERY.name(column)}")
        days, values = f"content_days_{place}", f"content_texts_{place}"
        params |= {days: list(texts), values: list(texts.values())}
        pairs = BIGQUERY.unnest_pairs.format(BIGQUERY.param(days), BIGQUERY.param(values))
        joins.append(f" LEFT JOIN ({pairs}) AS v{place} ON v{place}.day = {rows.day}")
    return Query(f"SELECT {', '.join(picked)} FROM (\n{select}\n) AS r{''.join(joins)}", params)


def _shrinking(held: Slice, given: Slice) -> str:
    """The dates that would hold fewer distinct keys: day, held, given."""
    return (
        "SELECT b.day AS day, b.n AS held, COALESCE(a.n, 0) AS given "
        f"FROM ({_distinct(held, held.relation)}) AS b LEFT JOIN ({_distinct(given, f'{_RESULT} AS g')}) AS a ON a.day = b.day "
        "WHERE b.n > COALESCE(a.n, 0) AND b.day IN UNNEST(@dates)"
    )


def _distinct(rows: Slice, relation: str) -> str:
    keys = ", ".join(f"{rows.column(name)} AS k{n}" for n, name in enumerate(rows.table.key_on_date))
    distinct = f"SELECT DISTINCT {rows.day} AS day, {keys} FROM {relation} WHERE {rows.where}"
    return f"SELECT day, COUNT(*) AS n FROM ({distinct}) AS d GROUP BY day"


def _insert(columns: Sequence[str], table: Table, names: Names) -> str:
    listed = ", ".join(map(BIGQUERY.name, columns))
    picked = ", ".join(f"g.{BIGQUERY.name(column)}" for column in columns)
    return f"INSERT INTO {BIGQUERY.name(*names.parts(table))} ({listed}) SELECT {picked} FROM "
