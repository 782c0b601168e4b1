"""A run whose tables cannot be read for a while: it waits, calls nothing, fails nothing, and looks again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import pytest
from remote_world import Bench, processor

from backfill_core import sight
from backfill_core.coverage import DateFacts
from backfill_core.errors import Failure, LandingError, UnreadableTable
from backfill_core.events import Control, DrainAsked, Instruction, SightBack, SightLost, Word
from backfill_core.model.expectations import Rows
from backfill_core.model.processor import Processor
from backfill_core.model.runs import SOURCE
from backfill_core.model.table import Files
from backfill_core.ports import Call
from backfill_core.queries.question import TableQuestion
from backfill_core.reports.run_texts import progress_lines, run_word
from backfill_core.reports.trouble_texts import trouble_line
from backfill_core.scheduling.terms import Terms
from backfill_core.testing import MemoryWarehouse


@dataclass
class Dim(MemoryWarehouse):
    """Tables that fail to be read so many times, once a call has come home."""

    failures: list[Failure] = field(default_factory=list)
    lit: bool = True

    def __post_init__(self) -> None:
        super().__init__()

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        if not self.lit and self.failures:
            raise UnreadableTable(table="t.a", problem="HTTP 503", failure=self.failures.pop(0))
        return super().observe_all(questions)


def dim(*failures: Failure, days: int = 3) -> tuple[Bench, Any]:
    """A bench whose tables go dark after the first call, and the answer that does it."""
    warehouse = Dim(failures=list(failures))
    bench = Bench((processor("a"),), days=days, warehouse=warehouse)

    def answer(call: Call, _time: int, pen: Any) -> Any:
        warehouse.lit = False
        return pen.all(call)

    return bench, answer


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "WAITS", (0.01,))


def test_what_cannot_be_read_for_now_is_looked_at_again_and_fails_nothing() -> None:
    bench, answer = dim(Failure.TRANSIENT, Failure.TRANSIENT)
    state = bench.run(answer)
    assert (state.exit(), state.count(Word.DONE)) == ((0, "all done"), 3)
    assert [event.looks for event in bench.heard(SightLost)] == [1, 2]
    assert len(bench.heard(SightBack)) == 1 and state.sight_lost is None and not state.resting
    first, second = (trouble_line(event, "r1") for event in bench.heard(SightLost))
    told = r"waiting: t\.a cannot be read: HTTP 503\. No unit was failed\. Looking again at \d\d:\d\d:\d\d UTC, or at once: "
    assert re.fullmatch(told + "backfill continue r1", first) and not second
    assert trouble_line(bench.heard(SightBack)[0], "r1") == "tables can be read again: the run goes on"
    assert sorted(bench.days_called("a")) == [1, 2, 3]


def test_landing_files_that_cannot_be_read_for_now_are_waited_for_at_the_end_too() -> None:
    source = Processor(
        "files", layer="one", calendar="daily", writes=Files("{date}.csv"), complete_when=Rows(at_least=1), run=SOURCE
    )
    bench = Bench((processor("a"), source), days=3)
    execution = bench.execution(lambda call, _time, pen: pen.all(call))
    failures = [Failure.TRANSIENT, Failure.AUTH]

    def files(_: object) -> dict[str, int]:
        if failures:
            raise LandingError(path="gs://bucket", problem="HTTP 503", failure=failures.pop(0))
        return {}

    bench.landing.files = files  # type: ignore[method-assign]
    state = bench.start(execution)
    assert (state.exit()[0], state.count(Word.DONE), len(bench.heard(SightLost))) == (0, 3, 2)


def test_what_will_never_be_read_ends_the_run_at_once() -> None:
    bench, answer = dim(Failure.PERMANENT)
    with pytest.raises(UnreadableTable, match="HTTP 503"):
        bench.run(answer)
    assert not bench.heard(SightLost)


def test_what_should_have_passed_by_then_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "PATIENCE", 0.05)
    bench, answer = dim(*[Failure.TRANSIENT] * 50)
    with pytest.raises(UnreadableTable, match="HTTP 503"):
        bench.run(answer)
    assert 1 <= len(bench.heard(SightLost)) <= 5


def test_for_somebody_to_log_in_it_waits_as_long_as_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "PATIENCE", 0.0)
    bench, answer = dim(*[Failure.AUTH] * 5)
    state = bench.run(answer)
    assert (state.exit()[0], len(bench.heard(SightLost))) == (0, 5)
    assert trouble_line(bench.heard(SightLost)[0], "r1").endswith("Log in, then: backfill continue r1")


def test_continue_looks_at_once_and_meanwhile_status_says_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "WAITS", (600.0,))
    bench, answer = dim(Failure.TRANSIENT)
    execution = bench.execution(answer)
    shown: list[str] = []

    def go_on(event: object) -> None:
        if isinstance(event, SightLost):
            state = execution.record.state
            shown.extend([run_word(state, alive=True), *progress_lines(state, event.at)])
            execution.world.journal.instruct("r1", Instruction(at=event.at, control=Control.CONTINUE, by="me"))

    bench.told.act = go_on
    assert bench.start(execution).exit()[0] == 0
    assert shown[0] == "PAUSED" and any(line.startswith("waiting: t.a cannot be read") for line in shown)
    assert any("ETA none while paused" in line for line in shown)


def test_a_run_that_is_asked_to_end_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "WAITS", (600.0,))
    bench, answer = dim(Failure.TRANSIENT)
    bench.told.act = lambda event: bench.drain.ask() if isinstance(event, SightLost) else None
    with pytest.raises(UnreadableTable, match="HTTP 503"):
        bench.run(answer)
    assert len(bench.heard(DrainAsked)) == 1


def test_a_deadline_holds_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "WAITS", (600.0,))
    bench, answer = dim(Failure.TRANSIENT)
    began = monotonic()
    with pytest.raises(UnreadableTable, match="HTTP 503"):
        bench.run(answer, terms=Terms(concurrency=1, stop_at=began + 0.5))
    assert monotonic() - began < 60
