"""Units whose call left in an earlier run, of which nobody knows how it ended: when they may be called, and what is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from remote_world import DONE, Bench, Pen, days, processor
from remote_world import day as day_of

from backfill_core.dates import DateSet, day_number
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    ChangedUnderneath,
    Event,
    Failure,
    Outcome,
    UnitsDeferred,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.model.needs import Need
from backfill_core.model.runs import Service
from backfill_core.planning.left_behind import LeftBehind, left_behind
from backfill_core.ports import Call
from backfill_core.reports.trouble_texts import trouble_line

S = Service(name="s", lock=600)
NOW = datetime(2024, 6, 1, 11, 0, tzinfo=UTC)


def called(batch: int, dates: DateSet, *names: str, ago: float = 60) -> BatchStarted:
    at = NOW - timedelta(seconds=ago)
    return BatchStarted(at=at, batch=batch, processors=names or ("a",), dates=dates, attempt=1)


def deferred(dates: DateSet, failure: Failure, attempt: int = 1) -> UnitsDeferred:
    return UnitsDeferred(at=NOW, processor="a", dates=dates, failure=failure, why="so", attempt=attempt, again=NOW)


def behind(*runs: list[Event]) -> dict[str, dict[int, LeftBehind]]:
    bench = Bench((processor("a", service=S), processor("b", service=S), processor("free", service=Service(name="free"))), days=9)
    bench.pen.write("a", day_of(9))
    plan, _ = bench.plan()
    return left_behind(bench.pipeline, plan, runs, NOW)


def test_a_call_without_an_end_holds_its_units_for_as_long_as_its_service_may_be_locked() -> None:
    found = behind([called(1, days(1, 2), "a", "b"), called(2, days(3), ago=601), called(3, days(4), "free"), called(4, days(9))])
    assert {name: list(of_it) for name, of_it in found.items()} == {
        "a": [day_number(day_of(1)), day_number(day_of(2))],
        "b": [day_number(day_of(1)), day_number(day_of(2))],
    }
    (one, _) = found["a"].values()
    assert one.left == NOW - timedelta(seconds=60)
    assert one.until == NOW + timedelta(seconds=540)


def test_what_has_its_word_or_an_answer_is_held_by_nobody() -> None:
    ended = UnitsEnded(at=NOW, processor="a", dates=days(1), word=Word.FAILED, why="HTTP 400")
    first = [called(1, days(1, 2, 3, 4)), BatchEnded(at=NOW, batch=1, seconds=1.0), ended, deferred(days(2), Failure.TRANSIENT)]
    first += [
        deferred(days(3), Failure.UNKNOWN),
        UnitsUnverified(at=NOW, processor="a", dates=days(4), why="wrote nothing", again=NOW),
    ]
    waits = deferred(days(3, 4), Failure.UNKNOWN, attempt=0)
    assert set(behind(first, [waits])["a"]) == {day_number(day_of(3)), day_number(day_of(4))}
    later: list[Event] = [called(1, days(3), ago=30), UnitsEnded(at=NOW, processor="a", dates=days(3, 4), word=Word.DONE)]
    assert behind(first, later) == {}


def held(*numbers: int, name: str = "a", seconds: float = 0.1) -> dict[str, dict[int, LeftBehind]]:
    now = datetime.now(UTC)
    call = LeftBehind(left=now - timedelta(seconds=1), until=now + timedelta(seconds=seconds))
    return {name: {day_number(day_of(number)): call for number in numbers}}


def test_what_an_earlier_call_wrote_in_the_meantime_is_found_and_not_called() -> None:
    bench = Bench((processor("a", service=S), processor("b", "one", Need("a"))), days=3)

    def act(event: Event) -> None:
        if isinstance(event, UnitsDeferred):
            bench.pen.write("a", day_of(2))

    bench.told.act = act
    state = bench.run(lambda call, _time, pen: pen.all(call), left_behind=held(2))
    assert (state.exit(), sorted(bench.days_called("a"))) == ((0, "all done"), [1, 3])
    assert state.dates(Word.SKIPPED, "a") == days(2) and state.dates(Word.DONE, "b") == days(1, 2, 3)
    assert not bench.heard(ChangedUnderneath), "it was expected"
    (waits,) = bench.heard(UnitsDeferred)
    told = "waits: a 2024-05-02: a call of an earlier run may still be at work. Looked at, and called if it is not there, at "
    assert trouble_line(waits, "r2").startswith(told)
    assert state.deferred == 0, "no call of this run failed"


def test_what_is_not_there_by_then_is_called_and_has_its_retry() -> None:
    bench = Bench((processor("a", service=Service(name="s")),), days=2)
    calls = held(2)
    left: list[datetime] = []

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        if call.batch.dates == days(2):
            left.append(datetime.now(UTC))
        return DONE if call.batch.dates == days(2) and time == 1 else pen.all(call)

    state = bench.run(answer, left_behind=calls)
    assert (state.exit()[0], bench.days_called("a")) == (0, [1, 2, 2])
    assert left[0] >= next(iter(calls["a"].values())).until


def test_rows_that_are_to_be_written_anew_are_found_only_if_they_were() -> None:
    bench = Bench((processor("a", service=S),), days=2)
    for number in (1, 2):
        bench.pen.write("a", day_of(number), written=datetime(2024, 1, 1, tzinfo=UTC))
    bench.told.act = lambda event: bench.pen.write("a", day_of(1)) if isinstance(event, UnitsDeferred) else None
    asked = {"older_than": datetime(2024, 6, 1, tzinfo=UTC)}
    state = bench.run(lambda call, _time, pen: pen.all(call), left_behind=held(1, 2), asked=asked)
    assert (state.dates(Word.SKIPPED), state.dates(Word.DONE), bench.days_called("a")) == (days(1), days(2), [2])


def test_in_order_it_goes_behind_nobody() -> None:
    together: Mapping[str, Any] = {"service": S, "together": "all", "in_order": True}
    bench = Bench((processor("a", **together), processor("b", "one", Need("a"), **together)), days=2)
    state = bench.run(lambda call, _time, pen: pen.all(call), left_behind=held(2, name="b"))
    assert sorted((names, on[0].day) for names, on in bench.service.calls) == [(("a",), 2), (("a", "b"), 1), (("b",), 2)]
    assert state.exit()[0] == 0


def test_a_run_that_ends_early_waits_for_none_of_them() -> None:
    bench = Bench((processor("a", service=S),), days=2)
    bench.told.act = lambda event: bench.drain.ask() if isinstance(event, UnitsDeferred) else None
    state = bench.run(lambda call, _time, pen: pen.all(call), left_behind=held(1, seconds=600))
    assert state.ended is not None and state.ended.exit_code == 130
