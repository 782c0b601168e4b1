"""Rules, windows and date types, declared by an author and carried out by the real command."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from projects import answer, backfill

SETTINGS = """
[tool.backfill]
from = "2024-05-01"
[tool.backfill.targets.local]
runtime = "local"
warehouse = "w.duckdb"
landing = "landing"
"""
LAYERS = """
from backfill_core import EveryDay, Layer, Monthly
DAILY = EveryDay("daily")
BILLS = Monthly("bills", day=5)
RAW = Layer("raw")
SUMS = Layer("sums", after=("raw",))
"""
PLUGINS = """
from datetime import datetime, time
from zoneinfo import ZoneInfo
from backfill_core import (
    SOURCE, Allowed, Files, KeysOf, MatchingKeys, Need, Offending, Processor, Python, Rows, Sql, Table, UniqueKey, days
)

LATE = ZoneInfo("America/New_York")

def sell(dates, ctx):
    # 23:00 in New York is 03:00 of the next day in UTC.
    nights = {day: datetime.combine(day, time(23), LATE) for day in dates}
    return [{"sold_at": at, "shop": s, "state": "paid", "amount": day.day} for day, at in nights.items() for s in "ab"]

SALES = Processor("sales", layer="raw", calendar="daily",
    writes=Table("shop.sales", date="sold_at", date_type="TIMESTAMP", zone="America/New_York", key=("shop",), hash="amount"),
    complete_when=Rows(at_least=2),
    rules=(UniqueKey(), Allowed("state", values=("paid", "open")), Offending("cheap", sql="cheap.sql", share=0.5)),
    run=Python(sell))
KNOWN = Processor("known", layer="sums", calendar="daily",
    writes=Table("shop.known", date="day", date_type="STRING", format="%Y%m%d", key=("shop",)),
    needs=(Need("sales"),),
    complete_when=KeysOf("sales", window=days(2), at_least=2), rules=(MatchingKeys("sales"),), run=Sql("known.sql"))
MONTH = Processor("month", layer="sums", calendar="bills", writes=Table("shop.month", date="day", key=("shop",)),
    needs=(Need("sales", window=days(3)),), complete_when=KeysOf("sales", window=days(3)), run=Sql("month.sql"))
"""
FILES = {
    "pyproject.toml": SETTINGS,
    "layers/all.py": LAYERS,
    "plugins/all.py": PLUGINS,
    "plugins/cheap.sql": """
SELECT sold_at FROM {sales} WHERE amount = 0 AND DATE(sold_at, 'America/New_York') BETWEEN @date_from AND @date_to
""",
    "plugins/known.sql": """
SELECT FORMAT_DATE('%Y%m%d', day) AS day, shop
FROM (SELECT DISTINCT DATE(sold_at, 'America/New_York') AS day, shop FROM {sales})
WHERE day BETWEEN @date_from AND @date_to
""",
    "plugins/month.sql": """
SELECT bill AS day, shop, SUM(amount) AS amount
FROM {sales} CROSS JOIN UNNEST([@date_from]) AS bill
WHERE DATE(sold_at, 'America/New_York') BETWEEN DATE_SUB(bill, INTERVAL 3 DAY) AND DATE_SUB(bill, INTERVAL 1 DAY)
  AND bill <= @date_to
