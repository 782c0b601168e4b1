"""Why units were lost, told by cause."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from backfill_core.dates import DateSet
from backfill_core.events import BatchStarted, Event, UnitsEnded, Word
from backfill_core.reports.causes import cause, cluster_lines, clusters, lost_units
from backfill_core.run_state import RunState

NOW = datetime(2025, 3, 5, 10, 21, tzinfo=UTC)


def days(text: str) -> DateSet:
    return DateSet.from_json([text])


def failed(name: str, dates: str, why: str, word: Word = Word.FAILED) -> UnitsEnded:
    return UnitsEnded(at=NOW, processor=name, dates=days(dates), word=word, why=why)


@pytest.mark.parametrize(
    ("why", "same"),
    [
        ("partial 5/7", "partial N/N"),
        ("wrote nothing, 1,168 wanted", "wrote nothing, N wanted"),
        ("HTTP 503", "HTTP 503"),
        ("HTTP 503 for 2024-12-05: retry after 30.5 s", "HTTP 503 for DATE: retry after N s"),
        ("exit 3 after 12 s", "exit 3 after N s"),
        ("lock held until 2024-12-05T11:04:00+00:00", "lock held until DATE"),
        ("at 11:04:31 the token was refused", "at TIME the token was refused"),
        ("job 1f0c9a2b77 of 7d0e6b5e-9f57-4f0e-8a5f-0f2b1c3d4e5f", "job ID of ID"),
        ("no column player_2_points in table2", "no column player_2_points in table2"),
        ("defaced", "defaced"),
        ("", ""),
    ],
)
def test_what_differs_from_unit_to_unit_is_no_part_of_a_cause(why: str, same: str) -> None:
    assert cause(why) == same
    assert cause(same) == same


ENDINGS: tuple[Event, ...] = (
    failed("b", "2025-03-07", "orders failed", Word.BLOCKED),
    failed("a", "2025-03-03", "bad answer"),
    failed("a", "2025-03-05", "HTTP 503 for 2025-03-05"),
    failed("b", "2025-03-04", "HTTP 503 for 2025-03-04"),
    failed("a", "2025-03-06..2025-03-07", "bad answer"),
    failed("c", "2025-03-08", "", Word.DONE),
    failed("c", "2025-03-09", "found complete", Word.SKIPPED),
)


def test_what_failed_comes_first_and_the_most_of_it_before_the_rest() -> None:
    state = RunState("r1")
    for event in (
        BatchStarted(at=NOW, batch=4, processors=("b",), dates=days("2025-03-04"), attempt=3),
        *ENDINGS,
    ):
        if isinstance(event, UnitsEnded | BatchStarted):
            state.apply(event)
    assert cluster_lines(state) == [
        "failed 3  bad answer  a 2025-03-03..2025-03-07, 3 dates in 2 runs",
        "failed 2  HTTP 503 for DATE  2 processors, first b 2025-03-04, such as 2025-03-04: HTTP 503 for 2025-03-04 (3 attempts)",
        "blocked 1  orders failed  b 2025-03-07",
    ]
    assert [(each.word, each.units) for each in clusters(state, (Word.FAILED,))] == [(Word.FAILED, 3), (Word.FAILED, 2)]
    assert clusters(state)[1].to_json() == {
        "word": "failed",
        "cause": "HTTP 503 for DATE",
        "units": 2,
        "dates": {"a": ["2025-03-05"], "b": ["2025-03-04"]},
        "example": {"processor": "b", "date": "2025-03-04", "why": "HTTP 503 for 2025-03-04", "attempts": 3},
    }


def test_units_are_found_by_a_part_of_their_message_or_cause() -> None:
    state = RunState("r1")
    for event in ENDINGS:
        state.apply(event)
    http = {"a": days("2025-03-05"), "b": days("2025-03-04")}
    assert lost_units(state, (Word.FAILED,), "http 503") == http == lost_units(state, (Word.FAILED,), "for DATE")
    assert lost_units(state, (Word.FAILED,), "2025-03-04") == {"b": DateSet.of(date(2025, 3, 4))}
    assert lost_units(state, (Word.FAILED,), None)["a"] == days("2025-03-03") | days("2025-03-05..2025-03-07")
    assert lost_units(state, (Word.FAILED,), "HTTP 404") == {}
