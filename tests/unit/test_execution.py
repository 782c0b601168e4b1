"""Runs against a service that fails in every way: what becomes of each unit, and what is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from time import sleep
from typing import Any

import pytest
from remote_world import DONE, Bench, Pen, days, lost, processor
from remote_world import day as day_of

from backfill_core.coverage import State
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    BreakerMoved,
    ChangedUnderneath,
    Claim,
    DrainAsked,
    Failure,
    GateJudged,
    IdentityBack,
    IdentityLost,
    Outcome,
    RunStarted,
    RunStopped,
    UnitsDeferred,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.model.needs import Need
from backfill_core.model.processor import Gate, Layer
from backfill_core.model.runs import SOURCE, Service
from backfill_core.model.units import Unit
from backfill_core.model.windows import days as window
from backfill_core.ports import Call
from backfill_core.reports.causes import degraded_lines
from backfill_core.reports.event_texts import event_line
from backfill_core.reports.trouble_texts import trouble_line
from backfill_core.scheduling.breaker import OPENS_AFTER
from backfill_core.scheduling.lanes import service_lane
from backfill_core.scheduling.terms import Priority, Terms

S = Service(name="s")


def test_what_fails_in_passing_is_called_again_and_done() -> None:
    bench = Bench((processor("a"),), days=2)

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        return lost(Failure.TRANSIENT, "HTTP 503") if time < 3 else pen.all(call)

    state = bench.run(answer)
    assert state.exit() == (0, "all done")
    assert sorted(event.attempt for event in bench.heard(BatchStarted)) == [1, 1, 2, 2, 3, 3]
    assert trouble_line(bench.heard(UnitsDeferred)[0], "r1").startswith("again: a 2024-05-01: HTTP 503. Attempt 2 at ")
    assert state.deferred == 4


def test_after_the_last_attempt_it_has_failed_and_says_after_how_many() -> None:
    bench = Bench((processor("a", attempts=2), processor("b", "one", Need("a"))), days=1)
    state = bench.run(lambda _call, _time, _pen: lost(Failure.TRANSIENT, "HTTP 503"))
    (ended, blocked) = bench.heard(UnitsEnded)
    assert (ended.word, ended.why, ended.attempts, ended.failure) == (Word.FAILED, "HTTP 503", 2, Failure.TRANSIENT)
    assert (blocked.word, blocked.why) == (Word.BLOCKED, "a failed")
    assert state.exit() == (1, "1 failed, 1 blocked")


def test_a_lost_answer_is_looked_at_and_what_is_there_is_not_called_again() -> None:
    bench = Bench((processor("a"),), days=3)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        pen.all(call)
        return lost(Failure.UNKNOWN, "HTTP 504")

    state = bench.run(answer)
    assert (state.exit()[0], bench.days_called("a"), state.count(Word.DONE)) == (0, [1, 2, 3], 3)


def test_a_lost_answer_with_nothing_there_is_called_once_more_and_fails_with_both_reasons() -> None:
    bench = Bench((processor("a"),), days=1)
    bench.run(lambda _call, _time, _pen: lost(Failure.UNKNOWN, "HTTP 504"))
    (ended,) = bench.heard(UnitsEnded)
    assert (ended.word, ended.why, ended.attempts) == (Word.FAILED, "HTTP 504; wrote nothing", 2)
    assert bench.days_called("a") == [1, 1]


def test_a_claim_that_the_table_does_not_bear_out_is_tried_once_more() -> None:
    bench = Bench((processor("a"),), days=4)

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        for on in call.batch.dates:
            if on == day_of(1) or (on == day_of(2) and time == 2):
                pen.write("a", on)
            if on == day_of(3):
                pen.write("a", on, keys=1)
        return DONE

    state = bench.run(answer)
    assert {word: state.dates(word) for word in (Word.DONE, Word.FAILED)} == {
        Word.DONE: days(1, 2),
        Word.FAILED: days(3, 4),
    }
    assert {event.why: event.dates for event in bench.heard(UnitsEnded) if event.word is Word.FAILED} == {
        "partial 1/2": days(3),
        "wrote nothing": days(4),
    }
    assert sorted(bench.days_called("a")) == [1, 2, 2, 3, 3, 4, 4]
    assert all(event.again for event in bench.heard(UnitsUnverified))
    told = [trouble_line(event, "r1") for event in bench.heard(UnitsUnverified)]
    assert any(": said to be done, but wrote nothing. One retry at " in line for line in told)


def test_one_retry_after_a_held_lock_is_told_once() -> None:
    bench = Bench((processor("a", service=Service(name="s", lock=0.05)),), days=2)
    state = bench.run(lambda call, time, pen: pen.all(call) if time > 1 else DONE)
    assert (state.exit()[0], bench.days_called("a")) == (0, [1, 2, 1, 2])
    told = bench.heard(UnitsUnverified)
    assert sorted(on for event in told for on in event.dates) == [day_of(1), day_of(2)]
    assert state.unverified == 2, "a unit that is looked at again once the lock has run out is not another one"


def test_a_unit_that_was_complete_before_is_done_only_if_its_rows_are_newer_than_its_call() -> None:
    bench = Bench((processor("a", attempts=1),), days=2)
    for number in (1, 2):
        bench.pen.write("a", day_of(number), written=datetime(2024, 1, 1, tzinfo=UTC))

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        return pen.all(call) if call.batch.dates == days(1) else DONE

    state = bench.run(answer, asked={"older_than": datetime(2024, 6, 1, tzinfo=UTC)})
    assert (state.dates(Word.DONE), state.dates(Word.FAILED)) == (days(1), days(2))
    assert bench.heard(UnitsEnded)[-1].why == "rows are older than the call"


def test_a_unit_that_was_missing_is_done_whoever_wrote_it() -> None:
    """Another caller held the lock and wrote the rows: their time says nothing against them."""
    bench = Bench((processor("a"),), days=1)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        pen.write("a", call.batch.dates.first, written=datetime(2024, 1, 1, tzinfo=UTC))
        return DONE

    assert bench.run(answer).count(Word.DONE) == 1


def test_partial_results_of_a_batch_are_kept_and_a_unit_without_a_word_is_looked_at() -> None:
    bench = Bench((processor("a", max_dates=4),), days=4)

    def answer(call: Call, _time: int, pen: Pen) -> Mapping[Unit, Outcome]:
        first, second, *rest = call.batch.dates
        for on in (first, *rest):
            pen.write("a", on)
        if len(rest) < 2:
            return {Unit("a", first): DONE}
        return {Unit("a", first): DONE, Unit("a", second): lost(Failure.PERMANENT, "HTTP 400"), Unit("a", rest[0]): DONE}

    state = bench.run(answer)
    assert (state.dates(Word.DONE), state.dates(Word.FAILED)) == (days(1, 3, 4), days(2))
    (deferred,) = bench.heard(UnitsDeferred)
    assert (deferred.dates, deferred.failure) == (days(4), Failure.UNKNOWN)


def test_one_bad_date_does_not_fail_its_neighbours() -> None:
    bench = Bench((processor("a", max_dates=8),), days=8)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        return lost(Failure.PERMANENT, "bad date") if days(6) <= call.batch.dates else pen.all(call)

    state = bench.run(answer)
    assert (state.dates(Word.FAILED), state.count(Word.DONE)) == (days(6), 7)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            Failure.TRANSIENT,
            "split: a 2024-05-01..2024-05-08: HTTP 500. Each half is tried, to find the date that spoils the others.",
        ),
        (Failure.UNKNOWN, "lost: a 2024-05-01..2024-05-08: HTTP 500. The table is looked at first."),
    ],
)
def test_a_date_at_which_every_call_breaks_is_set_aside(failure: Failure, told: str) -> None:
    """A program that crashes, a service that answers 500 or not at all: as often as it is called with that date."""
    bench = Bench((processor("a", max_dates=8, attempts=2),), days=8)
    state = bench.run(lambda call, _time, pen: lost(failure) if days(6) <= call.batch.dates else pen.all(call))
    assert (state.dates(Word.FAILED), state.count(Word.DONE)) == (days(6), 7)
    assert told in [trouble_line(event, "r1") for event in bench.heard(UnitsDeferred)]


def test_a_run_that_loses_its_identity_waits_and_fails_nothing() -> None:
    bench = Bench((processor("a"),), days=3)

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        return lost(Failure.AUTH, "the token was refused") if call.batch.dates == days(2) and time == 1 else pen.all(call)

    execution = bench.execution(answer)

    def log_in(event: object) -> None:
        if isinstance(event, IdentityLost):
            execution.scheduler.go_on()

    bench.told.act = log_in
    state = bench.start(execution)
    assert (state.exit()[0], state.count(Word.DONE), len(bench.heard(IdentityLost))) == (0, 3, 1)
    line = trouble_line(bench.heard(IdentityLost)[0], "r1")
    told = r"paused: no identity token since \d\d:\d\d UTC\. No unit was failed\. Log in, then: "
    assert re.fullmatch(told + r"backfill continue r1 \(the token was refused\)", line)
    assert len(bench.heard(IdentityBack)) == 1 and state.identity_lost is None and not state.resting


def test_a_run_that_is_continued_without_a_login_says_so_once() -> None:
    bench = Bench((processor("a"),), days=3)
    deferred: list[object] = []

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        return lost(Failure.AUTH, "nobody is logged in") if time <= 3 else pen.all(call)

    execution = bench.execution(answer)

    def go_on(event: object) -> None:
        if isinstance(event, UnitsDeferred):
            deferred.append(event)
            execution.scheduler.go_on()

    bench.told.act = go_on
    state = bench.start(execution)
    assert (state.exit()[0], state.count(Word.DONE), len(deferred)) == (0, 3, 9)
    assert (len(bench.heard(IdentityLost)), len(bench.heard(IdentityBack))) == (1, 1)


def test_a_run_that_waits_for_its_identity_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill_core.scheduling.setbacks.PROBE_EVERY", 0.02)
    bench = Bench((processor("a"),), days=5)
    logged_in = Event()

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        if time > 2:
            logged_in.set()
        return pen.all(call) if logged_in.is_set() else lost(Failure.AUTH, "nobody is logged in")

    state = bench.run(answer)
    assert (state.exit()[0], state.count(Word.DONE), state.count(Word.FAILED)) == (0, 5, 0)
    assert (len(bench.heard(IdentityLost)), len(bench.heard(IdentityBack))) == (1, 1)


def test_a_service_that_only_fails_trips_its_breaker_and_max_failures_ends_it() -> None:
    bench = Bench((processor("a", attempts=1, service=S),), days=20)
    state = bench.run(
        lambda _call, _time, _pen: lost(Failure.TRANSIENT, "HTTP 500"), terms=Terms(concurrency=1, max_failures=OPENS_AFTER)
    )
    assert [(event.service, event.position) for event in bench.heard(BreakerMoved)] == [("s", "open")]
    assert list(state.breakers) == ["s"]
    assert state.exit() == (1, "5 failed, stopped early: 5 units failed, as many as allowed, 15 units to go")


def test_a_call_that_never_comes_home_is_taken_for_lost_and_the_run_goes_on() -> None:
    bench, over = Bench((processor("a", timeout=0.001),), days=2), Event()

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        if call.batch.dates == days(1):
            if time == 1:
                over.wait()
            return lost(Failure.UNKNOWN) if time > 1 else DONE
        return pen.all(call)

    try:
        state = bench.run(answer)
    finally:
        over.set()
    assert (state.dates(Word.DONE), state.dates(Word.FAILED)) == (days(2), days(1))
    assert bench.drain.abandoned
    assert bench.heard(UnitsDeferred)[0].why == "no answer in 1 s"


def test_budgets_end_a_run_early_with_exit_5() -> None:
    bench = Bench((processor("a", max_dates=2), processor("b", "one", Need("a"))), days=5)
    state = bench.run(lambda call, _time, pen: pen.all(call), terms=Terms(concurrency=2, max_units=7))
    assert state.count(Word.DONE) == 7
    assert state.exit() == (5, "stopped early: 7 units called, as many as allowed, 3 units to go")
    (stopped,) = bench.heard(RunStopped)
    assert stopped.asked


def test_a_budget_that_ends_a_run_beside_what_was_blocked_is_no_excuse_for_that() -> None:
    """The first of the exit codes that apply: somebody has to look at what is blocked, whoever asked for the budget."""
    source = replace(processor("s"), run=SOURCE)
    graph = (source, processor("a", "one", Need("s")), processor("b"))
    for allowed, code in ((False, 1), (True, 5)):
        bench = Bench(graph, days=5)
        bench.pen.write("s", day_of(1))
        state = bench.run(lambda call, _time, pen: pen.all(call), terms=Terms(concurrency=1, max_units=3), allow_blocked=allowed)
        assert state.ended is not None and state.ended.exit_code == code
        told = "stopped early: 3 units called, as many as allowed, 3 units to go"
        assert state.ended.exit_reason == (told if allowed else f"4 blocked when planned, {told}")


def test_nothing_leaves_that_would_not_be_back_in_time() -> None:
    bench = Bench((processor("slow"), processor("quick")), days=3)
    execution = bench.execution(
        lambda call, _time, pen: pen.all(call),
        terms=Terms(concurrency=1, stop_at=10**12),
        seconds={"slow": 10.0**13, "quick": 1.0},
    )
    state = bench.start(execution)
    assert (bench.days_called("slow"), bench.days_called("quick")) == ([], [1, 2, 3])
    assert state.exit() == (5, "stopped early: no time for more, 3 units to go")


def test_a_canary_that_fails_saves_the_rest() -> None:
    bench = Bench((processor("a"),), days=30)
    state = bench.run(
        lambda call, _time, pen: lost(Failure.PERMANENT, "HTTP 400") if call.batch.dates == days(15) else pen.all(call),
        terms=Terms(concurrency=3, canary=3),
    )
    assert sorted(bench.days_called("a")) == [1, 15, 30]  # three at once, in no order
    assert state.exit() == (1, "1 failed, stopped early: a date of the canary failed, 27 units to go")


@pytest.mark.parametrize("allowed", [False, True])
def test_a_date_that_shrinks_elsewhere_is_loud_unless_allowed(allowed: bool) -> None:
    bench = Bench((processor("a", keys=2),), days=2)
    for number in (1, 2):
        bench.pen.write("a", day_of(number), keys=8, written=datetime(2024, 1, 1, tzinfo=UTC))
    asked = {"older_than": datetime(2024, 6, 1, tzinfo=UTC)}
    state = bench.run(lambda call, _time, pen: pen.all(call), asked=asked, allow_shrink=allowed)
    assert state.count(Word.DONE if allowed else Word.FAILED) == 2
    if not allowed:
        assert bench.heard(UnitsEnded)[-1].why == "shrank, 8 keys -> 2; it is too late to undo"


@pytest.mark.parametrize(("others", "stops"), [(2, False), (3, True)])
def test_what_changes_underneath_is_said_and_too_much_of_it_stops_the_run(others: int, stops: bool) -> None:
    bench = Bench((processor("a"), processor("b", "one", Need("a"))), days=40)
    old = datetime(2024, 1, 1, tzinfo=UTC)
    for number in range(1, 40):
        bench.pen.write("a", day_of(number), written=old)
        bench.pen.write("b", day_of(number))
    bench.pen.write("a", day_of(1), keys=1)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        for number in range(11, 11 + others):  # somebody else rewrites dates that no call of ours is about
            pen.write("a", day_of(number))
        return pen.all(call)

    state = bench.run(answer, terms=Terms(concurrency=2))
    (told,) = bench.heard(ChangedUnderneath)
    assert (told.processor, len(told.dates), told.of) == ("a", others, 40)
    assert trouble_line(told, "r1").startswith(f"changed underneath: a 2024-05-11..2024-05-{10 + others} ({others} of 40 dates)")
    assert state.exit() == ((1, "stopped early: a changed underneath, 1 unit to go") if stops else (0, "all done"))


def test_processors_that_go_together_share_calls_and_each_unit_has_its_own_word() -> None:
    four = [processor(name, service=S, together="all") for name in "abc"]
    bench = Bench((*four, processor("d", "one", Need("a"), Need("b"), service=S, together="all")), days=3)

    def answer(call: Call, _time: int, pen: Pen) -> Mapping[Unit, Outcome]:
        (on,) = call.batch.dates
        for name in set(call.batch.processors) - {"c"}:
            pen.write(name, on)
        return {Unit(name, on): lost(Failure.PERMANENT, "exception") if name == "c" else DONE for name in call.batch.processors}

    state = bench.run(answer, terms=Terms(concurrency=2, caps={service_lane("s"): 1}))
    assert [(len(names), len(on)) for names, on in bench.service.calls] == [(3, 1)] * 3 + [(1, 1)] * 3
    assert {name: len(state.dates(Word.DONE, name)) for name in "abcd"} == {"a": 3, "b": 3, "c": 0, "d": 3}
    assert state.dates(Word.FAILED, "c") == days(1, 2, 3)


def in_order(**more: Any) -> tuple[Any, ...]:
    """Three processors that go in one call a date, each but the first needing the one before it."""
    called = {"service": S, "together": "all", "in_order": True} | more
    needs = {"a": (), "b": (Need("a"),), "c": (Need("b", soft=True),)}
    return tuple(processor(name, "one", *of, **called) for name, of in needs.items())


def each(call: Call, pen: Pen, **said: Outcome) -> dict[Unit, Outcome]:
    """What is not said to have gone otherwise is written and done."""
    (on,) = call.batch.dates
    for name in set(call.batch.processors) - said.keys():
        pen.write(name, on)
    return {Unit(name, on): said.get(name, DONE) for name in call.batch.processors}


def test_in_order_a_date_goes_in_one_call_with_what_it_needs() -> None:
    bench = Bench(in_order(), days=3)
    state = bench.run(lambda call, _time, pen: pen.all(call), terms=Terms(concurrency=2))
    assert [names for names, _ in bench.service.calls] == [("a", "b", "c")] * 3
    assert (state.exit(), state.count(Word.DONE)) == ((0, "all done"), 9)
    assert not any(event.degraded for event in bench.heard(UnitsEnded))
    ended = [event.processor for event in bench.heard(UnitsEnded)]
    assert ended.index("a") < ended.index("b") < ended.index("c"), "each table is looked at after those that it is made from"


def test_behind_a_unit_that_failed_in_the_same_call_tables_decide() -> None:
    """What was made without what it needs is done and degraded; what is not there is blocked by it, whatever was said of it."""
    bench = Bench(in_order(), days=3)

    def answer(call: Call, _time: int, pen: Pen) -> Mapping[Unit, Outcome]:
        broken = {"a": lost(Failure.PERMANENT, "no shots")}
        match call.batch.dates.first.day:
            case 2:
                broken["b"] = lost(Failure.PERMANENT, "no a")
            case 3:
                broken["b"] = lost(Failure.UNKNOWN, "HTTP 504")
        return each(call, pen, **broken)

    state = bench.run(answer)
    assert len(bench.service.calls) == 3, "a call again would do nothing for them"
    assert {(word, name): state.dates(word, name) for word in Word for name in "abc" if state.dates(word, name)} == {
        (Word.FAILED, "a"): days(1, 2, 3),
        (Word.DONE, "b"): days(1),
        (Word.BLOCKED, "b"): days(2, 3),
        (Word.DONE, "c"): days(1, 2, 3),
    }
    degraded = {(event.processor, on) for event in bench.heard(UnitsEnded) for on in event.degraded}
    assert degraded == {("b", day_of(1)), ("c", day_of(2)), ("c", day_of(3))}
    assert {event.why for event in bench.heard(UnitsEnded) if event.word is Word.BLOCKED} == {"a failed"}
    assert degraded_lines(state) == ["degraded 3  done on less than all it wanted  2 processors, first b 2024-05-01"]
    for number in range(1, 4):
        bench.pen.write("a", day_of(number))
    plan, coverage = bench.plan()
    assert coverage.processors["b"].states[State.STALE] == days(1), "made before the hole was filled"
    assert plan.planned()["b"].dates == days(2, 3)


def test_what_went_behind_a_claim_that_is_not_borne_out_goes_again_with_it() -> None:
    bench = Bench(in_order(), days=2)

    def answer(call: Call, time: int, pen: Pen) -> Mapping[Unit, Outcome]:
        if time == 1 and call.batch.dates == days(2):
            pen.write("b", day_of(2), keys=1)
            pen.write("c", day_of(2))
            return each(call, pen, a=DONE, b=DONE, c=DONE)
        return each(call, pen)

    state = bench.run(answer)
    assert [(names, on[0].day) for names, on in bench.service.calls] == [(tuple("abc"), 1), (tuple("abc"), 2), (tuple("abc"), 2)]
    assert (state.exit()[0], state.count(Word.DONE), len(bench.heard(UnitsUnverified))) == (0, 6, 1)
    assert not any(event.degraded for event in bench.heard(UnitsEnded))


def test_what_went_behind_a_retry_has_had_its_own() -> None:
    """A service that says done and writes nothing gets a date twice, whatever its processors need of each other."""
    bench = Bench(in_order(), days=1)
    state = bench.run(lambda _call, _time, _pen: DONE)
    assert [names for names, _ in bench.service.calls] == [tuple("abc")] * 2
    assert {(word, name) for word in Word for name in "abc" if state.dates(word, name)} == {
        (Word.FAILED, "a"),
        (Word.BLOCKED, "b"),
        (Word.FAILED, "c"),
    }
    one = Bench(in_order(), days=1)
    state = one.run(lambda call, _time, pen: each(call, pen, c=DONE))
    assert [names for names, _ in one.service.calls] == [tuple("abc"), ("c",)], "what was called once has its retry"
    assert state.dates(Word.FAILED, "c") == days(1)


def test_a_call_in_order_that_fails_in_passing_comes_back_whole() -> None:
    bench = Bench(in_order(attempts=2), days=1)
    state = bench.run(lambda call, time, pen: lost(Failure.TRANSIENT, "HTTP 503") if time == 1 else pen.all(call))
    assert [names for names, _ in bench.service.calls] == [tuple("abc")] * 2
    assert state.count(Word.DONE) == 3
    worse = Bench(in_order(attempts=2), days=1)
    state = worse.run(lambda _call, _time, _pen: lost(Failure.TRANSIENT, "HTTP 503"))
    assert [names for names, _ in worse.service.calls] == [tuple("abc")] * 2
    assert {word: state.count(word) for word in (Word.FAILED, Word.BLOCKED)} == {Word.FAILED: 2, Word.BLOCKED: 1}


def test_a_call_in_order_without_an_answer_is_looked_at_table_by_table() -> None:
    bench = Bench(in_order(), days=1)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        if len(call.batch.processors) == 3:
            pen.write("a", day_of(1))
            return lost(Failure.UNKNOWN, "HTTP 504")
        return pen.all(call)

    state = bench.run(answer)
    assert [names for names, _ in bench.service.calls] == [tuple("abc"), ("b",), ("c",)]
    assert state.count(Word.DONE) == 3


def gated(at_least: float, per: Any = "date") -> tuple[Layer, Layer]:
    """Two layers with a gate between them, which closes the whole layer only by its stage."""
    gate = Gate("enough", measure="a", key="key", at_least=at_least, per=per, closes_from=100)
    return Layer("one", gates=(gate,)), Layer("two", after=("one",))


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_pipelined_run_ends_as_a_staged_one_does(pipelined: bool) -> None:
    needing = (processor("b", "two", Need("a", window=window(2), share=0.5)), processor("c", "two", Need("a")))
    bench = Bench((*gated(0.5), processor("a"), *needing), keyed=True)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        return lost(Failure.PERMANENT) if call.processor.name == "a" and call.batch.dates == days(3) else pen.all(call)

    terms = Terms(concurrency=1, pipelined=pipelined, priority=Priority.OLDEST)
    state = bench.run(answer, terms=terms, inside=True)
    order = [names[0] for names, _ in bench.service.calls]
    assert (order[:5] == ["a"] * 5) is not pipelined
    assert {(word, name): state.dates(word, name) for word in Word for name in "abc" if state.dates(word, name)} == {
        (Word.DONE, "a"): days(1, 2, 4, 5),
        (Word.FAILED, "a"): days(3),
        (Word.DONE, "b"): days(1, 2, 3, 4, 5),
        (Word.DONE, "c"): days(1, 2, 4, 5),
        (Word.BLOCKED, "c"): days(3),
    }
    assert len(bench.heard(GateJudged)) == 1


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_date_that_a_gate_closes_is_withheld_either_way(pipelined: bool) -> None:
    """The unit is verified, and the gate wants more than its processor does."""
    bench = Bench((*gated(0.9), processor("a", "one", keys=1), processor("c", "two", Need("a"))), days=4, keyed=True)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        return pen.all(call, keys=1 if call.processor.name == "a" and call.batch.dates == days(2) else 2)

    state = bench.run(answer, terms=Terms(concurrency=2, pipelined=pipelined))
    assert (state.dates(Word.DONE, "c"), state.dates(Word.WITHHELD, "c")) == (days(1, 3, 4), days(2))
    assert state.exit() == (3, "gate closed: enough")


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize(
    ("per", "at_least", "withheld"),
    [(window(2), 0.8, days(2, 3)), ("stage", 0.9, days(1, 2, 3, 4)), ("stage", 0.8, days())],
)
def test_a_gate_on_dates_together_is_judged_once_all_of_them_are_there(
    pipelined: bool, per: Any, at_least: float, withheld: Any
) -> None:
    """Day 2 holds one key of two: three of four in the two days to it and to the next, seven of eight in all."""
    bench = Bench((*gated(at_least, per), processor("a", "one", keys=1), processor("c", "two", Need("a"))), days=4, keyed=True)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        return pen.all(call, keys=1 if call.processor.name == "a" and call.batch.dates == days(2) else 2)

    state = bench.run(answer, terms=Terms(concurrency=2, pipelined=pipelined))
    assert state.dates(Word.WITHHELD, "c") == withheld
    assert state.dates(Word.DONE, "c") == days(1, 2, 3, 4) - withheld
    assert state.exit()[0] == (3 if withheld else 0)


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_gate_that_somebody_overrides_holds_nothing_up_and_is_told(pipelined: bool) -> None:
    bench = Bench((*gated(0.9), processor("a", "one", keys=1), processor("c", "two", Need("a"))), days=4, keyed=True)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        return pen.all(call, keys=1 if call.processor.name == "a" and call.batch.dates == days(2) else 2)

    terms = Terms(concurrency=1, pipelined=pipelined)
    state = bench.run(answer, terms=terms, overridden={"enough": "half of it is known to be lost"})
    assert (state.dates(Word.DONE, "c"), state.exit()[0]) == (days(1, 2, 3, 4), 0)
    (judged,) = bench.heard(GateJudged)
    assert (judged.passed, judged.verdict["overridden"]) == (False, "half of it is known to be lost")


def test_units_that_are_exhausted_are_not_called_and_hold_up_what_needs_them() -> None:
    bench = Bench((processor("a"), processor("b", "one", Need("a"))), days=3)
    state = bench.run(lambda call, _time, pen: pen.all(call), exhausted={"a": {"HTTP 500 (in 3 runs)": days(2)}})
    assert bench.days_called("a") == [1, 3] and state.dates(Word.EXHAUSTED, "a") == days(2)
    assert bench.heard(UnitsEnded)[-1].word in (Word.DONE, Word.BLOCKED)
    assert state.dates(Word.BLOCKED, "b") == days(2)
    assert state.exit() == (1, "1 exhausted, 1 blocked")


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (60.0, r"stopping: 1 unit in flight comes home first, within 1 min 0[0-9] s at most; nothing new starts"),
        (None, "stopping: 1 unit in flight comes home first; nothing new starts"),
    ],
)
def test_whoever_stops_a_run_is_told_how_long_what_is_in_flight_may_take(limit: float | None, told: str) -> None:
    bench = Bench((processor("a", timeout=limit),), days=2)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        bench.drain.ask()
        while not bench.heard(DrainAsked):
            sleep(0.01)
        return pen.all(call)

    state = bench.run(answer)
    (asked,) = bench.heard(DrainAsked)
    assert re.fullmatch(told, event_line(asked, state))


def test_declined_is_a_word_of_its_own() -> None:
    bench = Bench((processor("a"),), days=1)
    state = bench.run(lambda _call, _time, _pen: Outcome(claim=Claim.DECLINED, why="too little history"))
    assert state.exit() == (1, "1 declined")


@pytest.mark.parametrize("kind", [RunStarted, BatchStarted, BatchEnded, UnitsDeferred, UnitsUnverified, UnitsEnded, GateJudged])
@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_asked_to_stop_in_any_phase_stops_and_the_next_one_ends_it(kind: type[Any], times: int) -> None:
    graph = (*gated(0.5), processor("a"), processor("b", "two", Need("a")))
    bench = Bench(graph, keyed=True)
    heard: list[Any] = []

    def act(event: Any) -> None:
        if isinstance(event, kind) and not heard:
            heard.append(event)
            for _ in range(times):
                bench.drain.ask()

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        if time == 1 and call.batch.dates == days(2):
            return lost(Failure.TRANSIENT)
        return DONE if time == 1 and call.batch.dates == days(3) else pen.all(call)

    bench.told.act = act
    terms = Terms(concurrency=2, priority=Priority.OLDEST)
    state = bench.run(answer, terms=terms)
    assert heard, "it came to that phase"
    assert state.ended is not None and state.in_flight == {}
    assert (state.ended.exit_code, bool(state.ended.after)) == (130, times == 1), "stopped at once, nothing is looked at"
    assert bench.told.events[-1] is state.ended
    after = Bench(graph, keyed=True, warehouse=bench.warehouse)
    assert after.run(lambda call, _time, pen: pen.all(call), terms=terms).exit()[0] == 0
    assert after.plan()[0].units == 0
