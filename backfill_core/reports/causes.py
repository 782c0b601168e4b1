"""Endings by cause: what failed for the same reason told together, with a count and one example."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.events import Word
from backfill_core.reports.words import dates_words, number, plural
from backfill_core.run_state import Ending, RunState

#: What differs from unit to unit and says nothing of the cause, and what stands for it.
_VARIES = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "ID"),
    (re.compile(r"\b(?:0x)?(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "DATE"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    # The number of a status or of an exit code is the cause itself.
    (re.compile(r"(?<!HTTP )(?<!status )(?<!code )(?<!exit )\b\d[\d,]*(?:\.\d+)?", re.IGNORECASE), "N"),
)

#: Words of units that somebody has to do something about.
LOST = (Word.FAILED, Word.EXHAUSTED, Word.DECLINED, Word.BLOCKED, Word.WITHHELD)


def cause(why: str) -> str:
    """The message without what differs from unit to unit: ``partial 5/7`` and ``partial 2/9`` are both ``partial N/N``."""
    for pattern, stands in _VARIES:
        why = pattern.sub(stands, why)
    return why


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Units that ended with the same word for the same cause."""

    word: Word
    cause: str
    dates: dict[str, DateSet]
    #: One unit of them, its message, and how often it was tried.
    processor: str
    day: date
    example: str
    attempts: int
    #: Whether all their messages are the same.
    alike: bool

    @property
    def units(self) -> int:
        return sum(map(len, self.dates.values()))

    @property
    def told(self) -> str:
        """The cause as a person reads it: the very message where there is only one."""
        return self.example if self.alike else self.cause

    def to_json(self) -> dict[str, Any]:
        return {
            "word": str(self.word),
            "cause": self.cause,
            "units": self.units,
            "dates": {name: dates.to_json() for name, dates in self.dates.items()},
            "example": {"processor": self.processor, "date": str(self.day), "why": self.example, "attempts": self.attempts},
        }


def clusters(state: RunState, words: Collection[Word] = LOST) -> list[Cluster]:
    """What was lost, by cause: failed before exhausted, declined, blocked and withheld, the largest of each first."""
    found: dict[tuple[Word, str], list[Ending]] = {}
    for ending in state.endings:
        if ending.word in words:
            found.setdefault((ending.word, cause(ending.why)), []).append(ending)
    made = [_cluster(state, word, why, endings) for (word, why), endings in found.items()]
    return sorted(made, key=lambda each: (LOST.index(each.word), -each.units, each.cause))


def cluster_lines(state: RunState, words: Collection[Word] = LOST) -> list[str]:
    """A line a cause: how many, why, and one example; and what lets those be called that are held back."""
    found = clusters(state, words)
    lines = [_line(each) for each in found]
    if any(each.word is Word.EXHAUSTED for each in found):
        lines.append("exhausted units are called once something they read is written, or with --retry-exhausted")
    return lines


def degraded_lines(state: RunState) -> list[str]:
    """A line where units are done on less than all they wanted: how many, and an example."""
    found = {name: dates for name, dates in state.degraded.items() if dates}
    if not found:
        return []
    first = min(found, key=lambda name: (found[name].first, name))
    where = f"{first} {dates_words(found[first], most=1)}"
    if len(found) > 1:
        where = f"{plural(len(found), 'processor')}, first {first} {found[first].first}"
    return [f"degraded {number(sum(map(len, found.values())))}  done on less than all it wanted  {where}"]


def lost_units(state: RunState, words: Collection[Word], text: str | None) -> dict[str, DateSet]:
    """Units that ended with one of the words, by processor; with a text, those whose message or cause has it."""
    wanted = (text or "").lower()
    found: dict[str, DateSet] = {}
    for ending in state.endings:
        if ending.word in words and (wanted in ending.why.lower() or wanted in cause(ending.why).lower()):
            found[ending.processor] = found.get(ending.processor, DateSet()) | ending.dates
    return found


def _cluster(state: RunState, word: Word, why: str, endings: list[Ending]) -> Cluster:
    dates: dict[str, DateSet] = {}
    for ending in endings:
        dates[ending.processor] = dates.get(ending.processor, DateSet()) | ending.dates
    first = min(endings, key=lambda ending: ending.dates.first)
    return Cluster(
        word=word,
        cause=why,
        dates=dates,
        processor=first.processor,
        day=first.dates.first,
        example=first.why,
        attempts=state.attempts(first.processor, DateSet.of(first.dates.first)),
        alike=len({ending.why for ending in endings}) == 1,
    )


def _line(each: Cluster) -> str:
    where = f"{each.processor} {dates_words(each.dates[each.processor], most=1)}"
    if len(each.dates) > 1:
        where = f"{plural(len(each.dates), 'processor')}, first {each.processor} {each.day}"
    example = "" if each.alike else f", such as {each.day}: {each.example}"
    tried = f" ({each.attempts} attempts)" if each.attempts > 1 else ""
    return f"{each.word} {number(each.units)}  {each.told}  {where}{example}{tried}"
