"""The facts of a question counted row by row: what the SQL of a real warehouse has to come to."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from backfill_core.coverage import DateFacts, KeysFound
from backfill_core.dates import Span, day_number, day_of
from backfill_core.errors import UnreadableTable
from backfill_core.model.table import Table
from backfill_core.queries.question import (
    ColumnCheck,
    KeyComparison,
    KeysQuestion,
    NamingQuestion,
    OffendingQuestion,
    TableQuestion,
)

Row = Mapping[str, Any]
#: Values of a key's columns.
Key = tuple[Any, ...]

_MICROSECOND = timedelta(microseconds=1)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTable:
    """A table's columns, with the GoogleSQL type of each, and its rows; every row has every column."""

    columns: Mapping[str, str]
    rows: Sequence[Row] = ()


def facts_of(question: TableQuestion, tables: Mapping[str, HeldTable]) -> DateFacts:
    """The facts of a question about those tables. Raises UnreadableTable."""
    _check_readable(question, tables)
    asked = _Asked(question, tables)
    table, days = question.table, asked.days()
    written = {day: _written(table, rows) for day, rows in days.items()}
    checks = {check.name: asked.check(check) for check in question.checks}
    return DateFacts(
        exists=not question.absent,
        rows={day: len(rows) for day, rows in days.items()},
        distinct={day: _distinct(table, rows) for day, rows in days.items()},
        oldest={day: min(stamps) for day, stamps in written.items() if stamps},
        newest={day: max(stamps) for day, stamps in written.items() if stamps},
        hashes=_digests(days, table.hash) if table.hash else {},
        made_from={column: _said(days, column) for column in question.made_from},
        keys={column: {day: _counts(rows, column) for day, rows in days.items()} for column in question.keys},
        checks=checks,
        shares={pair.name: asked.compare(pair) for pair in question.comparisons},
    )


def keys_of(question: NamingQuestion, limit: int, tables: Mapping[str, HeldTable]) -> KeysFound:
    """The keys by which a table differs from what is wanted of it on a day, or that break a rule. Raises UnreadableTable."""
    _check_readable(question.counted, tables)
    asked, day = _Asked(question.counted, tables), day_number(question.day)
    if isinstance(question, KeysQuestion):
        absent, surplus = asked.differing(question.pair, day)
    else:
        assert not isinstance(question, OffendingQuestion), "rules in SQL were refused"
        absent, surplus = set(), asked.breaking(question.key, question.check, day)
    return KeysFound(
        absent=len(absent),
        surplus=len(surplus),
        first_absent=_first(absent, limit),
        first_surplus=_first(surplus, limit),
    )


def in_slice(table: Table, row: Row) -> bool:
    """Whether a row is among those that the table's ``only`` marks."""
    return all(row[column] == value for column, value in table.only.items())


def day_in(table: Table, row: Row) -> date | None:
    """The day that a row belongs to."""
    value = row[table.date]
    if value is None or table.date_type == "DATE":
        return value  # type: ignore[no-any-return]
    if table.date_type == "STRING":
        return datetime.strptime(value, table.format).date()  # noqa: DTZ007  # a day has no zone
    day: date = value.astimezone(ZoneInfo(table.zone)).date()
    return day


def _check_readable(question: TableQuestion, tables: Mapping[str, HeldTable]) -> None:
    name = question.table.name
    if question.offending:
        problem = f"rule {question.offending[0].name} is written in SQL, which a warehouse in memory cannot be asked"
        raise UnreadableTable(table=name, problem=problem)
    named = question.columns()
    if question.absent:
        del named[name]
    for other_name, columns in sorted(named.items()):
        if other_name not in tables:
            raise UnreadableTable(table=name, problem=f"{other_name} is not there")
        lacking = sorted(columns - tables[other_name].columns.keys())
        if lacking:
            raise UnreadableTable(table=name, problem=f'{other_name} has no column "{lacking[0]}"')


