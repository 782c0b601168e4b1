"""A processor whose runs add to the rows that are there is never run again where that would add them twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from remote_world import Bench, Pen, day, days, lost, processor

from backfill_core.events import Failure, Outcome, Word
from backfill_core.model.needs import Need
from backfill_core.planning.blocking import APPENDS
from backfill_core.ports import Call
from backfill_core.scheduling.terms import Terms


def bench_of(count: int) -> Bench:
    adds = replace(processor("a", attempts=3, backoff=0.01), rerun="appends")
    return Bench((adds, processor("b", "one", Need("a"))), days=count)


def test_a_date_with_rows_is_told_and_blocked_until_it_is_cleared() -> None:
    bench = bench_of(3)
    bench.pen.write("a", day(2), keys=1)
    plan, _ = bench.plan()
    assert plan.planned()["a"].dates == days(1, 3)
    assert plan.blocked_dates() == {"a": days(2), "b": days(2)}
    assert {(cause.processor, cause.why) for blocked in plan.blocked for cause in blocked.because} == {("a", APPENDS)}
    bench.pen.write("a", day(2))
    whole, _ = bench.plan()
    assert whole.blocked_dates() == {} and whole.planned()["b"].dates == days(1, 2, 3)
    forced, _ = bench.plan(older_than=datetime.now(UTC) + timedelta(days=1), dates=days(2), processors=("a",))
    assert (forced.units, forced.blocked_dates()) == (0, {"a": days(2)})


@pytest.mark.parametrize("failure", [Failure.PERMANENT, Failure.TRANSIENT, Failure.UNKNOWN])
def test_a_call_of_several_dates_that_failed_is_looked_at_before_any_of_them_goes_again(failure: Failure) -> None:
    adds = replace(processor("a", max_dates=3), rerun="appends")
    bench = Bench((adds,), days=3)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        if days(2) <= call.batch.dates:
            if call.batch.size > 1:
                pen.write("a", day(1))
            return lost(failure, "HTTP 500")
        return pen.all(call)

    state = bench.run(answer, terms=Terms(concurrency=1))
    assert sorted(bench.days_called("a")) == [1, 2, 2, 3, 3]
    assert (state.dates(Word.DONE), state.dates(Word.FAILED)) == (days(1, 3), days(2))


def test_what_may_have_added_rows_is_not_called_again() -> None:
    bench = bench_of(3)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        if call.processor.name == "a" and call.batch.dates == days(1):
            return pen.all(call, keys=1)
        if call.processor.name == "a" and call.batch.dates == days(2):
            return lost(Failure.TRANSIENT, "HTTP 503")
        return pen.all(call)

    state = bench.run(answer, terms=Terms(concurrency=1))
    assert bench.days_called("a") == [1, 2, 3]
    assert state.dates(Word.FAILED, "a") == days(1, 2)
    assert (state.dates(Word.DONE, "a"), state.dates(Word.DONE, "b")) == (days(3), days(3))
