"""The SQL that compares a table's keys with those that another wants: on the date, or in a window before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backfill_core.coverage import Key, KeysFound
from backfill_core.dates import Span, day_of
from backfill_core.model.table import Table
from backfill_core.queries.dialect import Dialect, Names, Query
from backfill_core.queries.question import KeyComparison, TableQuestion
from backfill_core.queries.slices import Slice


class ComparisonSql:
    """Writes the comparisons of one question. Several may stand in one statement: aliases and parameters end in a place."""

    def __init__(self, question: TableQuestion, dialect: Dialect, names: Names) -> None:
        self.question = question
        self.dialect = dialect
        self.names = names

    def query(self, pair: KeyComparison, place: int) -> Query:
        """One row a day: place, day, keys wanted and there, keys wanted, keys there that are not wanted."""
        return _Comparison(self, pair, place).query()

    def differing(self, pair: KeyComparison, limit: int) -> Query:
        """Of the question's one day, a row a key that lacks (part 0) or is not wanted (part 1), ``limit`` of each at most:
        part, keys in the part, key columns as text.
        """
        return _Comparison(self, pair, 0).differing(limit)

    def slice(self, table: Table, alias: str, span: Span | None = None) -> Slice:
        return Slice(table, alias, span or self.question.span, self.dialect, self.names)


def keys_found(rows: Iterable[tuple[Any, ...]]) -> KeysFound:
    """What the rows of `ComparisonSql.differing` come to."""
    counts = [0, 0]
    names: tuple[list[Key], list[Key]] = ([], [])
    for part, count, *key in rows:
        counts[part] = count
        names[part].append(tuple(key))
    return KeysFound(absent=counts[0], surplus=counts[1], first_absent=tuple(names[0]), first_surplus=tuple(names[1]))


class _Comparison:
    def __init__(self, sql: ComparisonSql, pair: KeyComparison, place: int) -> None:
        self.sql = sql
        self.dialect = sql.dialect
        self.question = sql.question
        self.pair = pair
        self.place = place
        self.keys = [f"k{n}" for n in range(len(pair.own))]
        self.listed = ", ".join(self.keys)
        self.params: dict[str, Any] = {}

    def query(self) -> Query:
        text = self._before_date() if self.pair.looks_back else self._on_date()
        return Query(text, self.params)

    def differing(self, limit: int) -> Query:
        first = self._param("limit", limit)
        names = ", ".join(f"CAST({key} AS STRING) AS {key}" for key in self.keys)
        # Engines do not agree on where nulls come, so that is said.
        order = ", ".join(f"{key} IS NULL, {key}" for key in self.keys)
        differing = (
            f"SELECT CASE WHEN w = 1 THEN 0 ELSE 1 END AS part, {names} FROM wanted FULL JOIN held USING (day, {self.listed}) "
            "WHERE w IS NULL OR h IS NULL"
        )
        numbered = (
            f"SELECT part, COUNT(*) OVER (PARTITION BY part) AS n, {self.listed}, "
            f"ROW_NUMBER() OVER (PARTITION BY part ORDER BY {order}) AS place FROM ({differing}) AS d"
        )
        text = (
            f"WITH {self._sides()} SELECT part, n, {self.listed} FROM ({numbered}) AS p WHERE place <= {first} "
            "ORDER BY part, place"
        )
        return Query(text, self.params)

    def _sides(self) -> str:
        """What is wanted on the date, and what is held: (day, keys…, 1 AS w) and (day, keys…, 1 AS h)."""
        wanted = self._reaching() if self.pair.looks_back else self._by_season() if self.pair.seasons else self._wanted()
        return f"wanted AS (SELECT DISTINCT day, {self.listed}, 1 AS w FROM ({wanted}) AS x), held AS ({self._held()})"

    def _reaching(self) -> str:
        """The keys that the window before the question's one day gives it."""
        day = self._param("day", self.question.span.first)
        return f"SELECT {day} AS day, {self.listed} FROM ({self._runs()}) AS runs WHERE runs.day < {day} AND {day} <= runs.ends"

    def _runs(self) -> str:
        """Each key with the runs of days over which it is wanted, which never overlap: day before the first, keys…, ends."""
        return self._in_window() if self.pair.reaches else self._to_date()

    def _on_date(self) -> str:
        """Compares with keys that are wanted on the date itself."""
        return (
            f"WITH {self._sides()} "
            f"SELECT {self.place} AS part, day, COUNT(CASE WHEN w = 1 AND h = 1 THEN 1 END) AS there, COUNT(w) AS wanted, "
            "COUNT(CASE WHEN w IS NULL THEN 1 END) AS beyond "
            f"FROM wanted FULL JOIN held USING (day, {self.listed}) GROUP BY day"
        )

    def _before_date(self) -> str:
        """Compares with the keys of a window before the date.

        What is wanted is only counted, from the runs of days over which each key is wanted: listed for every day it would
        be most of the work.
        """
        days = self._param("days", [day_of(number) for number in self.pair.days.numbers()])
        same = " AND ".join(f"held.{key} = reached.{key}" for key in self.keys)
        return (
            f"WITH reached AS ({self._runs()}), "
            "steps AS (SELECT day, ends, COUNT(*) AS n FROM reached GROUP BY 1, 2), "
            f"counts AS (SELECT d.day AS day, SUM(s.n) AS wanted FROM ({self.dialect.unnest.format(days)}) AS d "
            "JOIN steps AS s ON d.day > s.day AND d.day <= s.ends GROUP BY 1), "
            f"held AS ({self._held()}), "
            "found AS (SELECT held.day AS day, COUNT(reached.ends) AS there, COUNT(*) AS n FROM held LEFT JOIN reached "
            f"ON {same} AND held.day > reached.day AND held.day <= reached.ends GROUP BY 1) "
            f"SELECT {self.place} AS part, day, COALESCE(there, 0) AS there, COALESCE(wanted, 0) AS wanted, "
            "COALESCE(n - there, 0) AS beyond FROM counts FULL JOIN found USING (day)"
        )

    def _held(self) -> str:
        """The SELECT of (day, keys…, 1 AS h) that are there; none where the table is not."""
        absent = self.question.absent
        table, columns = (self.pair.other, self.pair.theirs) if absent else (self.question.table, self.pair.own)
        own = self._slice(table, "h")
        rows = own.rows("FALSE") if absent else own.rows()
        return f"SELECT DISTINCT {own.day} AS day, {own.listed(columns, self.keys)}, 1 AS h FROM {rows}"

    def _wanted(self) -> str:
        """The SELECT of (day, keys…) that the other table holds on the date; a third too where one is named."""
        other = self._slice(self.pair.other, "o")
        also = [self._third(other, self.pair.third)] if self.pair.third else []
        return f"SELECT {other.day} AS day, {other.listed(self.pair.theirs, self.keys)} FROM {other.rows(*also)}"

    def _third(self, other: Slice, table: Table) -> str:
        third = self._slice(table, "x")
        theirs = dict(zip(self.pair.own, self.pair.theirs, strict=True))
        same = " AND ".join(f"{third.column(name)} = {other.column(theirs[name])}" for name in self.pair.third_columns)
        return f"EXISTS (SELECT 1 FROM {third.rows(f'{third.day} = {other.day}', same)})"

    def _by_season(self) -> str:
        """The keys of each date that more than ``at_least`` of the season's dates, the date among them, held so far."""
        first = self._param("from", self.question.span.first)
        nth = self._param("nth", self.pair.at_least)
        return f"SELECT day, {self.listed} FROM ({self._ranked()}) AS r WHERE nth > {nth} AND day >= {first}"

    def _to_date(self) -> str:
        """Each key with the date from which it was there often enough, and the last day of that season."""
        nth = self._param("nth", max(self.pair.at_least, 1))
        return f"SELECT day, {self.listed}, ends FROM ({self._ranked()}) AS n WHERE nth = {nth}"

    def _in_window(self) -> str:
        """Each key with runs of days over which it is wanted: from a date of its own to its next one, at most as far as the
        windows reach that still hold the earliest of the dates it needs.
        """
        reaches = self.pair.reaches
        days = self._param("seen_days", [day_of(day) for day, _ in reaches])
        ends = self._param("seen_ends", [day_of(last) for _, last in reaches])
        seen = self._seen(Span(day_of(reaches[0][0]), day_of(reaches[-1][0])))
        back = self._param("back", max(self.pair.at_least, 1) - 1)
        window = f"OVER (PARTITION BY {', '.join(f'seen.{key}' for key in self.keys)} ORDER BY seen.day)"
        dated = (
            f"SELECT seen.day AS day, {', '.join(f'seen.{key} AS {key}' for key in self.keys)}, "
            f"LAG(r.reach, {back}) {window} AS furthest, LEAD(seen.day) {window} AS later "
            f"FROM ({seen}) AS seen JOIN ({self.dialect.unnest_pairs.format(days, ends)}) AS r ON r.day = seen.day"
        )
        runs = f"SELECT day, {self.listed}, CASE WHEN later < furthest THEN later ELSE furthest END AS ends FROM ({dated}) AS d"
        return f"SELECT day, {self.listed}, ends FROM ({runs}) AS runs WHERE ends > day"

    def _ranked(self) -> str:
        """Every key's dates with their place in the season: day, keys…, last day of the season, nth."""
        seasons = self.pair.seasons
        rows = []
        for place, season in enumerate(seasons):
            first, last = self._param(f"s{place}_first", season.first), self._param(f"s{place}_last", season.last)
            rows.append(f"SELECT {first} AS starts, {last} AS ends")
        seen = self._seen(Span(seasons[0].first, self.question.span.last))
        return (
            f"SELECT seen.day AS day, {', '.join(f'seen.{key} AS {key}' for key in self.keys)}, s.ends AS ends, "
            f"ROW_NUMBER() OVER (PARTITION BY s.starts, {self.listed} ORDER BY seen.day) AS nth "
            f"FROM ({seen}) AS seen JOIN ({' UNION ALL '.join(rows)}) AS s ON seen.day BETWEEN s.starts AND s.ends"
        )

    def _seen(self, span: Span) -> str:
        """The SELECT of (day, keys…) that the other table held on the days of a span, each once."""
        other = self._slice(self.pair.other, "o", span)
        return f"SELECT DISTINCT {other.day} AS day, {other.listed(self.pair.theirs, self.keys)} FROM {other.rows()}"

    def _slice(self, table: Table, letter: str, span: Span | None = None) -> Slice:
        """A table under an alias of this comparison; its parameters are taken along."""
        found = self.sql.slice(table, f"{letter}{self.place}", span)
        self.params |= found.params
        return found

    def _param(self, name: str, value: Any) -> str:
        key = f"{name}_{self.place}"
        self.params[key] = value
        return self.dialect.param(key)
