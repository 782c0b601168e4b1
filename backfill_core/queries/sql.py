"""A question's SQL. One builder serves both engines: it keeps to what GoogleSQL and DuckDB read the same way, and the few
words that differ are a Dialect's. So asking needs no translator, whose import alone would cost a sixth of a plan's time.

Identifiers pass through ``Dialect.name``, values are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backfill_core.dates import day_of
from backfill_core.model.table import Table
from backfill_core.queries.question import ColumnCheck, KeyComparison, TableQuestion


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

    #: Quotes identifiers; doubled inside one.
    quote: str
    #: Stands before a parameter's name.
    marker: str
    #: Microseconds since 1970 of a timestamp.
    micros: str
    #: Rows from a parameter that is an array of days.
    unnest: str

    def name(self, *parts: str) -> str:
        return ".".join(self.quote + part.replace(self.quote, self.quote * 2) + self.quote for part in parts)

    def param(self, name: str) -> str:
        return self.marker + name


DUCKDB = Dialect(quote='"', marker="$", micros="epoch_us({})", unnest="SELECT UNNEST({}) AS day")
BIGQUERY = Dialect(quote="`", marker="@", micros="UNIX_MICROS({})", unnest="SELECT day FROM UNNEST({}) AS day")


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and its parameters."""

    text: str
    params: Mapping[str, Any]


