"""What a call is told of its run, and what becomes of a claim with a reservation."""

from __future__ import annotations

from dataclasses import replace

from remote_world import Bench, Pen, day, lost, processor

from backfill_core.calls import call_values
from backfill_core.events import Claim, Failure, Outcome, Word
from backfill_core.ports import Call


def test_a_call_is_told_its_run_its_attempt_and_why_it_is_planned() -> None:
    bench, told = Bench((processor("a", keys=2),), days=2), []
    bench.pen.write("a", day(1), keys=1)

    def answer(call: Call, time: int, pen: Pen) -> Outcome:
        told.append((call.batch.dates.first, call_values(call)))
        return lost(Failure.TRANSIENT) if time == 1 else pen.all(call)

    bench.run(answer)
    told.sort(key=lambda each: (each[0], each[1]["attempt"]))
    names = ("run", "attempt", "has_rows", "reason", "forced", "correlation_id")
    assert [[values[name] for name in names] for _, values in told] == [
        ["r1", 1, True, "partial 1/2", False, "r1-a-2024-05-01"],
        ["r1", 2, True, "partial 1/2", False, "r1-a-2024-05-01"],
        ["r1", 1, False, "missing", False, "r1-a-2024-05-02"],
        ["r1", 2, False, "missing", False, "r1-a-2024-05-02"],
    ]
    keys = [values["idempotency_key"] for _, values in told]
    assert keys[0] == keys[1] != keys[2] == keys[3]


def test_another_run_has_other_keys() -> None:
    keys = []
    for _ in range(2):
        bench = Bench((processor("a"),), days=1)

        def answer(call: Call, _time: int, pen: Pen) -> Outcome:
            keys.append(call_values(call)["idempotency_key"])
            other = replace(call, occasion=replace(call.occasion, run_key="another"))
            keys.append(call_values(other)["idempotency_key"])
            return pen.all(call)

        bench.run(answer)
    assert len(set(keys)) == 3


def test_what_a_service_skipped_is_said_where_its_rows_are_not_there() -> None:
    bench = Bench((processor("a"),), days=2)

    def answer(call: Call, _time: int, pen: Pen) -> Outcome:
        if call.batch.dates.first == day(2):
            pen.all(call)
        return Outcome(claim=Claim.DONE, why="it was skipped there: 0 rows")

    state = bench.run(answer)
    assert len(state.dates(Word.DONE)) == 1
    (failed,) = [ending for ending in state.endings if ending.word is Word.FAILED]
    assert failed.why.startswith("it was skipped there: 0 rows; ")
