"""Fixed work, timed: `make bench`. Not part of `make test`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from backfill_core.drain import Drain
from backfill_core.planning.make_plan import make_plan
from backfill_core.project.carry_out import carry_out
from backfill_core.project.look import Asking, look
from backfill_core.project.session import open_project
from projects_of_size import fill_with_holes, write_project

PROCESSORS = 8


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Any]:
    def project(dates: int) -> Any:
        return open_project(write_project(tmp_path, processors=PROCESSORS, max_dates=dates), None)

    return project


def test_planning_ten_years_of_eight_processors(benchmark: Any, make: Callable[[int], Any]) -> None:
    session, today = make(31), date(2024, 1, 1)
    fill_with_holes(session.root, PROCESSORS)

    def plan() -> int:
        with session.warehouse(read_only=True) as warehouse:
            asking = Asking(first=date(2014, 1, 1), last=date(2023, 12, 31), today=today)
            looked = look(session, warehouse, asking)
        return make_plan(session.pipeline, looked.coverage, looked.request).units

    assert 5000 < benchmark(plan) < 6500


def test_executing_two_thousand_units_with_the_journal_on(benchmark: Any, make: Callable[[int], Any]) -> None:
    session, today = make(1), date(2024, 1, 1)

    def execute() -> int:
        session.warehouse_path.unlink(missing_ok=True)
        with session.warehouse(read_only=False) as warehouse:
            looked = look(session, warehouse, Asking(first=date(2014, 1, 1), last=date(2014, 9, 7), today=today))
            plan = make_plan(session.pipeline, looked.coverage, looked.request)
            state = carry_out(session, warehouse, plan, looked.coverage, command="benchmark", concurrency=4, drain=Drain())
        assert state.ended is not None
        assert state.ended.exit_code == 0
        return plan.units

    assert benchmark.pedantic(execute, rounds=1) == 250 * PROCESSORS