class QuestionSql:
    """Writes the statements of one question for one engine and one target."""

    def __init__(self, question: TableQuestion, dialect: Dialect, names: Names) -> None:
        self.question = question
        self.dialect = dialect
        self.names = names

    def facts(self) -> Query:
        """One row a day: day, rows, distinct keys, oldest, newest, then two numbers a check, then two arrays a key column."""
        table, q = self.question.table, self.dialect.name
        own = [check for check in self.question.checks if check.among_table is None]
        columns = [f"t.{q(table.date)} AS day", "COUNT(*) AS n", f"{self._distinct()} AS keys"]
        if table.updated:
            stamp = "t." + q(table.updated)
            columns += [f"{self.dialect.micros.format(f'{end}({stamp})')} AS {alias}" for end, alias in _ENDS]
        else:
            columns += ["NULL AS oldest", "NULL AS newest"]
        for place, check in enumerate(own):
            among = f"t.{q(check.among)} AND " if check.among else ""
            columns.append(f"COUNT(CASE WHEN {among}{self._good(check)} THEN 1 END) AS good_{place}")
            columns.append(f"COUNT(CASE WHEN {among}TRUE THEN 1 END) AS of_{place}")
        base = f"SELECT {', '.join(columns)} FROM {self._from(table, 't')} GROUP BY 1"
        joins, extra = [], []
        if self._wide_key():
            joins.append(f"LEFT JOIN ({self._wide_distinct()}) AS w ON w.day = b.day")
        for place, column in enumerate(self.question.keys):
            joins.append(f"LEFT JOIN ({self._keys(column)}) AS k{place} ON k{place}.day = b.day")
            extra += [f"k{place}.names AS names_{place}", f"k{place}.counts AS counts_{place}"]
        picked = ["b.day AS day", "b.n AS n", "w.keys AS keys" if self._wide_key() else "b.keys AS keys"]
        picked += ["b.oldest AS oldest", "b.newest AS newest"]
        picked += [f"b.{half}_{place} AS {half}_{place}" for place in range(len(own)) for half in ("good", "of")]
        text = f"SELECT {', '.join(picked + extra)} FROM ({base}) AS b {' '.join(joins)}".rstrip()
        return Query(text, self._params(table, "t"))

    def among(self, check: ColumnCheck) -> Query:
        """One row a day: day, good rows, rows judged; where another table's keys pick the rows."""
        assert check.among and check.among_table
        table, other, q = self.question.table, check.among_table, self.dialect.name
        key = other.key_on_date[0]
        picked = f"SELECT DISTINCT o.{q(other.date)} AS day, o.{q(key)} AS k FROM {self._from(other, 'o')}"
        text = (
            f"SELECT t.{q(table.date)} AS day, COUNT(CASE WHEN {self._good(check)} THEN 1 END) AS good, COUNT(*) AS judged "
            f"FROM {self.table(table)} AS t JOIN ({picked}) AS p "
            f"ON p.day = t.{q(table.date)} AND p.k = t.{q(check.among)} WHERE {self._where(table, 't')} GROUP BY 1"
        )
        return Query(text, self._params(table, "t") | self._params(other, "o"))

    def comparison(self, pair: KeyComparison) -> Query:
        """One row a day: day, keys wanted and there, keys wanted, keys there that are not wanted."""
        table, q = self.question.table, self.dialect.name
        keys = [f"k{place}" for place in range(len(pair.own))]
        held = ", ".join(f"t.{q(column)} AS {key}" for column, key in zip(pair.own, keys, strict=True))
        listed = ", ".join(keys)
        wanted, params = self._wanted(pair, keys)
        rows = f"SELECT DISTINCT t.{q(table.date)} AS day, {held}, 1 AS h FROM {self._from(table, 't')}"
        if self.question.absent:
            rows = f"SELECT day, {listed}, 1 AS h FROM wanted WHERE FALSE"
        else:
            params |= self._params(table, "t")
        text = (
            f"WITH wanted AS (SELECT DISTINCT day, {listed}, 1 AS w FROM ({wanted}) AS x), held AS ({rows}) "
            "SELECT day, COUNT(CASE WHEN w = 1 AND h = 1 THEN 1 END) AS there, COUNT(w) AS wanted, "
            "COUNT(CASE WHEN w IS NULL THEN 1 END) AS beyond "
            f"FROM wanted FULL JOIN held USING (day, {listed}) GROUP BY day"
        )
        return Query(text, params)

    def table(self, table: Table) -> str:
        return self.dialect.name(*self.names.parts(table))

    def _wanted(self, pair: KeyComparison, keys: list[str]) -> tuple[str, dict[str, Any]]:
        """The SELECT of (day, keys…) that the comparison wants, and its parameters."""
        q, other = self.dialect.name, pair.other
        columns = ", ".join(f"o.{q(column)} AS {key}" for column, key in zip(pair.theirs, keys, strict=True))
        if not pair.seasons:
            third, params = self._third(pair)
            text = f"SELECT o.{q(other.date)} AS day, {columns} FROM {self._from(other, 'o', third)}"
            return text, self._params(other, "o") | params
        return self._by_season(pair, columns, keys)

    def _third(self, pair: KeyComparison) -> tuple[str, dict[str, Any]]:
        if pair.third is None:
            return "", {}
        q = self.dialect.name
        theirs = dict(zip(pair.own, pair.theirs, strict=True))
        same = " AND ".join(f"x.{q(column)} = o.{q(theirs[column])}" for column in pair.third_columns)
        exists = (
            f"EXISTS (SELECT 1 FROM {self.table(pair.third)} AS x WHERE {self._where(pair.third, 'x')} "
            f"AND x.{q(pair.third.date)} = o.{q(pair.other.date)} AND {same})"
        )
        return exists, self._params(pair.third, "x")

    def _by_season(self, pair: KeyComparison, columns: str, keys: list[str]) -> tuple[str, dict[str, Any]]:
        """Keys by how many of a season's dates held them before: the day each reached ``at_least`` tells it for all days."""
        q, other, p = self.dialect.name, pair.other, self.dialect.param
        listed = ", ".join(keys)
        params: dict[str, Any] = {"since": pair.seasons[0].first, "last": self.question.span.last}
        rows = []
        for place, season in enumerate(pair.seasons):
            params |= {f"s{place}_first": season.first, f"s{place}_last": season.last}
            rows.append(f"SELECT {p(f's{place}_first')} AS starts, {p(f's{place}_last')} AS ends")
        params |= {f"only_o_{place}": value for place, value in enumerate(other.only.values())}
        only = "".join(f" AND {part}" for part in self._only(other, "o"))
        seen = (
            f"SELECT DISTINCT o.{q(other.date)} AS day, {columns} FROM {self.table(other)} AS o "
            f"WHERE o.{q(other.date)} BETWEEN {p('since')} AND {p('last')}{only}"
        )
        ranked = (
            f"SELECT seen.day AS day, {', '.join(f'seen.{key} AS {key}' for key in keys)}, s.ends AS ends, "
            f"ROW_NUMBER() OVER (PARTITION BY s.starts, {listed} ORDER BY seen.day) AS nth "
            f"FROM ({seen}) AS seen JOIN ({' UNION ALL '.join(rows)}) AS s ON seen.day BETWEEN s.starts AND s.ends"
        )
        params["nth"] = max(pair.at_least, 1) if pair.to_date else pair.at_least
        if not pair.to_date:
            params["first"] = self.question.span.first
            return f"SELECT day, {listed} FROM ({ranked}) AS r WHERE nth > {p('nth')} AND day >= {p('first')}", params
        params["days"] = [day_of(number) for number in pair.days.numbers()]
        text = (
            f"SELECT d.day AS day, {', '.join(f'r.{key} AS {key}' for key in keys)} "
            f"FROM ({self.dialect.unnest.format(p('days'))}) AS d "
            f"JOIN (SELECT * FROM ({ranked}) AS n WHERE nth = {p('nth')}) AS r ON d.day > r.day AND d.day <= r.ends"
        )
        return text, params

    def _wide_key(self) -> bool:
        return len(self.question.table.key_on_date) > 1

    def _distinct(self) -> str:
        key = self.question.table.key_on_date
        return f"COUNT(DISTINCT t.{self.dialect.name(key[0])})" if len(key) == 1 else "COUNT(*)"

    def _wide_distinct(self) -> str:
        table, q = self.question.table, self.dialect.name
        key = ", ".join("t." + q(column) for column in table.key_on_date)
        rows = f"SELECT DISTINCT t.{q(table.date)} AS day, {key} FROM {self._from(table, 't')}"
        return f"SELECT day, COUNT(*) AS keys FROM ({rows}) AS distinct_keys GROUP BY day"

    def _keys(self, column: str) -> str:
        table, q = self.question.table, self.dialect.name
        rows = (
            f"SELECT t.{q(table.date)} AS day, CAST(t.{q(column)} AS STRING) AS k, COUNT(*) AS n "
            f"FROM {self._from(table, 't', f't.{q(column)} IS NOT NULL')} GROUP BY 1, 2"
        )
        return f"SELECT day, ARRAY_AGG(k ORDER BY k) AS names, ARRAY_AGG(n ORDER BY k) AS counts FROM ({rows}) AS g GROUP BY day"

    def _good(self, check: ColumnCheck) -> str:
        return f"t.{self.dialect.name(check.column)} {'> 0' if check.positive else 'IS NOT NULL'}"

    def _from(self, table: Table, alias: str, also: str = "") -> str:
        where = self._where(table, alias) + (f" AND {also}" if also else "")
        return f"{self.table(table)} AS {alias} WHERE {where}"

    def _where(self, table: Table, alias: str) -> str:
        day = f"{alias}.{self.dialect.name(table.date)}"
        between = f"{day} BETWEEN {self.dialect.param('first')} AND {self.dialect.param('last')}"
        return " AND ".join([between, *self._only(table, alias)])

    def _only(self, table: Table, alias: str) -> list[str]:
        q, p = self.dialect.name, self.dialect.param
        return [f"{alias}.{q(column)} = {p(f'only_{alias}_{place}')}" for place, column in enumerate(table.only)]

    def _params(self, table: Table, alias: str) -> dict[str, Any]:
        span = self.question.span
        values = {f"only_{alias}_{place}": value for place, value in enumerate(table.only.values())}
        return {"first": span.first, "last": span.last, **values}


_ENDS = (("MIN", "oldest"), ("MAX", "newest"))