class _Asked:
    """One question and the tables it is asked of."""

    def __init__(self, question: TableQuestion, tables: Mapping[str, HeldTable]) -> None:
        self.question = question
        self.tables = tables

    def days(self) -> dict[int, list[Row]]:
        """The rows of the question's own table, by day number."""
        return {} if self.question.absent else self._by_day(self.question.table, self.question.span)

    def check(self, check: ColumnCheck) -> dict[int, tuple[int, int]]:
        """(good, judged) of every day with rows; where another table is read, of every day with rows that are judged."""
        judged = self._judged(check).items()
        return {day: (sum(good for _, good in rows), len(rows)) for day, rows in judged if rows or not check.others}

    def _judged(self, check: ColumnCheck) -> dict[int, list[tuple[Row, bool]]]:
        """The rows of each day that a check judges, and whether each is good."""
        span, found = self.question.span, {}
        picked, matched = None, None
        if check.among_table:
            picked = self._keys(check.among_table, check.among_table.key_on_date[:1], span)
        if check.match:
            matched = self._keys(check.match.other, check.match.theirs, span)
        for day, rows in self.days().items():
            judged = [row for row in rows if _is_judged(check, row, None if picked is None else picked.get(day, set()))]
            theirs = None if matched is None else matched.get(day, set())
            found[day] = [(row, _good(check, row, theirs)) for row in judged]
        return found

    def breaking(self, columns: Sequence[str], check: ColumnCheck | None, day: int) -> set[Key]:
        """The keys of a day's rows that break a check, or that several rows share; one of a null alone is shared with none."""
        if check:
            return {tuple(row[name] for name in columns) for row, good in self._judged(check).get(day, ()) if not good}
        counts = Counter(tuple(row[name] for name in columns) for row in self.days().get(day, ()))
        return {key for key, count in counts.items() if count > 1 or key == (None,)}

    def compare(self, pair: KeyComparison) -> dict[int, tuple[int, int, int]]:
        """(there, wanted, beyond) of every day asked for that wants or holds keys.

        As in SQL, a key with a null in it equals none.
        """
        held = {} if self.question.absent else self._keys(self.question.table, pair.own, self.question.span)
        wanted = self._wanted(pair)
        days = held.keys() | wanted.keys()
        found = {}
        for day in sorted(days & set(pair.days.numbers()) if pair.looks_back else days):
            have, want = held.get(day, set()), wanted.get(day, set())
            there = sum(None not in key for key in have & want)
            found[day] = (there, len(want), len(have) - there)
        return found

    def differing(self, pair: KeyComparison, day: int) -> tuple[set[Key], set[Key]]:
        """(keys wanted and not there, keys there and not wanted) of a day; a key with a null in it equals none."""
        held = {} if self.question.absent else self._keys(self.question.table, pair.own, self.question.span)
        have, want = held.get(day, set()), self._wanted(pair).get(day, set())
        there = {key for key in have & want if None not in key}
        return want - there, have - there

    def _wanted(self, pair: KeyComparison) -> dict[int, set[Key]]:
        if pair.reaches:
            return self._wanted_in_window(pair)
        return self._wanted_by_season(pair) if pair.seasons else self._wanted_on_date(pair)

    def _wanted_in_window(self, pair: KeyComparison) -> dict[int, set[Key]]:
        """Keys that enough dates of the day's window hold."""
        reaches = dict(pair.reaches)
        seen = self._keys(pair.other, pair.theirs, Span(day_of(pair.reaches[0][0]), day_of(pair.reaches[-1][0])))
        wanted: dict[int, set[Key]] = {}
        for day in pair.days.numbers():
            counts = Counter(key for on, keys in seen.items() if on < day <= reaches.get(on, on) for key in keys)
            keys = {key for key, count in counts.items() if count >= max(pair.at_least, 1)}
            if keys:
                wanted[day] = keys
        return wanted

    def _wanted_on_date(self, pair: KeyComparison) -> dict[int, set[Key]]:
        wanted = self._keys(pair.other, pair.theirs, self.question.span)
        if pair.third is None:
            return wanted
        places = [pair.own.index(column) for column in pair.third_columns]
        third = self._keys(pair.third, pair.third_columns, self.question.span)
        picked: dict[int, set[Key]] = {}
        for day, keys in wanted.items():
            parts = {key: tuple(key[place] for place in places) for key in keys}
            chosen = {key for key, part in parts.items() if None not in part and part in third.get(day, ())}
            if chosen:
                picked[day] = chosen
        return picked

    def _wanted_by_season(self, pair: KeyComparison) -> dict[int, set[Key]]:
        """Keys that enough earlier dates of the day's season hold."""
        wanted: dict[int, set[Key]] = {}
        first = day_number(self.question.span.first)
        enough = max(pair.at_least, 1) if pair.to_date else pair.at_least
        for season in pair.seasons:
            known = Span(season.first, min(season.last, self.question.span.last))
            dates: dict[Key, list[int]] = {}
            for day, keys in self._keys(pair.other, pair.theirs, known).items():
                for key in keys:
                    dates.setdefault(key, []).append(day)
            within = [day for day in pair.days.numbers() if day <= day_number(season.last)]
            for key, on in dates.items():
                for day in within if pair.to_date else on:
                    if day >= first and bisect_left(on, day) >= enough:
                        wanted.setdefault(day, set()).add(key)
        return wanted

    def _keys(self, table: Table, columns: Sequence[str], span: Span) -> dict[int, set[Key]]:
        """The distinct keys of each day, days ascending."""
        return {day: {tuple(row[c] for c in columns) for row in rows} for day, rows in self._by_day(table, span).items()}

    def _by_day(self, table: Table, span: Span) -> dict[int, list[Row]]:
        days: dict[int, list[Row]] = {}
        for row in self.tables[table.name].rows:
            day = day_in(table, row)
            if day is not None and day in span and in_slice(table, row):
                days.setdefault(day_number(day), []).append(row)
        return dict(sorted(days.items()))


