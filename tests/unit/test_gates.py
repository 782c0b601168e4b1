"""Gates against a model that goes date by date: by date, over a window, over the stage, against a calendar or a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill_core.coverage import Coverage, DateFacts, Findings, ProcessorCoverage, State
from backfill_core.dates import DateSet, Span, day_of
from backfill_core.gates import Verdict, judge_gate
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.processor import Gate, Layer
from backfill_core.model.windows import Days
from backfill_core.reports.gate_texts import full_verdict_lines, verdict_line
from backfill_core.run_state import RunState

FIRST, LAST = 20_000, 20_019
KEYS = "abcd"
LAYER = Layer("late", aliases=("L4",))
#: Keys that each day holds; a day that is not in it holds no rows.
Held = dict[int, frozenset[str]]
HELD = st.dictionaries(st.integers(FIRST, LAST), st.frozensets(st.sampled_from(KEYS)), max_size=20)
DAYS = st.sets(st.integers(FIRST, LAST), max_size=6)


def dates(numbers: Any) -> DateSet:
    return DateSet.from_numbers(sorted(numbers))


def covered(name: str, held: Held, expected: set[int], invalid: set[int]) -> ProcessorCoverage:
    good = set(held) & expected - invalid
    states = {state: DateSet() for state in State}
    states |= {State.COMPLETE: dates(good), State.INVALID: dates(invalid), State.MISSING: dates(expected - good - invalid)}
    facts = DateFacts(
        rows={day: len(keys) + 1 for day, keys in held.items()}, keys={"key": {d: tuple(k) for d, k in held.items()}}
    )
    return ProcessorCoverage(name=name, findings=Findings(asked=dates(expected)), states=states, facts=facts)


def world(held: Held, wanted: Held | None, other: Held, invalid: set[int]) -> Coverage:
    """A measured table, one to measure it against, and a calendar that wants keys (None: it has none)."""
    expected = set(wanted) if wanted is not None else set(range(FIRST, LAST + 1))
    calendar = CalendarDays(name="c", expected=dates(expected), key="key" if wanted else "", keys=wanted or {})
    return Coverage(
        span=Span(day_of(FIRST), day_of(LAST)),
        processors={
            "measured": covered("measured", held, expected, invalid & expected),
            "other": covered("other", other, expected, set()),
        },
        calendars={"c": calendar},
        calendar_of={"measured": "c", "other": "c"},
    )


def model(
    gate: Gate, coverage: Coverage, asked: set[int], blocked: set[int], held: Held, other: Held, wanted: Held | None
) -> set[int]:
    """The days that fall below, one by one."""
    judged = asked & set(coverage.processors["measured"].expected.numbers())
    invalid = set(coverage.processors["measured"].states[State.INVALID].numbers())

    def own(day: int) -> tuple[int, int]:
        if gate.of is None and not wanted:
            return (int(day in held and day not in invalid), 1)
        want = set(other.get(day, ())) if gate.of else set((wanted or {})[day])
        want &= set(wanted[day]) if wanted else want
        return (0 if day in invalid else len(want & set(held.get(day, ()))), len(want))

    def looked_at(day: int) -> set[int]:
        if gate.per == "date" or day in blocked:
            return {day}
        together = judged - blocked
        return {d for d in together if day - gate.per.count < d <= day} if isinstance(gate.per, Days) else together

    below = set()
    for day in judged:
        there, want = (sum(own(d)[place] for d in looked_at(day)) for place in (0, 1))
        if own(day)[1] == 0 or there < gate.at_least * want - 1e-9:
            below.add(day)
    return below


@settings(deadline=None, max_examples=300)
@given(
    held=HELD,
    wanted=st.one_of(
        st.none(), st.dictionaries(st.integers(FIRST, LAST), st.frozensets(st.sampled_from(KEYS), min_size=1), min_size=1)
    ),
    other=HELD,
    of=st.booleans(),
    per=st.one_of(st.sampled_from(["date", "stage"]), st.integers(1, 9).map(Days)),
    at_least=st.sampled_from([0.1, 0.5, 0.8, 1.0]),
    asked=st.sets(st.integers(FIRST, LAST), min_size=1),
    blocked=DAYS,
    invalid=DAYS,
)
def test_a_gate_is_judged_as_the_model_judges_it(
    held: Held,
    wanted: Held | None,
    other: Held,
    of: bool,
    per: Any,
    at_least: float,
    asked: set[int],
    blocked: set[int],
    invalid: set[int],
) -> None:
    gate = Gate("g", measure="measured", key="key", at_least=at_least, of="other" if of else None, per=per)
    coverage = world(held, wanted, other, invalid)
    verdict = judge_gate(gate, LAYER, coverage, dates(asked), dates(blocked))
    below = model(gate, coverage, asked, blocked, held, other, wanted)
    assert set(verdict.failed.numbers()) == below - blocked
    assert set(verdict.blocked.numbers()) == below & blocked
    counted = set(verdict.judged.numbers()) - (below & blocked)
    failed = below - blocked
    few = len(counted - failed) < 0.95 * len(counted) - 1e-9
    assert verdict.closes_layer == (bool(failed) if per == "stage" else len(failed) >= 5 and few)
    assert Verdict.from_json(verdict.to_json()) == verdict


def one(per: Any, held: Held, **more: Any) -> Verdict:
    wanted = {FIRST + n: frozenset(KEYS) for n in range(10)}
    gate = Gate("g", measure="measured", key="key", at_least=0.8, per=per)
    return judge_gate(gate, LAYER, world(held, wanted, {}, set()), dates(wanted), DateSet(), **more)


@pytest.mark.parametrize(
    ("per", "told"),
    [
        ("date", "by date: 1954-10-08 has 1 of 4"),
        (Days(3), "over 3 days: 3 days to 1954-10-08 have 9 of 12, 3 days to 1954-10-09 have 9 of 12"),
        ("stage", None),
    ],
)
def test_a_verdict_says_what_was_judged(per: Any, told: str | None) -> None:
    held = {FIRST + n: frozenset("a" if n == 3 else KEYS) for n in range(10)}
    verdict = one(per, held)
    if told is None:
        assert verdict.passed and verdict_line(verdict).startswith("gate g passed: L4 at least 80 % of key, all dates together")
    else:
        assert f"gate g closed: L4 at least 80 % of key, {told}" in verdict_line(verdict)


def test_a_closed_stage_closes_the_layer_and_says_its_sum() -> None:
    verdict = one("stage", {FIRST + n: frozenset("ab") for n in range(10)})
    assert verdict.closes_layer and len(verdict.failed) == 10
    assert "all dates together: have 20 of 40. The whole layer is closed." in verdict_line(verdict)
    assert full_verdict_lines(verdict, DateSet())[1].endswith(": have 20 of 40")


@pytest.mark.parametrize(("per", "has"), [("date", "has"), (Days(3), "have"), ("stage", "have")])
def test_a_gate_that_has_nothing_to_be_measured_against_says_so(per: Any, has: str) -> None:
    """What the dates around it hold is no measure of a date whose other table is not complete."""
    full = {FIRST + n: frozenset(KEYS) for n in range(10)}
    gate = Gate("g", measure="measured", key="key", at_least=0.8, per=per, of="other")
    lacking = world(full, full, {day: keys for day, keys in full.items() if day != FIRST + 4}, set())
    verdict = replace(judge_gate(gate, LAYER, lacking, dates(full), DateSet()), withheld={})
    assert (verdict.closed, verdict.measured, verdict.failed) == (True, False, dates({FIRST + 4}))
    line = verdict_line(verdict)
    assert line.startswith("gate g could not be measured, which closes it: L4 at least 80 % of key of other, ")
    assert f"{has} nothing to be measured against, for other lacks it." in line
    assert "No unit of this run waits for it. Look: backfill validate --dates 1954-10-09" in line
    ended = RunState("r1", verdicts=[verdict, one("date", {})])
    assert ended.exit() == (3, "gate closed: g; gate closed for want of a measure: g")


def test_what_is_hoped_for_counts_in_full_in_a_window() -> None:
    held = {FIRST + n: frozenset("a" if n == 3 else KEYS) for n in range(10)}
    assert not one(Days(3), held).passed
    assert one(Days(3), held, hoped=dates({FIRST + 3})).passed


def test_a_gate_of_an_older_journal_reads_as_one_by_date() -> None:
    told = one("date", {}).to_json()
    del told["per"], told["overridden"]
    assert Verdict.from_json(told).per == "date"
