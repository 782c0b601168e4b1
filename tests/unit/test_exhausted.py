"""Which units are not worth another call, by what earlier runs came to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from remote_world import Bench, Pen, day, days, processor

from backfill_core.dates import DateSet
from backfill_core.model.needs import Need
from backfill_core.model.windows import days as window
from backfill_core.planning.exhausted import PastFailure, exhausted

LAST_WEEK = datetime(2024, 6, 1, tzinfo=UTC)


def past(*whys: str, of: str = "b", on: DateSet = days(2)) -> list[PastFailure]:  # noqa: B008  (immutable)
    return [PastFailure(at=LAST_WEEK + timedelta(hours=place), processor=of, dates=on, why=why) for place, why in enumerate(whys)]


def bench(written: datetime) -> Bench:
    """Three days of b, each of which reads the two days of a before it; a is there, and was written then."""
    made = Bench((processor("a"), processor("b", "one", Need("a", window=window(2)), attempts=3)), days=3)
    for number in range(1, 4):
        Pen(made.warehouse).write("a", day(number), written=written)
    return made


def held(made: Bench, failures: list[PastFailure]) -> dict[str, dict[str, DateSet]]:
    plan, coverage = made.plan()
    return exhausted(made.pipeline, plan, coverage, failures)


OLD = LAST_WEEK - timedelta(days=1)


def test_as_many_failures_of_one_kind_as_there_are_attempts_hold_a_unit_back() -> None:
    assert held(bench(OLD), past("HTTP 500 after 60 s", "HTTP 500 after 61 s")) == {}
    found = held(bench(OLD), past("HTTP 500 after 60 s", "HTTP 500 after 61 s", "HTTP 500 after 62 s"))
    assert found == {"b": {"HTTP 500 after 62 s (in 3 runs, nothing it reads has changed since)": days(2)}}


def test_another_kind_of_failure_begins_anew() -> None:
    assert held(bench(OLD), past("reset", "bad answer", "reset", "reset")) == {}
    assert held(bench(OLD), past("bad answer", "reset", "reset", "reset"))["b"]


@pytest.mark.parametrize(("minutes", "counts"), [(-1, True), (1, False)])
def test_what_a_unit_reads_being_written_since_the_first_of_them_lets_it_go(minutes: int, counts: bool) -> None:
    made = bench(LAST_WEEK + timedelta(minutes=minutes))
    assert bool(held(made, past("reset", "reset", "reset"))) is counts


def test_what_a_unit_reads_being_planned_lets_it_go() -> None:
    made = bench(OLD)
    Pen(made.warehouse).write("a", day(1), keys=1, written=OLD)
    assert held(made, past("reset", "reset", "reset")) == {}
    assert held(made, past("reset", "reset", "reset", of="a", on=days(1)))["a"], "it reads nothing itself"
    assert held(made, past("reset", "reset", "reset", of="a", on=days(3))) == {}, "it is not planned"
