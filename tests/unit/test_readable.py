"""Statements as a person reads them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from test_google_sql import questions, statements

from backfill_core.queries.dialect import BIGQUERY, DUCKDB, Dialect, Query
from backfill_core.queries.readable import readable, statement_lines


def test_each_clause_has_a_line_indented_by_its_query() -> None:
    text = (
        "WITH held AS (SELECT day, COUNT(*) AS n FROM a AS t WHERE t.k = 'x FROM (y' GROUP BY 1) "
        "SELECT h.day, LAG(n, 1) OVER (PARTITION BY k ORDER BY day) AS p FROM held AS h LEFT JOIN (SELECT 1 AS day) AS o "
        "ON o.day = h.day FULL JOIN b USING (day) UNION ALL (SELECT 1, 2)"
    )
    assert readable(text).splitlines() == [
        "WITH held AS (",
        "  SELECT day, COUNT(*) AS n",
        "  FROM a AS t",
        "  WHERE t.k = 'x FROM (y'",
        "  GROUP BY 1",
        ")",
        "SELECT h.day, LAG(n, 1) OVER (PARTITION BY k ORDER BY day) AS p",
        "FROM held AS h",
        "LEFT JOIN (",
        "  SELECT 1 AS day",
        ") AS o ON o.day = h.day",
        "FULL JOIN b USING (day)",
        "UNION ALL (",
        "  SELECT 1, 2",
        ")",
    ]


@pytest.mark.parametrize("dialect", [BIGQUERY, DUCKDB])
def test_nothing_but_white_space_is_changed(dialect: Dialect) -> None:
    for question in questions():
        for query in statements(question, dialect):
            shown = readable(query.text)
            assert "".join(shown.split()) == "".join(query.text.split())
            assert all(line.count("SELECT") <= 1 for line in shown.splitlines())


def test_who_asks_and_with_which_parameters() -> None:
    days = [date(2024, 10, 1) + timedelta(days=n) for n in range(5)]
    query = Query("SELECT $a FROM b", {"a": days[0], "days": days, "few": days[:2], "word": "it's"})
    assert statement_lines("lines", query) == [
        "-- lines",
        "--   a = 2024-10-01",
        "--   days = 5 values, 2024-10-01 to 2024-10-05",
        "--   few = 2024-10-01, 2024-10-02",
        '--   word = "it\'s"',
        "SELECT $a\nFROM b;",
        "",
    ]
