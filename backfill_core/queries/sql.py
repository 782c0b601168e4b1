"""A question's SQL, for one engine and one target: one statement on the table alone, and one a pair of tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

from backfill_core.model.table import Table
from backfill_core.queries.comparison_sql import ComparisonSql
from backfill_core.queries.dialect import Dialect, Names, Query
from backfill_core.queries.named import offending_rows_query
from backfill_core.queries.question import (
    BreakingQuestion,
    ColumnCheck,
    KeysQuestion,
    NamingQuestion,
    OffendingQuery,
    OffendingQuestion,
    Part,
    TableQuestion,
)
from backfill_core.queries.slices import Slice, together


@dataclass(frozen=True, slots=True)
class PairQuery:
    """What is asked of a table and one other: each row has the place of its part, a day and three numbers.

    They are (good, judged, 0) of a check, and (there, wanted, beyond) of a comparison.
    """

    query: Query
    parts: tuple[Part, ...]


def naming_query(
    question: NamingQuestion, limit: int, dialect: Dialect, names: Names, text_of: Callable[[OffendingQuery, TableQuestion], str]
) -> Query:
    """The query that names keys, at most ``limit`` of a kind: part (0 lacks, 1 is too much), keys in it, key columns as text.

    Of a rule written as SQL, of which ``text_of`` gives the engine's text, a row is one key of one column, as JSON.
    """
    match question:
        case KeysQuestion():
            return ComparisonSql(question.counted, dialect, names).differing(question.pair, limit)
        case BreakingQuestion():
            return QuestionSql(question.counted, dialect, names).breaking(question.key, question.check, limit)
        case OffendingQuestion():
            return offending_rows_query(text_of(question.rule, question.counted), question.counted, limit, dialect, names)
        case _:
            assert_never(question)


class QuestionSql:
    """Writes the statements of one question."""

    def __init__(self, question: TableQuestion, dialect: Dialect, names: Names) -> None:
        self.question = question
        self.dialect = dialect
        self.names = names
        self.own = self._slice(question.table, "t")

    def facts(self) -> Query:
        """One row a day: day, rows, distinct keys, oldest, newest, hash, two numbers a check, then two arrays a key column,
        then what the day's rows were computed from, by column."""
        own, params = self.own, self.own.params
        columns = [f"{own.day} AS day", "COUNT(*) AS n", f"{self._distinct()} AS keys", *self._ends(), self._hash()]
        for name, count, values in self._check_counts():
            columns.append(f"{count} AS {name}")
            params |= values
        columns += [f"{self._same(column)} AS made_{place}" for place, column in enumerate(self.question.made_from)]
        base = f"SELECT {', '.join(columns)} FROM {own.rows()} GROUP BY 1"
        joins, extra = [], []
        wide = len(own.table.key_on_date) > 1
        if wide:
            joins.append(f"LEFT JOIN ({self._wide_distinct()}) AS w ON w.day = b.day")
        for place, column in enumerate(self.question.keys):
            joins.append(f"LEFT JOIN ({self._keys(column)}) AS k{place} ON k{place}.day = b.day")
            extra += [f"k{place}.names AS names_{place}", f"k{place}.counts AS counts_{place}"]
        picked = ["b.day AS day", "b.n AS n", "w.keys AS keys" if wide else "b.keys AS keys"]
        named = ("oldest", "newest", "digest", *(name for name, _, _ in self._check_counts()))
        picked += [f"b.{column} AS {column}" for column in named]
        extra += [f"b.made_{place} AS made_{place}" for place in range(len(self.question.made_from))]
        text = f"SELECT {', '.join(picked + extra)} FROM ({base}) AS b {' '.join(joins)}".rstrip()
        return Query(text, params)

    def pairs(self) -> list[PairQuery]:
        """One query for each other table, with all that is asked of the two together."""
        comparisons = ComparisonSql(self.question, self.dialect, self.names)
        found = []
        for parts in self.question.pairs():
            queries = [
                self._apart(part, place) if isinstance(part, ColumnCheck) else comparisons.query(part, place)
                for place, part in enumerate(parts)
            ]
            found.append(PairQuery(together(*queries), parts))
        return found

    def _slice(self, table: Table, alias: str) -> Slice:
        return Slice(table, alias, self.question.span, self.dialect, self.names)

    def _distinct(self) -> str:
        key = self.own.table.key_on_date
        return f"COUNT(DISTINCT {self.own.column(key[0])})" if len(key) == 1 else "COUNT(*)"

    def _wide_distinct(self) -> str:
        own = self.own
        key = ", ".join(map(own.column, own.table.key_on_date))
        rows = f"SELECT DISTINCT {own.day} AS day, {key} FROM {own.rows()}"
        return f"SELECT day, COUNT(*) AS keys FROM ({rows}) AS distinct_keys GROUP BY day"

    def _ends(self) -> list[str]:
        """The instants, as numbers, at which a day's oldest and newest rows were written."""
        updated = self.own.table.updated
        if not updated:
            return ["NULL AS oldest", "NULL AS newest"]
        return [f"{self.dialect.micros.format(f'{end}({self.own.column(updated)})')} AS {alias}" for end, alias in _ENDS]

    def _hash(self) -> str:
        column = self.own.table.hash
        if not column:
            return "NULL AS digest"
        found = self.own.column(column)
        digest = self.dialect.digest.format(f"CAST({found} AS STRING)")
        return f"CASE WHEN COUNT({found}) = COUNT(*) THEN {digest} END AS digest"

    def _same(self, name: str) -> str:
        """The one text that all of a day's rows have in a column; nothing where they differ, or one has none."""
        column = self.own.column(name)
        low, high = (f"{end}(CAST({column} AS STRING))" for end in ("MIN", "MAX"))
        return f"CASE WHEN COUNT({column}) = COUNT(*) AND {low} = {high} THEN {low} END"

    def _check_counts(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(name, aggregate, parameters) of the two numbers of each check."""
        counts: list[tuple[str, str, dict[str, Any]]] = []
        for place, check in enumerate(self.question.own_checks()):
            good, params = self._good(check, self.own, place)
            among = f"{self.own.column(check.among)} AND " if check.among else ""
            counts.append((f"good_{place}", f"COUNT(CASE WHEN {among}{good} THEN 1 END)", params))
            counts.append((f"of_{place}", f"COUNT(CASE WHEN {among}TRUE THEN 1 END)", {}))
        return counts

    def breaking(self, key: tuple[str, ...], check: ColumnCheck | None, limit: int) -> Query:
        """The distinct keys of rows that break a check, or that several rows share: 1, how many, key columns as text."""
        keys = [f"k{place}" for place in range(len(key))]
        own = self._slice(self.own.table, "t0")
        listed = f"{own.day} AS day, {own.listed(key, keys)}"
        if check:
            rows, good, params = self._judged(check, own, 0)
            found = f"SELECT DISTINCT {listed} FROM {rows} AND NOT COALESCE({good}, FALSE)"
        else:
            params, places = own.params, ", ".join(str(place + 1) for place in range(len(key) + 1))
            # A key of one column is counted without nulls, so that each row without one breaks the rule.
            nil = " OR k0 IS NULL" if len(keys) == 1 else ""
            found = f"SELECT {listed} FROM {own.rows()} GROUP BY {places} HAVING COUNT(*) > 1{nil}"
        texts = f"SELECT {', '.join(f'CAST({name} AS STRING) AS {name}' for name in keys)} FROM ({found}) AS f"
        order = ", ".join(f"{name} IS NULL, {name}" for name in keys)
        numbered = (
            f"SELECT COUNT(*) OVER () AS n, {', '.join(keys)}, ROW_NUMBER() OVER (ORDER BY {order}) AS place FROM ({texts}) AS g"
        )
        text = (
            f"SELECT 1 AS part, n, {', '.join(keys)} FROM ({numbered}) AS p WHERE place <= {self.dialect.param('limit_0')} "
            "ORDER BY place"
        )
        return Query(text, params | {"limit_0": limit})

    def _judged(self, check: ColumnCheck, own: Slice, place: int) -> tuple[str, str, dict[str, Any]]:
        """What stands after FROM for the rows that a check judges, what is true of the good ones, and the parameters."""
        joins, also = "", []
        good, values = self._good(check, own, place)
        params = own.params | values
        if check.among_table:
            other = self._slice(check.among_table, f"p{place}")
            picked, more = _keys_of(other, check.among_table.key_on_date[:1])
            joins += f" JOIN ({picked}) AS among ON among.day = {own.day} AND among.k0 = {own.column(check.among or '')}"
            params |= more
        elif check.among:
            also.append(own.column(check.among))
        if check.match:
            other = self._slice(check.match.other, f"m{place}")
            keys, more = _keys_of(other, check.match.theirs)
            same = " AND ".join(f"same.k{n} = {own.column(column)}" for n, column in enumerate(check.match.own))
            joins += f" LEFT JOIN ({keys}) AS same ON same.day = {own.day} AND {same}"
            params |= more
        return f"{own.relation}{joins} WHERE {' AND '.join([own.where, *also])}", good, params

    def _apart(self, check: ColumnCheck, place: int) -> Query:
        """Good rows and rows judged, where another table's keys pick the rows or tell the good ones."""
        own = self._slice(self.own.table, f"t{place}")
        rows, good, params = self._judged(check, own, place)
        text = (
            f"SELECT {place} AS part, {own.day} AS day, COUNT(CASE WHEN {good} THEN 1 END) AS good, COUNT(*) AS judged, 0 AS nil "
            f"FROM {rows} GROUP BY 2"
        )
        return Query(text, params)

    def _keys(self, column: str) -> str:
        own = self.own
        rows = (
            f"SELECT {own.day} AS day, CAST({own.column(column)} AS STRING) AS k, COUNT(*) AS n "
            f"FROM {own.rows(f'{own.column(column)} IS NOT NULL')} GROUP BY 1, 2"
        )
        return f"SELECT day, ARRAY_AGG(k ORDER BY k) AS names, ARRAY_AGG(n ORDER BY k) AS counts FROM ({rows}) AS g GROUP BY day"

    def _good(self, check: ColumnCheck, own: Slice, place: int) -> tuple[str, dict[str, Any]]:
        """What is true of a good row, and the parameters in it."""
        if check.match:
            return "same.day IS NOT NULL", {}
        column = own.column(check.column)
        if check.values:
            values = {f"value{n}_{own.alias}_{place}": value for n, value in enumerate(check.values)}
            return f"{column} IN ({', '.join(map(self.dialect.param, values))})", values
        return f"{column} {'> 0' if check.positive else 'IS NOT NULL'}", {}


def _keys_of(other: Slice, columns: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The SELECT of (day, k0, …): each key once a day."""
    keys = other.listed(columns, (f"k{n}" for n in range(len(columns))))
    return f"SELECT DISTINCT {other.day} AS day, {keys} FROM {other.rows()}", other.params


_ENDS = (("MIN", "oldest"), ("MAX", "newest"))
