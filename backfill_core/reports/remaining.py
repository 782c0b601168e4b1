"""What a run left undone of what it was about, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backfill_core.dates import DateSet, union
from backfill_core.events import Word
from backfill_core.planning.blocking import SOURCE_GAPS
from backfill_core.run_state import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Dates of one processor in one state, for one reason."""

    processor: str
    state: str
    dates: DateSet
    why: str

    def to_json(self) -> dict[str, Any]:
        return {"processor": self.processor, "state": self.state, "dates": self.dates.to_json(), "why": self.why}


def remaining(state: RunState) -> list[Gap]:
    """The gaps that coverage after the run shows, of the processors that the run was about; empty while it goes on."""
    if state.ended is None or state.started is None:
        return []
    gaps: list[Gap] = []
    for processor in state.ended.after.get("processors", ()):  # type: ignore[attr-defined]
        if state.started.chosen and processor["name"] not in state.started.chosen:
            continue
        for word in ("missing", "partial", "invalid", "stale"):
            dates = DateSet.from_json(processor["states"][word])
            gaps += _explained(state, processor, word, dates)
    return gaps


def given_up(state: RunState) -> dict[str, DateSet]:
    """Dates, by processor, that an ended run tried in vain or found missing and could not mend.

    Not those it never came to, nor those it was not asked for. Nor those that only waited for another date: once nobody
    waits for that one, they can be made.
    """
    assert state.plan is not None and state.started is not None
    request, planned = state.plan.request, state.plan.planned()
    asked = DateSet.of_span(request.span) if request.dates is None else DateSet.of_span(request.span) & request.dates
    lost: dict[str, DateSet] = {}
    for gap in remaining(state):
        tried = union(state.dates(word, gap.processor) for word in (Word.FAILED, Word.EXHAUSTED, Word.DECLINED))
        ended = union(state.dates(word, gap.processor) for word in Word)
        never = planned[gap.processor].dates - ended if gap.processor in planned else DateSet()
        if gap.state != "stale":
            dates = gap.dates & asked & (tried if gap.state != "missing" else asked - never)
            lost[gap.processor] = lost.get(gap.processor, DateSet()) | dates
    roots = union(dates - _waiting(state, name) for name, dates in lost.items())
    roots |= union(cause.dates for blocked in state.plan.blocked for cause in blocked.because if cause.why in SOURCE_GAPS)
    found = {name: dates - (_waiting(state, name) - roots) for name, dates in lost.items()}
    return {name: dates for name, dates in found.items() if dates}


def _waiting(state: RunState, name: str) -> DateSet:
    """Dates of a processor that were held up by what others lack."""
    assert state.plan is not None
    before = state.plan.blocked_dates().get(name, DateSet())
    return before | state.dates(Word.BLOCKED, name) | state.dates(Word.WITHHELD, name)


def _explained(state: RunState, processor: dict[str, Any], word: str, dates: DateSet) -> list[Gap]:
    told: dict[str, DateSet] = {}
    for why, reached in _reasons(state, processor, word):
        if reached & dates:
            told[why] = told.get(why, DateSet()) | (reached & dates)
            dates -= reached
    if dates:
        told["not asked for"] = dates
    return [Gap(processor=processor["name"], state=word, dates=found, why=why) for why, found in told.items()]


def _reasons(state: RunState, processor: dict[str, Any], word: str) -> list[tuple[str, DateSet]]:
    """What may explain a gap of that processor, the most telling first."""
    assert state.plan is not None
    name, all_dates = processor["name"], DateSet.of_span(state.plan.request.span)
    found = []
    if not processor["runs"]:
        known = [cause.why for blocked in state.plan.blocked for cause in blocked.because if cause.processor == name]
        found.append((known[0] if known and word == "missing" else "a source: others fill it", all_dates))
    for ending in state.endings:
        if ending.processor == name and ending.word not in (Word.SKIPPED, Word.DONE):
            found.append((f"{ending.word}: {ending.why}", ending.dates))
    for blocked in state.plan.blocked:
        if blocked.processor == name:
            roots = " and ".join(f"{cause.processor}: {cause.why}" for cause in blocked.because)
            found.append((f"blocked by {roots}", blocked.dates))
    planned = state.plan.planned()
    ended = union(state.dates(each, name) for each in Word)
    if name in planned:
        found.append(("not reached", planned[name].dates - ended))
    changed = "its window holds something newer" if word == "stale" else "good during the run, and changed since"
    found.append((changed, ended))
    if word == "stale":
        found.append(("its window holds something newer; not planned", all_dates))
    return found
