"""Which GoogleSQL needs no translator."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import sqlglot

from backfill_core.queries.portable import is_portable, with_params

RULE = Path(__file__).parents[2] / "plugins/sql/rules/points_match_score.sql"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, COUNT(*) AS n FROM {orders} WHERE day BETWEEN @date_from AND @date_to GROUP BY a",
        "WITH x AS (SELECT 1 AS a) SELECT x.a FROM x LEFT JOIN x AS y USING (a) -- done; `it` is",
        "SELECT SUM(a) FROM t WHERE b IN ('p', 'q;') AND NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a)",
        RULE.read_text(encoding="utf-8"),
    ],
)
def test_what_reads_the_same_everywhere(text: str) -> None:
    assert is_portable(text)


@pytest.mark.parametrize(
    "text",
    [
        'SELECT "a string" FROM t',
        "SELECT a / b FROM t",
        "SELECT `a` FROM t",
        "SELECT 'it\\'s' FROM t",
        "SELECT SAFE_DIVIDE(a, b) FROM t",
        "SELECT CAST(a AS INT64) FROM t",
        "SELECT IF(a, b, c) FROM t",
        "SELECT a FROM t ORDER BY a",
        "SELECT DATE '2024-01-01'",
        "SELECT * EXCEPT (a) FROM t",
        "SELECT 1; DROP TABLE t",
        "SELECT [1, 2]",
        "SELECT r'x' # comment",
    ],
)
def test_everything_else_goes_to_the_translator(text: str) -> None:
    assert not is_portable(text)


def test_parameters_are_marked_where_they_are_parameters() -> None:
    text = "SELECT @a, '@b' -- @c\nFROM t WHERE d = @date_from"
    assert with_params(text, "$") == "SELECT $a, '@b' -- @c\nFROM t WHERE d = $date_from"


def test_the_rule_means_what_the_translator_would_make_of_it() -> None:
    text = RULE.read_text(encoding="utf-8")
    for name, table in (("{nbac_schedule}", "s"), ("{player_game_summary}", "p")):
        text = text.replace(name, table)
    rows = []
    for query in (with_params(text, "$"), sqlglot.transpile(text, read="bigquery", write="duckdb")[0]):
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE s AS SELECT DATE '2024-11-01' AS game_date, 'g' AS game_id, 'A' AS home_team_abbr, "
                "'B' AS away_team_abbr, 90 AS home_score, 80 AS away_score")  # fmt: skip
            connection.execute(
                "CREATE TABLE p AS SELECT DATE '2024-11-01' AS game_date, 'g' AS game_id, 'A' AS team_abbr, 88 AS points"
            )
            rows.append(sorted(connection.execute(query, {"date_from": "2024-11-01", "date_to": "2024-11-02"}).fetchall()))
    assert rows[0] == rows[1]
    assert [row[2:] for row in rows[0]] == [("A", 88, 90), ("B", None, 80)]
