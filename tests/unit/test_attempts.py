"""What runs made of a unit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from backfill_core.attempts import Attempt, attempts
from backfill_core.dates import DateSet
from backfill_core.events import BatchEnded, BatchStarted, UnitsEnded, UnitsUnverified, Word
from backfill_core.model.units import Unit

UNIT = Unit("p", date(2025, 3, 5))
DATES = DateSet.from_json(["2025-03-05..2025-03-07"])


def at(second: int) -> datetime:
    return datetime(2025, 4, 1, tzinfo=UTC) + timedelta(seconds=second)


def call(second: int, batch: int) -> BatchStarted:
    return BatchStarted(at=at(second), batch=batch, processors=("p", "q"), dates=DATES, attempt=batch)


def test_each_call_and_each_word_without_one_is_an_attempt_newest_first() -> None:
    events = [
        call(1, 1),
        BatchEnded(at=at(3), batch=1, seconds=2.0),
        UnitsUnverified(at=at(4), processor="p", dates=DATES, why="wrote nothing"),
        call(5, 2),
        BatchEnded(at=at(6), batch=2, seconds=1.0),
        UnitsEnded(at=at(7), processor="p", dates=DATES, word=Word.DONE, degraded=DateSet.of(UNIT.day), batch=2),
    ]
    first = Attempt(run="r1", at=at(1), word="unverified", why="wrote nothing", batch=1, seconds=2.0, units=6)
    second = Attempt(run="r1", at=at(5), word="done", degraded=True, batch=2, seconds=1.0, units=6)
    assert attempts("r1", events, UNIT) == [second, first]
    blocked = UnitsEnded(at=at(8), processor="p", dates=DATES, word=Word.BLOCKED, why="q failed")
    assert attempts("r2", [blocked], UNIT) == [Attempt(run="r2", at=at(8), word="blocked", why="q failed")]


def test_a_call_that_never_came_home_has_no_word_and_no_time() -> None:
    assert attempts("r1", [call(1, 1)], UNIT) == [Attempt(run="r1", at=at(1), batch=1, units=6)]


def test_other_units_are_none_of_its_attempts() -> None:
    other = UnitsEnded(at=at(2), processor="p", dates=DateSet.of(date(2025, 3, 6)), word=Word.DONE)
    theirs = BatchStarted(at=at(1), batch=3, processors=("q",), dates=DATES)
    assert attempts("r1", [theirs, other], UNIT) == []
