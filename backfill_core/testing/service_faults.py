"""What can be asked to go wrong with a service: on the wire, and in what it says of its work."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum


class Trouble(StrEnum):
    """A way in which a service fails its callers."""

    #: It answers with ``status``, and does nothing.
    STATUS = "status"
    #: Its answer takes ``seconds`` longer.
    SLOW = "slow"
    #: The connection is broken instead of an answer, the work done.
    RESET = "reset"
    #: Half of the answer comes, the work done.
    TRUNCATED = "truncated"
    #: Whoever stands between gives up (504), and the work goes on for ``seconds``.
    GOES_ON = "goes on"
    #: 200, and every processor failed.
    ALL_FAILED = "all failed"
    #: 200, success everywhere, and nothing is written: a warm-up skip, or nothing to save.
    NOTHING_WRITTEN = "nothing written"
    #: Somebody else holds the locks of all that is asked for: success without work until they expire.
    LOCK_HELD = "lock held"
    #: The answer leaves the last of the processors out, as it does with a name that it does not know.
    DROPPED = "dropped"
    #: Accepted (202), and at it for ever.
    NEVER_ENDS = "never ends"
    #: 503 DATA_INCOMPLETE: what it would read is not there.
    INCOMPLETE = "incomplete"


@dataclass(slots=True)
class ServiceFault:
    """Something that goes wrong."""

    trouble: Trouble
    #: Only requests whose body has this in it: a date, a processor.
    match: str = ""
    #: How often; none: for ever.
    times: int | None = 1
    status: int = 503
    #: Seconds that a Retry-After header names.
    retry_after: int | None = None
    seconds: float = 0.0
    #: How often it was met.
    seen: int = 0


@dataclass(slots=True)
class Faults:
    """Those of one service. May be used from several threads."""

    asked: list[ServiceFault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *faults: ServiceFault) -> None:
        self.asked += faults

    def next(self, text: str) -> ServiceFault | None:
        """The first that is left for a request of that body, counted as met."""
        with self._lock:
            for fault in self.asked:
                if fault.match in text and (fault.times is None or fault.seen < fault.times):
                    fault.seen += 1
                    return fault
        return None
