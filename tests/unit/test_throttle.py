"""Limits that change while a run is under way."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from backfill_core.dates import DateSet
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.work import Work

DATES = DateSet.from_json(["2025-01-01..2025-01-20"])


def scheduler(concurrency: int, caps: dict[str, int] | None = None) -> Scheduler:
    works = [Work(name=name, layer="l", dates=DATES, lanes=(name, "service")) for name in ("a", "b")]
    made = Scheduler(works, {"l": frozenset()}, concurrency=concurrency, caps=caps)
    for name, dates in made.to_judge().items():
        made.admitted(name, dates)
    return made


def flying(made: Scheduler) -> Counter[str]:
    return Counter(calling.processor for calling in made.in_flight.values())


def test_more_calls_leave_when_the_limit_rises_and_none_until_enough_came_home_when_it_falls() -> None:
    made = scheduler(2)
    assert len(made.next_calls(0.0)) == 2
    made.throttle(concurrency=5)
    assert len(made.next_calls(0.0)) == 3
    made.throttle(concurrency=1)
    for number in list(made.in_flight)[:4]:
        made.came_home(number)
        assert made.next_calls(0.0) == []
    made.came_home(next(iter(made.in_flight)))
    assert len(made.next_calls(0.0)) == 1


def test_a_cap_holds_for_what_waits_and_counts_what_is_in_flight() -> None:
    made = scheduler(4)
    made.next_calls(0.0)
    assert flying(made) == {"a": 4}
    made.throttle(concurrency=8, caps={"a": 2})
    made.next_calls(0.0)
    assert flying(made) == {"a": 4, "b": 4}, "what is over the cap comes home first"
    for number in [number for number, calling in made.in_flight.items() if calling.processor == "a"][:3]:
        made.came_home(number)
    made.next_calls(0.0)
    assert flying(made) == {"a": 2, "b": 6}
    made.throttle(caps={"service": 1})
    for number in list(made.in_flight):
        made.came_home(number)
    assert len(made.next_calls(0.0)) == 1
    assert made.lanes == {"a", "b", "service"}


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(0, 3)), max_size=12))
def test_every_call_leaves_once_whatever_the_limits_do(changes: list[tuple[int, int, int]]) -> None:
    made, left = scheduler(3), list[int]()
    for concurrency, cap, home in [*changes, *[(6, 6, 6)] * 60]:
        made.throttle(concurrency=concurrency, caps={"b": cap})
        before = flying(made)
        leaving = made.next_calls(0.0)
        left += [calling.batch.number for calling in leaving]
        if leaving:
            assert len(made.in_flight) <= concurrency
        assert flying(made)["b"] <= max(cap, before["b"])
        for number in list(made.in_flight)[:home]:
            made.came_home(number)
    assert sorted(left) == list(range(1, 41))