GROUP BY bill, shop
""",
}
SPAN = ("--to", "2024-05-10", "--today", "2024-05-20")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def reasons(project: Path, name: str) -> dict[str, list[str]]:
    plan = answer(project, "plan", *SPAN)
    planned = (processor for stage in plan["stages"] for processor in stage["processors"])
    return {r["reason"]: r["dates"] for processor in planned if processor["name"] == name for r in processor["reasons"]}


def test_tables_with_instants_and_texts_are_filled_and_their_rules_judged(project: Path) -> None:
    done = backfill(project, "execute", *SPAN, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert answer(project, "plan", *SPAN)["totals"]["units"] == 0
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        assert connection.sql("SELECT MIN(day), MAX(day), COUNT(*) FROM shop.known").fetchall() == [("20240503", "20240510", 16)]
        assert connection.sql("SELECT DISTINCT day::VARCHAR, amount FROM shop.month").fetchall() == [("2024-05-05", 9)]
        fourth = "timezone('America/New_York', sold_at)::DATE = '2024-05-04'"
        connection.execute(f"UPDATE shop.sales SET state = 'lost' WHERE {fourth} AND shop = 'a'")
        connection.execute("UPDATE shop.sales SET amount = 0 WHERE timezone('America/New_York', sold_at)::DATE = '2024-05-06'")
        connection.execute("UPDATE shop.known SET shop = 'z' WHERE day = '20240508' AND shop = 'b'")
        connection.execute("DELETE FROM shop.sales WHERE timezone('America/New_York', sold_at)::DATE = '2024-05-09'")
    assert reasons(project, "sales") == {
        "missing": ["2024-05-09"],
        "invalid: state in paid, open": ["2024-05-04"],
        "invalid: cheap": ["2024-05-06"],
    }
    assert reasons(project, "known")["partial 1/2"] == ["2024-05-08"]


def test_show_sql_prints_what_is_sent_and_sends_no_more(project: Path) -> None:
    backfill(project, "execute", *SPAN, "--yes")
    for command in ("plan", "coverage"):
        quiet, shown = backfill(project, command, *SPAN), backfill(project, command, *SPAN, "--show-sql")
        assert (shown.returncode, shown.stdout) == (0, quiet.stdout)
        # The schema, then sales with its rule, and each of the others with its comparisons and its match in one.
        askers = [line for line in shown.stderr.splitlines() if line.startswith("-- ")]
        asked = [line for line in askers if not line.startswith("--   ")]
        assert asked == ["-- schema", "-- sales", "-- sales", "-- known", "-- known", "-- month", "-- month"]
        assert "--   first_t = 2024-04-29 04:00:00+00:00" in shown.stderr
        assert '\nFROM "w"."shop"."sales" AS t\n' in shown.stderr.replace("  ", "")
        assert "SELECT" not in quiet.stderr


@pytest.mark.parametrize(
    ("file", "was", "now", "told"),
    [
        ("plugins/all.py", "share=0.5", "share=1.5", 'plugins/all.py:15: processor "sales" has a share of 1.5. Shares go from'),
        ("plugins/all.py", "America/New_York\", key", "America/Nowhere\", key", "which is not known"),
        ("plugins/all.py", "%Y%m%d", "%d%m%Y", "which do not sort"),
        ("layers/all.py", "day=5", "day=32", 'layers/all.py:4: calendar "bills" expects nothing: day 32 never comes'),
        ("plugins/all.py", 'Allowed("state"', 'Allowed("stat"', 'shop.sales cannot be read: it has no column "stat"'),
        ("plugins/all.py", 'date_type="STRING"', 'date_type="DATE"', 'its date column "day" is VARCHAR, and declared as DATE'),
    ],
)  # fmt: skip
def test_bad_declarations_are_told_in_a_line(project: Path, file: str, was: str, now: str, told: str) -> None:
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute("CREATE TABLE shop.sales (sold_at TIMESTAMPTZ, shop VARCHAR, state VARCHAR, amount BIGINT)")
        connection.execute("CREATE TABLE shop.known (day VARCHAR, shop VARCHAR)")
    text = (project / file).read_text(encoding="utf-8")
    assert was in text
    (project / file).write_text(text.replace(was, now), encoding="utf-8")
    came = backfill(project, "plan", *SPAN)
    assert (came.returncode, "Traceback" in came.stderr) == (2, False), came.stderr
    assert told in came.stderr


GAMES = """
from backfill_core import SOURCE, Need, Processor, Rows, Schedule, Table, days
GAMES = Schedule("games", files="*.csv", date="d", key="k", season="s", type="t", expected=("1",))
A = Processor("a", layer="raw", calendar="games", writes=Table("s.a", date="d"), complete_when=Rows(), run=SOURCE)
B = Processor("b", layer="raw", calendar="games", writes=Table("s.b", date="d"), complete_when=Rows(), run=SOURCE,
    needs=(Need("a", window=days(400)),))
"""


def test_a_window_that_fits_no_season(project: Path) -> None:
    (project / "plugins" / "games.py").write_text(GAMES, encoding="utf-8")
    (project / "landing").mkdir()
    (project / "landing" / "games.csv").write_text("d,k,s,t\n2024-05-01,x,2024,1\n2024-05-30,y,2024,1\n", encoding="utf-8")
    came = backfill(project, "plan", *SPAN)
    assert (came.returncode, "Traceback" in came.stderr) == (2, False)
    told = 'plugins/games.py:5: processor "b" has a window of 400 days, which never fits the seasons of calendar games: they last'
    assert told in came.stderr


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ("", "unknown: 3 days, 2024-04-28..2024-04-30, beyond what the calendar knows: a"),
        (", since=date(2024, 4, 29)", "unknown: 1 day, 2024-04-28, beyond what the calendar knows: a"),
        (", since=date(2024, 6, 1)", "unknown: 3 days, 2024-04-28..2024-04-30, beyond what the calendar knows: a"),
    ],
)
def test_days_before_a_schedules_first_line_are_off_season_only_where_its_author_says_so(
    project: Path, since: str, told: str
) -> None:
    (project / "plugins" / "games.py").write_text(
        "from datetime import date\n" + GAMES.partition("B = ")[0].replace('("1",)', f'("1",){since}'), encoding="utf-8"
    )
    (project / "landing").mkdir()
    (project / "landing" / "games.csv").write_text("d,k,s,t\n2024-05-01,x,2024,1\n2024-05-03,y,2024,1\n", encoding="utf-8")
    came = backfill(project, "coverage", "--from", "2024-04-28", "--to", "2024-05-03", "--today", "2024-05-10")
    assert told in came.stdout, came.stdout + came.stderr
    off = 2 if "29" in since else 0
    assert (f"a: 1 off-day, {off} off-season" if off else "a: 1 off-day") in came.stdout, came.stdout
