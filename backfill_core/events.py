"""What happened in a run: an append-only list that journal, terminal and report all read. A run's state is a fold over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backfill_core.dates import DateSet
from backfill_core.errors import Failure as Failure


class Claim(StrEnum):
    """What a runner says of a unit. Only an observation makes it true."""

    DONE = "done"
    FAILED = "failed"
    #: Too little history to work on.
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A runner's word on one unit."""

    claim: Claim
    failure: Failure | None = None
    why: str = ""
    #: Seconds after which the service wants to be asked again.
    retry_after: float | None = None


class Word(StrEnum):
    """How a unit ended. Each unit of a run ends in exactly one."""

    DONE = "done"
    #: Tried, and not verified.
    FAILED = "failed"
    #: The runner says there is too little history.
    DECLINED = "declined"
    #: Found complete, or no longer expected, at its turn.
    SKIPPED = "skipped"
    #: What it needs is not there.
    BLOCKED = "blocked"
    #: A gate closed before it.
    WITHHELD = "withheld"
    #: It failed the same way again and again, and nothing it reads has changed: not tried.
    EXHAUSTED = "exhausted"


class Control(StrEnum):
    """What may be asked of a run from outside."""

    #: Nothing new leaves; what is in flight comes home.
    PAUSE = "pause"
    CONTINUE = "continue"
    #: As the first Ctrl-C.
    CANCEL = "cancel"
    THROTTLE = "throttle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What somebody asks of a run while it is under way."""

    at: datetime
    control: Control
    #: Who asks, as ``user@host``.
    by: str
    #: With THROTTLE: calls in flight at most; None: as it was.
    concurrency: int | None = None
    #: With THROTTLE: calls in flight at most, by service, processor or table.
    caps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    at: datetime
    pid: int
    host: str
    command: str
    target: str
    #: Plan as JSON, as `Plan.to_json` gives it.
    plan: Mapping[str, object]
    #: The processors that the run is about, sources among them.
    chosen: tuple[str, ...] = ()
    #: Coverage before, as `coverage_json` gives it.
    before: Mapping[str, object] = field(default_factory=dict)
    #: Guards that somebody set aside, with the reason.
    overrides: Mapping[str, str] = field(default_factory=dict)
    #: Who started it; empty where the machine does not say.
    user: str = ""
    #: The project's git commit, ``-dirty`` behind it where files differ from it; empty where there is none.
    commit: str = ""
    #: Calls in flight at most; 0: not recorded.
    concurrency: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """A call is about to leave. On disk before it does."""

    at: datetime
    batch: int
    processors: tuple[str, ...]
    dates: DateSet
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnded:
    """A call came back, whatever it says."""

    at: datetime
    batch: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsEnded:
    """Units of one processor got their final word."""

    at: datetime
    processor: str
    dates: DateSet
    word: Word
    why: str = ""
    #: Done on less than all it wanted.
    degraded: DateSet = field(default_factory=DateSet)
    batch: int | None = None
    #: With FAILED: of which class, and after how many calls.
    failure: Failure | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsClaimed:
    """A runner says that these units are done, and their table is looked at soon, together with others."""

    at: datetime
    processor: str
    dates: DateSet


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsUnverified:
    """Claimed as done and not there; tried once more."""

    at: datetime
    processor: str
    dates: DateSet
    why: str
    #: When; none: the run ends before.
    again: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsDeferred:
    """A call of these units failed, and they are not given up: they are called again, or looked at first.

    Or a call of an earlier run may still be at them.
    """

    at: datetime
    processor: str
    dates: DateSet
    failure: Failure
    why: str
    #: Which of their calls it was, from 1 on; 0: one of an earlier run.
    attempt: int
    #: Not before then.
    again: datetime
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerMoved:
    """A service failed call after call and is left alone for a while, or it answers again."""

    at: datetime
    service: str
    #: ``open`` or ``closed``.
    position: str
    #: When one call asks whether it is well; none where it is closed.
    probe: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLost:
    """No call can say who it is. Nothing leaves until one can; no unit fails for it."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityBack:
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SightLost:
    """Tables cannot be read for now. The run waits, and looks again."""

    at: datetime
    why: str
    #: How often it has looked in vain by now.
    looks: int
    again: datetime
    #: Whether it waits for somebody to log in, however long that takes.
    login: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SightBack:
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped:
    """Nothing new leaves any more, although units wait; what is in flight comes home."""

    at: datetime
    #: A budget, a limit on failures, the canary, or tables that changed underneath.
    why: str
    #: Whether that is what was asked for (a budget), rather than something gone wrong.
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedUnderneath:
    """Dates of a table that this run did not touch have changed since it was planned."""

    at: datetime
    processor: str
    dates: DateSet
    #: Of how many of the processor's dates that is.
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateJudged:
    at: datetime
    layer: str
    gate: str
    #: Verdict as `Verdict.to_json` gives it.
    verdict: Mapping[str, object]
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainAsked:
    """Somebody asked the run to stop: what is in flight comes home, nothing new leaves."""

    at: datetime
    in_flight: int
    #: Seconds of the slowest call so far.
    slowest: float = 0.0
    #: Seconds after which the last of what is in flight is waited for no longer; none: some of it has no time limit.
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructed:
    """The run took in an instruction, the journal's ``number``th, and does as it says unless it is refused."""

    at: datetime
    number: int
    control: Control
    by: str
    concurrency: int | None = None
    caps: Mapping[str, int] = field(default_factory=dict)
    #: Why it cannot be done; empty: it was.
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    at: datetime
    exit_code: int
    exit_reason: str
    #: Coverage afterwards, as `coverage_json` gives it; empty where it could not be looked at.
    after: Mapping[str, object] = field(default_factory=dict)
    queries: Mapping[str, int] = field(default_factory=dict)


Event = (
    RunStarted
    | BatchStarted
    | BatchEnded
    | UnitsEnded
    | UnitsClaimed
    | UnitsUnverified
    | UnitsDeferred
    | BreakerMoved
    | IdentityLost
    | IdentityBack
    | SightLost
    | SightBack
    | ChangedUnderneath
    | GateJudged
    | DrainAsked
    | RunStopped
    | Instructed
    | Heartbeat
    | RunEnded
)
