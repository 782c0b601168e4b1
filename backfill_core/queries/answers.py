"""From the rows that a question's statements return to its facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backfill_core.coverage import DateFacts
from backfill_core.dates import day_number
from backfill_core.queries.question import ColumnCheck, Part, TableQuestion


def put_pair(facts: DateFacts, part: Part, day: int, counts: Sequence[int]) -> None:
    """Adds a row of a pair's answer to the facts."""
    if isinstance(part, ColumnCheck):
        facts.checks.setdefault(part.name, {})[day] = (counts[0], counts[1])  # type: ignore[attr-defined]
    else:
        facts.shares.setdefault(part.name, {})[day] = tuple(counts)  # type: ignore[attr-defined]


def facts_of_rows(question: TableQuestion, rows: Sequence[Sequence[Any]]) -> DateFacts:
    """The facts that the statement on the table alone came to; those of pairs and rules are still to be added."""
    checks: dict[str, dict[int, tuple[int, int]]] = {check.name: {} for check in question.checks}
    shares: dict[str, dict[int, tuple[int, int, int]]] = {pair.name: {} for pair in question.comparisons}
    keys: dict[str, dict[int, dict[str, int]]] = {column: {} for column in question.keys}
    made_from: dict[str, dict[int, str]] = {column: {} for column in question.made_from}
    own = [check.name for check in question.own_checks()]
    plain: tuple[dict[int, Any], ...] = ({}, {}, {}, {}, {})
    for day, *values in rows:
        number = day_number(day)
        for column, value in zip(plain, values, strict=False):
            if value is not None:
                column[number] = value
        rest = iter(values[len(plain) :])
        for name in own:
            checks[name][number] = (next(rest), next(rest))
        for column_name in question.keys:
            names, counts = next(rest), next(rest)
            keys[column_name][number] = dict(zip(names or (), counts or (), strict=True))
        for column_name, text in zip(question.made_from, rest, strict=True):
            if text is not None:
                made_from[column_name][number] = text
    held, distinct, oldest, newest, hashes = plain
    return DateFacts(
        rows=held,
        distinct=distinct,
        oldest=oldest,
        newest=newest,
        hashes=hashes,
        made_from=made_from,
        keys=keys,
        checks=checks,
        shares=shares,
        exists=not question.absent,
    )
