"""A run as its events tell it: the fold that status, report and terminal read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from backfill_core.dates import DateSet, union
from backfill_core.errors import ExitCode
from backfill_core.events import (
    BatchEnded,
    BatchStarted,
    BreakerMoved,
    ChangedUnderneath,
    Control,
    DrainAsked,
    Event,
    GateJudged,
    Heartbeat,
    IdentityBack,
    IdentityLost,
    Instructed,
    RunEnded,
    RunStarted,
    RunStopped,
    SightBack,
    SightLost,
    UnitsClaimed,
    UnitsDeferred,
    UnitsEnded,
    UnitsUnverified,
    Word,
)
from backfill_core.gates import Verdict
from backfill_core.model.units import Unit
from backfill_core.plan import Plan

#: Words of units that are not what was asked for.
_LOST = (Word.FAILED, Word.EXHAUSTED, Word.DECLINED, Word.BLOCKED, Word.WITHHELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Some units of one processor that ended the same way for the same reason."""

    processor: str
    word: Word
    why: str
    dates: DateSet


@dataclass(slots=True)
class Pace:
    """How fast verified units came, of one processor."""

    #: When its first call left, and when its latest unit was verified.
    first: datetime
    latest: datetime | None = None
    done: int = 0


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
    #: Seconds that verified units took in their latest call, and how many they were, by processor: none that wrote nothing.
    worked: dict[str, tuple[float, int]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    unverified: int = 0
    #: Units whose calls said done and whose tables held nothing, by processor.
    wrote_nothing: dict[str, DateSet] = field(default_factory=dict)
    #: Attempts after the first: (processor, attempt) with the dates.
    repeated: dict[tuple[str, int], DateSet] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)
    #: The latest verified units: when, and how many.
    lately: deque[tuple[datetime, int]] = field(default_factory=lambda: deque(maxlen=64))
    #: Seconds of the slowest call that came home.
    slowest: float = 0.0
    draining: bool = False
    #: Failed calls whose units were not given up, and when the latest of them are tried again.
    deferred: int = 0
    #: Services that are left alone now, by name.
    breakers: dict[str, BreakerMoved] = field(default_factory=dict)
    #: Why no call can say who it is, since when.
    identity_lost: IdentityLost | None = None
    #: Why tables cannot be read now.
    sight_lost: SightLost | None = None
    stopped: RunStopped | None = None
    underneath: list[ChangedUnderneath] = field(default_factory=list)
    #: Who asked for the pause that holds now.
    paused: Instructed | None = None
    #: Since when it rests, whoever wants it; seconds spent in rests that are over.
    rests_since: datetime | None = None
    paused_for: float = 0.0
    cancelled: Instructed | None = None
    #: The latest limits that hold, where they are not those it started with.
    concurrency: int | None = None
    caps: dict[str, int] = field(default_factory=dict)
    #: What was asked of it and refused, or done, latest last.
    instructed: list[Instructed] = field(default_factory=list)
    ended: RunEnded | None = None
    last_at: datetime | None = None
    #: When the first and the latest unit were verified as done.
    first_done: datetime | None = None
    last_done: datetime | None = None
    #: Seconds it had been at work by then.
    active_at_done: float = 0.0
    #: Until when units wait before they are called again, or at all, by processor and day number.
    _waits: dict[str, dict[int, datetime]] = field(default_factory=dict)
    #: Units that were said to be done and not looked at yet, by processor.
    _claimed: dict[str, DateSet] = field(default_factory=dict)
    #: Seconds that units took whose calls came home, until they have their word: by processor and day number.
    _spent: dict[str, dict[int, float]] = field(default_factory=dict)

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
                self.plan = Plan.recorded(event.plan)
            case BatchStarted():
                self.in_flight[event.batch] = event
                for name in event.processors:
                    self._wait(name, event.dates, None)
                    self.paces.setdefault(name, Pace(first=event.at))
                    if event.attempt > 1:
                        again = (name, event.attempt)
                        self.repeated[again] = self.repeated.get(again, DateSet()) | event.dates
            case BatchEnded():
                self.slowest = max(self.slowest, event.seconds)
                call = self.in_flight.pop(event.batch, None)
                if call:
                    days = call.dates.numbers()
                    each = event.seconds / (len(days) * len(call.processors))
                    for name in call.processors:
                        self._spent.setdefault(name, {}).update(dict.fromkeys(days, each))
            case UnitsEnded():
                self._end(event)
            case UnitsUnverified():
                self.unverified += len(event.dates)
                self._wait(event.processor, event.dates, event.again)
                self._note_empty(event.processor, event.why, event.dates)
                self._looked(event.processor, event.dates)
            case UnitsClaimed():
                self._claimed[event.processor] = self._claimed.get(event.processor, DateSet()) | event.dates
            case UnitsDeferred():
                self.deferred += event.attempt > 0
                self._wait(event.processor, event.dates, event.again)
            case BreakerMoved():
                self.breakers.pop(event.service, None)
                if event.probe is not None:
                    self.breakers[event.service] = event
            case IdentityLost():
                self.identity_lost = event
                self._rest(event.at)
            case IdentityBack():
                self.identity_lost = None
                self._rest(event.at)
            case SightLost():
                self.sight_lost = event
                self._rest(event.at)
            case SightBack():
                self.sight_lost = None
                self._rest(event.at)
            case RunStopped():
                self.stopped = event
            case ChangedUnderneath():
                self.underneath.append(event)
            case GateJudged():
                self.verdicts.append(Verdict.from_json(event.verdict))
            case DrainAsked():
                self.draining = True
            case Instructed():
                self._instruct(event)
            case RunEnded():
                self.ended = event
                self.in_flight = {}
            case Heartbeat():
                pass
            case _:
                assert_never(event)

    def _instruct(self, event: Instructed) -> None:
        self.instructed.append(event)
        if event.refused:
            return
        match event.control:
            case Control.PAUSE:
                self.paused = self.paused or event
                self._rest(event.at)
            case Control.CONTINUE:
                self.paused = None
                self._rest(event.at)
            case Control.CANCEL:
                self.cancelled = self.cancelled or event
            case Control.THROTTLE:
                self.concurrency = event.concurrency or self.concurrency
                self.caps |= event.caps

    def _rest(self, at: datetime) -> None:
        """Takes down where a rest begins and ends."""
        if self.paused or self.identity_lost or self.sight_lost:
            self.rests_since = self.rests_since or at
        elif self.rests_since:
            self.paused_for += (at - self.rests_since).total_seconds()
            self.rests_since = None

    def _note_empty(self, name: str, why: str, dates: DateSet) -> None:
        if why.startswith("wrote nothing"):
            self.wrote_nothing[name] = self.wrote_nothing.get(name, DateSet()) | dates

    def _end(self, event: UnitsEnded) -> None:
        words = self.words.setdefault(event.processor, {})
        words[event.word] = words.get(event.word, DateSet()) | event.dates
        self._wait(event.processor, event.dates, None)
        self.degraded[event.processor] = self.degraded.get(event.processor, DateSet()) | event.degraded
        if event.word is Word.FAILED:
            self._note_empty(event.processor, event.why, event.dates)
        if event.why or event.word is not Word.DONE:
            self.endings.append(Ending(processor=event.processor, word=event.word, why=event.why, dates=event.dates))
        if event.word is Word.DONE:
            self.first_done = self.first_done or event.at
            self.last_done = event.at
            self.active_at_done = self.active(event.at)
            self.lately.append((event.at, len(event.dates)))
            if event.processor in self.paces:
                pace = self.paces[event.processor]
                pace.latest, pace.done = event.at, pace.done + len(event.dates)
        self._looked(event.processor, event.dates)
        spent = self._spent.get(event.processor, {})
        taken = [seconds for day in event.dates.numbers() if (seconds := spent.pop(day, None)) is not None]
        if event.word is Word.DONE and taken:
            seconds, count = self.worked.get(event.processor, (0.0, 0))
            self.worked[event.processor] = (seconds + sum(taken), count + len(taken))

    def _wait(self, name: str, dates: DateSet, until: datetime | None) -> None:
        """Units are not called before that time; None: they have been, or never will be."""
        waits = self._waits.setdefault(name, {})
        if until is not None:
            waits |= dict.fromkeys(dates.numbers(), until)
        elif waits:
            for day in dates.numbers():
                waits.pop(day, None)

    def waiting(self, now: datetime) -> list[datetime]:
        """Until when units wait to be called again, or at all, the first first."""
        return sorted(until for waits in self._waits.values() for until in waits.values() if until > now)

    def _looked(self, name: str, dates: DateSet) -> None:
        """The table of those units was looked at."""
        if left := self._claimed.pop(name, DateSet()) - dates:
            self._claimed[name] = left

    @property
    def claimed(self) -> int:
        """Units that were said to be done and whose tables have not been looked at yet."""
        return sum(map(len, self._claimed.values()))

    def dates(self, word: Word, processor: str | None = None) -> DateSet:
        """Dates that ended with that word, of one processor or of all together."""
        if processor is not None:
            return self.words.get(processor, {}).get(word, DateSet())
        return union(words.get(word, DateSet()) for words in self.words.values())

    def attempts(self, name: str, dates: DateSet) -> int:
        """How often the most often tried of those dates was called."""
        return max([1, *(attempt for (which, attempt), days in self.repeated.items() if which == name and days & dates)])

    def active(self, now: datetime) -> float:
        """Seconds it was at work until ``now``, pauses left out."""
        if self.started is None:
            return 0.0
        resting = (now - self.rests_since).total_seconds() if self.rests_since else 0.0
        return max(0.0, (now - self.started.at).total_seconds() - self.paused_for - resting)

    @property
    def resting(self) -> bool:
        """Whether it waits: for who paused it, for who can log in, or for a warehouse."""
        return self.rests_since is not None

    @property
    def lasted(self) -> float:
        """Seconds from its start to what was heard of it last."""
        return (self.last_at - self.started.at).total_seconds() if self.started and self.last_at else 0.0

    def count(self, *words: Word) -> int:
        """Units that ended with one of those words."""
        return sum(len(by.get(word, DateSet())) for by in self.words.values() for word in words)

    @property
    def first_failed(self) -> Unit | None:
        """The unit of the earliest date that was tried in vain, in this run or in those before it."""
        lost = [ending for ending in self.endings if ending.word in (Word.FAILED, Word.EXHAUSTED, Word.DECLINED)]
        first = min(lost, key=lambda ending: ending.dates.first, default=None)
        return Unit(first.processor, first.dates.first) if first else None

    @property
    def units(self) -> int:
        return self.plan.units if self.plan else 0

    @property
    def left(self) -> int:
        return self.units - self.count(*Word)

    def exit(self, *, interrupted: bool = False, allow_blocked: bool = False) -> tuple[ExitCode, str]:
        """The exit code that this state means, and the reason in words: the first of DESIGN 6's order that applies."""
        closed = [verdict for verdict in self.verdicts if verdict.closed]
        blocked_before = self.plan.blocked_units if self.plan else 0
        lost = [f"{count} {word}" for word in _LOST if (count := self.count(word))]
        if blocked_before and not allow_blocked:
            lost.append(f"{blocked_before} blocked when planned")
        if interrupted:
            how = f"cancelled by {self.cancelled.by}" if self.cancelled else "interrupted"
            return ExitCode.INTERRUPTED, f"{how} with {self.left} unit{'' if self.left == 1 else 's'} to go"
        if closed:
            return ExitCode.GATE_CLOSED, "; ".join(_closed_words(closed))
        if self.left and self.stopped:
            why = f"stopped early: {self.stopped.why}, {self.left} unit{'' if self.left == 1 else 's'} to go"
            if self.stopped.asked and not lost:
                return ExitCode.STOPPED, why
            lost.append(why)
        if lost:
            return ExitCode.INCOMPLETE, ", ".join(lost)
        if self.left:
            return ExitCode.INCOMPLETE, f"{self.left} units without a final word"
        forgiven = f"; {blocked_before} blocked when planned, as allowed" if blocked_before else ""
        return ExitCode.OK, f"all done{forgiven}"


def _closed_words(closed: Sequence[Verdict]) -> Iterator[str]:
    """Which gates closed; those that had nothing to be measured against by themselves."""
    for how, measured in (("closed", True), ("closed for want of a measure", False)):
        if names := [verdict.gate for verdict in closed if verdict.measured is measured]:
            yield f"gate {how}: {', '.join(names)}"
