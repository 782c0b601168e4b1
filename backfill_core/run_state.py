"""A run as its events tell it: the fold that status, report and terminal read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from backfill_core.dates import DateSet, union
from backfill_core.errors import ExitCode
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    DrainAsked,
    Event,
    GateJudged,
    Heartbeat,
    RunEnded,
    RunStarted,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.gates import Verdict
from backfill_core.model.units import Unit
from backfill_core.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Some units of one processor that ended the same way for the same reason."""

    processor: str
    word: Word
    why: str
    dates: DateSet


@dataclass(slots=True)
class RunState:
    """Where a run stands. `apply` is the only thing that changes it; the same events give the same state."""

    name: str
    started: RunStarted | None = None
    plan: Plan | None = None
    words: dict[str, dict[Word, DateSet]] = field(default_factory=dict)
    degraded: dict[str, DateSet] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    in_flight: dict[int, BatchStarted] = field(default_factory=dict)
    #: Seconds in calls, and units in them, by processor; calls that wrote nothing are left out.
    worked: dict[str, tuple[float, int]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    unverified: int = 0
    draining: bool = False
    ended: RunEnded | None = None
    last_at: datetime | None = None
    #: When the first and the latest unit were verified as done.
    first_done: datetime | None = None
    last_done: datetime | None = None
    _calls: dict[int, tuple[BatchStarted, float]] = field(default_factory=dict)

    @classmethod
    def fold(cls, name: str, events: Iterable[Event]) -> RunState:
        state = cls(name)
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        self.last_at = event.at
        match event:
            case RunStarted():
                self.started = event
                self.plan = Plan.from_json(event.plan)
            case BatchStarted():
                self.in_flight[event.batch] = event
            case BatchEnded():
                call = self.in_flight.pop(event.batch, None)
                if call:
                    self._calls[event.batch] = (call, event.seconds)
            case UnitsEnded():
                self._end(event)
            case UnitsUnverified():
                self.unverified += len(event.dates)
            case GateJudged():
                self.verdicts.append(Verdict.from_json(event.verdict))
            case DrainAsked():
                self.draining = True
            case RunEnded():
                self.ended = event
                self.in_flight = {}
            case Heartbeat():
                pass
            case _:
                assert_never(event)

    def _end(self, event: UnitsEnded) -> None:
        words = self.words.setdefault(event.processor, {})
        words[event.word] = words.get(event.word, DateSet()) | event.dates
        self.degraded[event.processor] = self.degraded.get(event.processor, DateSet()) | event.degraded
        if event.why or event.word is not Word.DONE:
            self.endings.append(Ending(processor=event.processor, word=event.word, why=event.why, dates=event.dates))
        if event.word is Word.DONE:
            self.first_done = self.first_done or event.at
            self.last_done = event.at
            if event.batch in self._calls:
                call, seconds = self._calls.pop(event.batch)
                share = len(event.dates) / len(call.dates) if call.dates else 0.0
                spent, count = self.worked.get(event.processor, (0.0, 0))
                self.worked[event.processor] = (spent + seconds * share, count + len(event.dates))

    def dates(self, word: Word, processor: str | None = None) -> DateSet:
        """Dates that ended with that word, of one processor or of all together."""
        if processor is not None:
            return self.words.get(processor, {}).get(word, DateSet())
        return union(words.get(word, DateSet()) for words in self.words.values())

    def count(self, *words: Word) -> int:
        """Units that ended with one of those words."""
        return sum(len(by.get(word, DateSet())) for by in self.words.values() for word in words)

    @property
    def first_failed(self) -> Unit | None:
        """The first unit that was tried in vain."""
        lost = [ending for ending in self.endings if ending.word in (Word.FAILED, Word.DECLINED)]
        return Unit(lost[0].processor, lost[0].dates.first) if lost else None

    @property
    def units(self) -> int:
        return self.plan.units if self.plan else 0

    @property
    def left(self) -> int:
        return self.units - self.count(*Word)

    def exit(self, *, interrupted: bool = False, allow_blocked: bool = False) -> tuple[ExitCode, str]:
        """The exit code that this state means, and the reason in words: the first of DESIGN 6's order that applies."""
        closed = [verdict for verdict in self.verdicts if not verdict.passed]
        blocked_before = self.plan.blocked_units if self.plan else 0
        lost = [
            f"{count} {word}" for word in (Word.FAILED, Word.DECLINED, Word.BLOCKED, Word.WITHHELD) if (count := self.count(word))
        ]
        if blocked_before and not allow_blocked:
            lost.append(f"{blocked_before} blocked when planned")
        if interrupted:
            return ExitCode.INTERRUPTED, f"interrupted with {self.left} unit{'' if self.left == 1 else 's'} to go"
        if closed:
            return ExitCode.GATE_CLOSED, "gate closed: " + ", ".join(verdict.gate for verdict in closed)
        if lost:
            return ExitCode.INCOMPLETE, ", ".join(lost)
        if self.left:
            return ExitCode.INCOMPLETE, f"{self.left} units without a final word"
        forgiven = f"; {blocked_before} blocked when planned, as allowed" if blocked_before else ""
        return ExitCode.OK, f"all done{forgiven}"
