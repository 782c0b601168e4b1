"""On what terms a run goes: what may be in flight, what goes first, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Priority(StrEnum):
    """Which of the calls that are ready leaves first."""

    OLDEST = "oldest"
    NEWEST = "newest"
    #: What the longest chain of units waits for.
    CRITICAL = "critical-path"


class Stop(StrEnum):
    """Why nothing new leaves although units wait."""

    #: As many units failed as were allowed.
    FAILURES = "failures"
    #: A unit of the canary failed.
    CANARY = "canary"
    #: As many units were called as were allowed.
    UNITS = "units"
    #: What is left would not end in time.
    TIME = "time"
    #: Too much changed underneath.
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a scheduler keeps to. Times are seconds on its clock."""

    #: Most calls in flight.
    concurrency: int
    #: Most calls in flight, and most that leave in a minute, by lane (see `lanes`).
    caps: Mapping[str, int] = field(default_factory=dict)
    paces: Mapping[str, float] = field(default_factory=dict)
    #: What others wait for goes first: then no long chain is left for the end, when places stand empty.
    priority: Priority = Priority.CRITICAL
    #: A date goes on to the next layer as soon as its gates pass, rather than each layer as a whole.
    pipelined: bool = False
    #: So many dates of each layer, spread over it, go before its others.
    canary: int = 0
    #: Most units that are called.
    max_units: int | None = None
    #: When everything must have come home.
    stop_at: float | None = None
    #: So many units that fail stop the run.
    max_failures: int | None = None
    #: Makes chance the same each time.
    seed: int = 0
