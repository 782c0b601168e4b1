"""Random wounds in a real warehouse are exactly what the next plan has, and what a run with a cascade mends."""

from __future__ import annotations

import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill_core.drain import Drain
from backfill_core.plan import Plan
from backfill_core.planning.make_plan import make_plan
from backfill_core.project.carry_out import carry_out
from backfill_core.project.look import Asking, look
from backfill_core.project.session import Session, open_project
from backfill_core.reports.completion import report_json

FIRST, COUNT = date(2024, 5, 1), 24
LAST = FIRST + timedelta(days=COUNT - 1)
#: Upstreams of each processor with the days of the window before the date; 0 is the date itself.
EDGES = {"b": (("a", 3),), "c": (("a", 0), ("b", 2)), "d": (("c", 0), ("b", 5))}
PLUGIN = """
import datetime
from backfill_core import EveryDay, Layer, Need, NotNull, Processor, Python, Rows, Table, UniqueKey, days

DAILY = EveryDay("daily", since=datetime.date(2024, 5, 1))
ONE = Layer("one", aliases=("L1",), measured_by=("a", "shop"))
TWO = Layer("two", aliases=("L2",), after=("one",), measured_by=("d", "shop"))

def fill(dates, ctx):
    now = datetime.datetime.now(datetime.UTC)
    return [{"day": day, "shop": shop, "amount": 1, "written": now} for day in dates for shop in "pq"]

def one(name, layer, *needs):
    return Processor(name, layer=layer, calendar="daily", writes=Table(f"w.{name}", date="day", key=("shop",), updated="written"),
        needs=needs, complete_when=Rows(at_least=2), rules=(UniqueKey(), NotNull("amount")), run={"local": Python(fill)})

ALL = (one("a", "one"), one("b", "one", Need("a", window=days(3))), one("c", "two", Need("a"), Need("b", window=days(2))),
    one("d", "two", Need("c"), Need("b", window=days(5))))
"""
WOUNDS = {
    "missing": "DELETE FROM w.w.{name} WHERE day = $day",
    "partial 1/2": "DELETE FROM w.w.{name} WHERE day = $day AND shop = 'p'",
    "invalid: unique key": "INSERT INTO w.w.{name} SELECT * FROM w.w.{name} WHERE day = $day",
    "invalid: amount not null": "UPDATE w.w.{name} SET amount = NULL WHERE day = $day AND shop = 'q'",
    "rewritten": "UPDATE w.w.{name} SET written = written + INTERVAL 1 DAY WHERE day = $day",
    "aged": "UPDATE w.w.{name} SET written = written - INTERVAL 1 DAY WHERE day = $day",
}
#: Wounds that take nothing away: they make dates stale, or nothing.
DATED = ("rewritten", "aged")
UNITS = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.integers(0, COUNT - 1)), st.sampled_from(sorted(WOUNDS)), min_size=1, max_size=12
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tables are complete."""
    folder = tmp_path_factory.mktemp("wounds")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "all.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        f'[tool.backfill]\nfrom = "{FIRST}"\n[tool.backfill.targets.local]\nruntime = "local"\n'
        'warehouse = "w.duckdb"\nlanding = "landing"\n',
        encoding="utf-8",
    )
    session = open_project(folder, None)
    assert execute(session, "none") == 0
    with duckdb.connect(str(folder / "w.duckdb")) as connection:
        for name in "abcd":  # written ten days ago, so that what is written again a day later is past too
            connection.execute(f"UPDATE w.w.{name} SET written = written - INTERVAL 10 DAY")
    shutil.copy(folder / "w.duckdb", folder / "whole.duckdb")
    return folder


def asking(cascade: str) -> Asking:
    return Asking(last=LAST, today=LAST + timedelta(days=10), cascade=cascade)


def plan(session: Session, cascade: str = "none") -> Plan:
    with session.warehouse(read_only=True) as warehouse:
        looked = look(session, warehouse, asking(cascade))
    return make_plan(session.pipeline, looked.coverage, looked.request)


def execute(session: Session, cascade: str) -> int:
    with session.warehouse(read_only=False) as warehouse:
        looked = look(session, warehouse, asking(cascade))
        made = make_plan(session.pipeline, looked.coverage, looked.request)
        state = carry_out(session, warehouse, made, looked.coverage, command="test", concurrency=2, drain=Drain())
    assert report_json(state, alive=False)["state"] == "ended"
    assert state.ended is not None, state
    print(state.ended.exit_reason, state.endings[:3])
    return state.ended.exit_code


def windows(name: str, day: int) -> list[tuple[str, int]]:
    """The units that a unit rests on."""
    return [
        (upstream, seen)
        for upstream, reach in EDGES.get(name, ())
        for seen in (range(max(0, day - reach), day) if reach else range(day, day + 1))
    ]


def stale_after(wounds: dict[tuple[str, int], str]) -> set[tuple[str, int]]:
    """The units that are whole, and rest on something rewritten, or are themselves older than something they rest on."""
    found = set()
    for name in EDGES:
        for day in range(COUNT):
            below = [wounds.get(unit) for unit in windows(name, day)]
            own = wounds.get((name, day))
            if own is None and "rewritten" in below:
                found.add((name, day))
            if own == "aged" and any(wound not in ("missing", "aged") for wound in below):
                found.add((name, day))
    return found


def reading(changed: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """The units that rest on one of those."""
    return {(name, day) for name in EDGES for day in range(COUNT) if changed.intersection(windows(name, day))}


def planned_units(made: Plan) -> set[tuple[str, int]]:
    return {(name, (day - FIRST).days) for name, planned in made.planned().items() for day in planned.dates}


@settings(
    max_examples=500 if os.environ.get("THOROUGH") else 30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(wounds=UNITS)
def test_wounds_are_what_the_next_plan_has(whole: Path, wounds: dict[tuple[str, int], str]) -> None:
    shutil.copy(whole / "whole.duckdb", whole / "w.duckdb")
    with duckdb.connect(str(whole / "w.duckdb")) as connection:
        for (name, day), wound in wounds.items():
            connection.execute(WOUNDS[wound].format(name=name), {"day": FIRST + timedelta(days=day)})
    session = open_project(whole, None)
    made = plan(session)
    told = {
        (name, (day - FIRST).days): reason
        for name, planned in made.planned().items()
        for reason, dates in planned.reasons.items()
        for day in dates
    }
    assert told == {unit: wound for unit, wound in wounds.items() if wound not in DATED}
    assert not made.blocked
    stale = stale_after(wounds)
    assert {(name, (day - FIRST).days) for name, dates in made.stale.items() for day in dates} == stale
    assert planned_units(plan(session, "direct")) == stale | told.keys() | reading(set(told))
    spoiled = stale | told.keys()
    while fresh := reading(spoiled) - spoiled:
        spoiled |= fresh
    assert planned_units(plan(session, "all")) == spoiled
    assert execute(session, "all") == 0
    after = plan(session)
    assert (after.units, after.stale) == (0, {})