def _written(table: Table, rows: Sequence[Row]) -> list[int]:
    """Microseconds since 1970 at which rows were written, of those that tell."""
    if table.updated is None:
        return []
    return [(row[table.updated] - _1970) // _MICROSECOND for row in rows if row[table.updated] is not None]


def _distinct(table: Table, rows: Sequence[Row]) -> int:
    """Distinct keys of a day's rows: without a key every row is one; a key of one column leaves nulls out, as COUNT does."""
    key = table.key_on_date
    if not key:
        return len(rows)
    found = {tuple(row[column] for column in key) for row in rows}
    return len(found - {(None,)})


def _said(days: Mapping[int, Sequence[Row]], column: str) -> dict[int, str]:
    """What all of a day's rows say in a column, of the days on which they say the same."""
    texts = {day: {None if row[column] is None else _text(row[column]) for row in rows} for day, rows in days.items()}
    return {day: str(*said) for day, said in texts.items() if len(said) == 1 and None not in said}


def _counts(rows: Sequence[Row], column: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        if row[column] is not None:
            text = _text(row[column])
            counts[text] = counts.get(text, 0) + 1
    return counts


def _is_judged(check: ColumnCheck, row: Row, picked: set[Key] | None) -> bool:
    if check.among is None:
        return True
    value = row[check.among]
    return bool(value) if picked is None else value is not None and (value,) in picked


def _good(check: ColumnCheck, row: Row, theirs: set[Key] | None) -> bool:
    if check.match:
        key = tuple(row[column] for column in check.match.own)
        return None not in key and key in (theirs or ())
    value = row[check.column]
    if check.values:
        return value is not None and value in check.values
    return value is not None and (not check.positive or value > 0)


def _first(keys: Iterable[Key], limit: int) -> tuple[tuple[str | None, ...], ...]:
    """The first keys as text, ascending, nulls last."""
    texts = [tuple(None if part is None else _text(part) for part in key) for key in keys]
    return tuple(sorted(texts, key=lambda key: [(part is None, part or "") for part in key])[:limit])


def _digests(days: Mapping[int, Sequence[Row]], column: str) -> dict[int, str]:
    """One hash a day over those of its rows, of the days on which every row has one."""
    texts = {day: sorted(_text(row[column]) for row in rows if row[column] is not None) for day, rows in days.items()}
    whole = {day: ",".join(found) for day, found in texts.items() if len(found) == len(days[day])}
    return {day: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for day, text in whole.items()}


def _text(value: object) -> str:
    """A value as SQL casts it to text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
