"""Fixed work, timed: `make bench`. Not part of `make test`."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from backfill_core.execute import Drain
from backfill_core.planning.make_plan import make_plan
from backfill_core.project.session import open_project
from backfill_core.project.work import carry_out, look, request_for

PROCESSORS = 8
PLUGIN = """
from datetime import date
from backfill_core import EveryDay, Layer, Need, Processor, Python, Rows, Table, days
DAILY = EveryDay("daily", since=date(2014, 1, 1))
ONE = Layer("one")

def fill(dates, ctx):
    return [{{"day": day, "n": 1}} for day in dates]

ALL = [
    Processor(f"p{{n}}", layer="one", calendar="daily", writes=Table(f"b.p{{n}}", date="day", key=("n",)),
        needs=(Need(f"p{{n - 1}}", window=days(10)),) if n else (), complete_when=Rows(),
        run={{"local": Python(fill, max_dates={dates})}})
    for n in range({processors})
]
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Any]:
    def project(dates: int) -> Any:
        (tmp_path / "plugins").mkdir()
        text = PLUGIN.format(processors=PROCESSORS, dates=dates)
        (tmp_path / "plugins" / "all.py").write_text(text, encoding="utf-8")
        (tmp_path / "pyproject.toml").write_text(
            '[tool.backfill]\nfrom = "2014-01-01"\n[tool.backfill.targets.local]\nruntime = "local"\n'
            'warehouse = "w.duckdb"\nlanding = "landing"\n',
            encoding="utf-8",
        )
        return open_project(tmp_path, None)

    return project


def test_planning_ten_years_of_eight_processors(benchmark: Any, make: Callable[[int], Any]) -> None:
    session, today = make(31), date(2024, 1, 1)
    chance = random.Random(7)
    with duckdb.connect(str(session.warehouse_path)) as connection:
        connection.execute("CREATE SCHEMA b")
        for place in range(PROCESSORS):
            connection.execute(
                f"CREATE TABLE b.p{place} AS SELECT CAST(day AS DATE) AS day, 1 AS n "
                "FROM generate_series(DATE '2014-01-01', DATE '2023-12-31', INTERVAL 1 DAY) AS s(day)"
            )
            gone = [day for day in range(3652) if chance.random() < 0.2]
            connection.execute(
                f"DELETE FROM b.p{place} WHERE DATE_DIFF('day', DATE '2014-01-01', day) IN (SELECT UNNEST($gone))",
                {"gone": gone},
            )

    def plan() -> int:
        with session.warehouse(read_only=True) as warehouse:
            coverage = look(session, warehouse, first=date(2014, 1, 1), last=date(2023, 12, 31), today=today)
        return make_plan(session.pipeline, coverage, request_for(session, coverage, today=today)).units

    assert 5000 < benchmark(plan) < 6500


def test_executing_two_thousand_units_with_the_journal_on(benchmark: Any, make: Callable[[int], Any]) -> None:
    session, today = make(1), date(2024, 1, 1)

    def execute() -> int:
        session.warehouse_path.unlink(missing_ok=True)
        with session.warehouse(read_only=False) as warehouse:
            coverage = look(session, warehouse, first=date(2014, 1, 1), last=date(2014, 9, 7), today=today)
            plan = make_plan(session.pipeline, coverage, request_for(session, coverage, today=today))
            state = carry_out(session, warehouse, plan, coverage, command="benchmark", concurrency=4, drain=Drain())
        assert state.ended is not None
        assert state.ended.exit_code == 0
        return plan.units

    assert benchmark.pedantic(execute, rounds=1) == 250 * PROCESSORS
