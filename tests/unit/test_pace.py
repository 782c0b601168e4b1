"""Rates and remaining time, from verified work alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from backfill_core.cli.bars import bars
from backfill_core.dates import DateSet, Span
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    BreakerMoved,
    Control,
    Event,
    Failure,
    IdentityLost,
    Instructed,
    RunEnded,
    RunStarted,
    UnitsClaimed,
    UnitsDeferred,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.plan import Plan, PlannedProcessor, Request, Stage
from backfill_core.reports.log_texts import About, look_back
from backfill_core.reports.pace_texts import eta_told, eta_words, pace_words, per_minute, seconds_left, slow_lines
from backfill_core.reports.run_texts import next_command, progress_lines, run_word, status_json, status_lines, table_lines
from backfill_core.run_state import RunState

NOW = datetime(2025, 3, 5, 10, 0, tzinfo=UTC)
DATES = DateSet.from_json(["2025-01-01..2025-02-09"])
SPAN = Span(DATES.first, DATES.last)
DAYS = list(DATES)
PLAN = Plan(
    request=Request(target="local", span=SPAN, today=SPAN.last, through="late"),
    graph="g",
    stages=(
        Stage(
            layer="early",
            processors=tuple(PlannedProcessor(name=name, reasons={"missing": DateSet.of(DAYS[0])}) for name in ("one", "two")),
            gates=(),
        ),
        Stage(layer="late", processors=(PlannedProcessor(name="player_shots", reasons={"missing": DATES}),), gates=()),
    ),
    blocked=(),
    not_planned={},
    asked=40,
)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def begun(*events: Event) -> RunState:
    started = RunStarted(at=NOW, pid=7, host="h", command="backfill execute", target="local", plan=PLAN.to_json())
    return RunState.fold("r12", [started, *events])


def worked(name: str, day: int, left: float, home: float, word: Word = Word.DONE, why: str = "") -> list[Event]:
    dates, batch = DateSet.of(DAYS[day]), 1000 * len(name) + day
    return [
        BatchStarted(at=at(left), batch=batch, processors=(name,), dates=dates),
        BatchEnded(at=at(home), batch=batch, seconds=home - left),
        UnitsEnded(at=at(home), processor=name, dates=dates, word=word, why=why, batch=batch),
    ]


def test_units_that_wait_for_their_time_are_told_until_they_leave() -> None:
    day = DateSet.of(DAYS[0])
    waits = UnitsDeferred(
        at=NOW, processor="one", dates=day, failure=Failure.UNKNOWN, why="a call of an earlier run", attempt=0, again=at(540)
    )
    absent = UnitsUnverified(at=NOW, processor="two", dates=day, why="wrote nothing", again=at(600))
    told = f"waiting 2 units, the first until {at(540):%H:%M:%S} UTC"
    for gone, waiting in (((), 2), ((BatchStarted(at=NOW, batch=1, processors=("one",), dates=day),), 1)):
        state = begun(waits, absent, *gone)
        assert len(state.waiting(at(1))) == waiting
        assert (told in progress_lines(state, at(1))) == (waiting == 2)
    assert eta_words(begun(waits, absent), at(1)) == f"ETA none before {at(540):%H:%M:%S} UTC"
    assert begun(waits, absent).waiting(at(601)) == [], "their time has come"
    assert (
        begun(waits, UnitsEnded(at=NOW, processor="one", dates=day, word=Word.SKIPPED, why="found complete")).waiting(at(1)) == []
    )


def test_a_units_log_says_why_it_was_called_again() -> None:
    day = DateSet.of(DAYS[0])
    call = BatchStarted(at=NOW, batch=1, processors=("one",), dates=day)
    again = UnitsDeferred(at=NOW, processor="one", dates=day, failure=Failure.TRANSIENT, why="HTTP 503", attempt=1, again=at(2))
    lines = look_back("r1", [call, BatchEnded(at=NOW, batch=1, seconds=1.0), again], About(processor="one", day=DAYS[0])).lines
    assert len(lines) == 3 and f"again: one {DAYS[0]}: HTTP 503. Attempt 2 at " in lines[-1]
    assert not look_back("r1", [again], About(processor="two")).lines


def test_nothing_verified_gives_no_estimate() -> None:
    state = begun(*worked("player_shots", 0, 0, 1, Word.FAILED, "wrote nothing, 3 wanted"))
    assert seconds_left(state) is None
    assert pace_words(state) == "rate not known yet"
    assert eta_words(state, at(60)) == "ETA not known yet"
    assert state.wrote_nothing == {"player_shots": DateSet.of(DAYS[0])}


def test_a_steady_pace_gives_a_narrow_range_and_what_wrote_nothing_does_not_count() -> None:
    steady = [event for day in range(10) for event in worked("player_shots", day, 30 * day, 30 * (day + 1))]
    quick = [event for day in range(10, 20) for event in worked("player_shots", day, 300, 300, Word.FAILED, "wrote nothing")]
    state = begun(*steady, *quick)
    left = seconds_left(state)
    assert left is not None
    least, most = left
    assert (state.left, pace_words(state)) == (22, "2.0 a minute")
    assert 0.94 * 22 * 30 <= least < 22 * 30 < most <= 1.06 * 22 * 30
    assert per_minute(state, "player_shots") == 2.0
    assert eta_words(state, at(300)) == "ETA 10:15-10:16 UTC"
    assert eta_words(state, at(300) + timedelta(hours=13, minutes=50)) == "ETA overdue: nothing verified in 13 h 50"


def test_a_run_that_slows_down_gives_a_wide_range() -> None:
    fast = [event for day in range(10) for event in worked("player_shots", day, day, day + 1)]
    slow = [
        event for day in range(10, 14) for event in worked("player_shots", day, 10 + 100 * (day - 10), 110 + 100 * (day - 10))
    ]
    left = seconds_left(begun(*fast, *slow))
    assert left is not None and left[1] > 1.05 * left[0]
    assert eta_words(begun(*fast), at(10)) == "ETA in 30 s to 34 s"


def test_pauses_are_not_work() -> None:
    before = [event for day in range(10) for event in worked("player_shots", day, 30 * day, 30 * (day + 1))]
    pause = Instructed(at=at(300), number=1, control=Control.PAUSE, by="ann@h")
    again = Instructed(at=at(4000), number=2, control=Control.CONTINUE, by="bob@h")
    paused = begun(*before, pause)
    assert (run_word(paused, alive=True), eta_told(paused, at(900))) == ("PAUSED", "ETA none while paused")
    assert next_command(paused, alive=True) == "backfill continue r12"
    went_on = begun(*before, pause, again, *worked("player_shots", 10, 4000, 4030))
    left = seconds_left(went_on)
    assert went_on.paused is None
    assert left is not None and left[1] < 1.1 * 31 * 30
    assert went_on.active(at(4030)) == 330
    early = begun(*before, pause, again)
    assert seconds_left(early) == seconds_left(begun(*before))
    assert eta_words(early, at(4010)) == "ETA 11:21-11:23 UTC", "the pause took nothing off"


def test_what_takes_much_longer_than_it_should_is_slow() -> None:
    done = [event for day in range(3) for event in worked("player_shots", day, 0, 20)]
    out = BatchStarted(at=at(20), batch=99, processors=("player_shots",), dates=DateSet.of(DAYS[5]))
    state = begun(*done, out)
    assert slow_lines(state, at(70)) == []
    assert slow_lines(state, at(120)) == ["slow: player_shots 2025-01-06 in flight 1 min 40 s; usual 20 s"]


def test_what_came_home_and_was_not_looked_at_yet_is_counted() -> None:
    one, two, three = (DateSet.of(day) for day in DAYS[:3])
    home = [
        event
        for number, dates in enumerate((one, two, three), start=1)
        for event in (
            BatchStarted(at=at(number), batch=number, processors=("player_shots",), dates=dates),
            BatchEnded(at=at(number + 5), batch=number, seconds=5),
        )
    ]
    said = [UnitsClaimed(at=at(9), processor="player_shots", dates=dates) for dates in (one, two)]
    events = [*worked("one", 0, 0, 5), *home, *said]
    lines = status_lines(begun(*events), at(10), alive=True)
    assert "wrote nothing 0   unverified 0   claimed 2, not looked at yet" in lines
    assert status_json(begun(*events), at(10), alive=True)["claimed"] == 2
    events += [
        UnitsEnded(at=at(11), processor="player_shots", dates=one, word=Word.DONE),
        UnitsUnverified(at=at(11), processor="player_shots", dates=two, why="wrote nothing"),
        UnitsDeferred(
            at=at(11), processor="player_shots", dates=three, failure=Failure.TRANSIENT, why="x", attempt=1, again=at(20), batch=3
        ),
    ]
    assert "wrote nothing 1   unverified 1" in status_lines(begun(*events), at(12), alive=True)


def test_a_status_is_read_at_a_glance() -> None:
    events = [*worked("one", 0, 0, 5), *worked("two", 0, 0, 5)]
    events += [event for day in range(4) for event in worked("player_shots", day, 5 + 30 * day, 35 + 30 * day)]
    empty = DateSet.of(DAYS[7])
    events += [
        BatchStarted(at=at(125), batch=1, processors=("player_shots",), dates=empty),
        UnitsUnverified(at=at(126), processor="player_shots", dates=empty, why="wrote nothing, 9 wanted"),
        BatchStarted(at=at(127), batch=2, processors=("player_shots",), dates=empty, attempt=2),
        UnitsEnded(at=at(128), processor="player_shots", dates=empty, word=Word.FAILED, why="wrote nothing, 9 wanted"),
    ]
    lines = status_lines(begun(*events), at(130), alive=True)
    assert lines == [
        f"run r12  RUNNING 2 min 10 s  pid 7  local  plan {PLAN.hash[:8]}  alive 2 s ago",
        "span 2025-01-01..2025-02-09  through late",
        "                       DONE  UNITS  FAILED  BLOCKED  PER MIN",
        "early                     2      2       0        0",
        "player_shots              4     40       1        0      2.0",
        lines[5],
        "wrote nothing 1   unverified 1",
        "failed 1  wrote nothing, 9 wanted  player_shots 2025-01-08 (2 attempts)",
        "next: backfill logs r12 --processor player_shots --date 2025-01-08",
    ]
    assert lines[5].startswith("in flight 2   to go 35   ETA 10:")


def test_what_holds_a_run_up_is_in_its_status() -> None:
    events: list[Event] = worked("one", 0, 0, 5)
    events.append(BreakerMoved(at=at(6), service="l4", position="open", probe=at(36)))
    told = "service l4 left alone until 10:00:36 UTC: it fails call after call"
    assert told in status_lines(begun(*events), at(10), alive=True)
    assert told in plain(begun(*events), at(10))
    assert status_json(begun(*events), at(10), alive=True)["breakers"] == [
        {"service": "l4", "position": "open", "probe": at(36).isoformat()}
    ]
    closed = begun(*events, BreakerMoved(at=at(37), service="l4", position="closed"))
    assert told not in status_lines(closed, at(40), alive=True)
    unknown = begun(*events, IdentityLost(at=at(7), why="HTTP 401"))
    lines = status_lines(unknown, at(10), alive=True)
    assert lines[0].startswith("run r12  PAUSED") and lines[-1] == "next: backfill continue r12"
    said = "paused: no identity token since 10:00 UTC. No unit was failed. Log in, then: backfill continue r12 (HTTP 401)"
    assert said in " ".join(" ".join(lines).split())


def plain(state: RunState, now: datetime) -> list[str]:
    """What a terminal of 80 columns shows below the bars."""
    console = Console(width=80, record=True, file=StringIO())
    console.print(bars(state, now))
    return console.export_text().splitlines()


def test_a_bar_counts_as_failed_what_the_table_does() -> None:
    words = (Word.FAILED, Word.EXHAUSTED, Word.DECLINED)
    state = begun(*(event for place, word in enumerate(words) for event in worked("player_shots", place, 0, 1, word, "no shots")))
    assert any("3 failed" in line for line in plain(state, at(2)))


def test_a_call_of_several_is_slow_by_what_all_of_them_take() -> None:
    calls: list[Event] = [
        BatchStarted(at=at(0), batch=1, processors=("one", "two"), dates=DateSet.of(DAYS[0])),
        BatchEnded(at=at(40), batch=1, seconds=40),
        *(UnitsEnded(at=at(50), processor=name, dates=DateSet.of(DAYS[0]), word=Word.DONE) for name in ("one", "two")),
        BatchStarted(at=at(50), batch=2, processors=("one", "two"), dates=DateSet.of(DAYS[1])),
    ]
    state = begun(*calls)
    assert state.worked == {"one": (20.0, 1), "two": (20.0, 1)}, "claims are verified later, and count as well"
    assert slow_lines(state, at(160)) == []
    assert slow_lines(state, at(180)) == ["slow: one, two 2025-01-02 in flight 2 min 10 s; usual 40 s"]


def test_a_dead_run_is_resumed_and_an_ended_one_reported() -> None:
    dead = begun(*worked("one", 0, 0, 5))
    lines = status_lines(dead, at(500), alive=False)
    assert lines[0].startswith("run r12  DIED 5 s ")
    assert lines[-1] == "next: backfill resume r12"
    every = [event for day in range(40) for event in worked("player_shots", day, day, day + 1)]
    ended = RunEnded(at=at(60), exit_code=0, exit_reason="all done")
    state = begun(*worked("one", 0, 0, 5), *worked("two", 0, 0, 5), *every, ended)
    assert status_lines(state, at(900), alive=False)[-2:] == ["exit 0: all done", "next: backfill report r12"]
    assert [line.split()[0] for line in table_lines(state)] == ["DONE", "one", "two", "player_shots"], "the end tells all"


def test_a_table_fits_a_terminal_whatever_is_in_it() -> None:
    long = "a_processor_whose_name_is_longer_than_any_column_has_room_for"
    stage = Stage(layer="l", processors=(PlannedProcessor(name=long, reasons={"missing": DATES}),), gates=())
    plan = Plan(request=PLAN.request, graph="g", stages=(stage,), blocked=(), not_planned={}, asked=40)
    started = RunStarted(at=NOW, pid=7, host="h", command="c", target="local", plan=plan.to_json())
    endings: list[Event] = [
        UnitsEnded(at=at(5 + n), processor=long, dates=DateSet.of(DAYS[n]), word=word, why="w") for n, word in enumerate(Word)
    ]
    call = BatchStarted(at=NOW, batch=1, processors=(long,), dates=DATES)
    header, row = table_lines(RunState.fold("r1", [started, call, *endings]))
    assert len(header) == len(row) <= 80
    assert header.split() == ["DONE", "UNITS", "FAILED", "BLOCKED", "WITHHELD", "SKIPPED", "PER", "MIN"]
    assert row.split()[0].endswith("…")
