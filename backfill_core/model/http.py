"""Work that a service does, its requests and answers described as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from backfill_core.model.hosts import host_part
from backfill_core.model.meanings import Means
from backfill_core.model.runs import Called
from backfill_core.model.templates import Secret

#: What a status means where a spec says nothing. 504: whoever stood between gave up, and the service may go on.
STATUSES: Mapping[int, Means] = {401: "auth", 408: "transient", 425: "transient", 429: "transient", 504: "unknown"}


@dataclass(frozen=True, slots=True)
class Sign:
    """Something in an answer, and what it means. All that it names must be so."""

    means: Means
    _: KW_ONLY
    #: The HTTP status.
    status: int | None = None
    #: Path of a value: names with dots between them, in the whole answer or in one result of it. Empty: all of that.
    at: str = ""
    #: The value is one of these.
    values: tuple[str | int | float | bool | None, ...] = ()
    #: The value, as text, holds this in any case.
    contains: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where an answer in JSON says what became of each unit. Paths are names with dots between them: ``data.results``."""

    #: The list of results; empty: the answer is itself the only one.
    results: str = ""
    #: In a result, the processor's name at the service; empty: it is about all processors of the call.
    processor: str = ""
    #: In a result, the date as YYYY-MM-DD; empty: it is about all dates of the call.
    date: str = ""
    #: In a result, the value that says how it went; empty: a result is there, so it is done.
    status: str = ""
    #: What those values mean. A value that is not named: failed.
    means: Mapping[str | int | bool, Means] = field(default_factory=dict)
    #: In a result, or in the answer to a call that failed as a whole: what went wrong, in words.
    error: str = ""
    #: Signs that are looked for before the status, in the whole answer and in each result; the first that fits counts.
    signs: tuple[Sign, ...] = ()


@dataclass(frozen=True, slots=True)
class Poll:
    """How to ask for what became of a call that was accepted (202)."""

    #: Address; beside the names of a call it takes ``{answer:path}``, a value in the answer that accepted, and ``{location}``.
    url: str
    _: KW_ONLY
    #: Seconds between two questions; the first come sooner, each after twice as long as the one before.
    every: float = 5.0
    #: Seconds after which nobody knows what became of it.
    within: float = 3600.0
    #: How its answers are read; None: as those of the call. While one means "running" it is asked again.
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Http(Called):
    """A service. Names in braces in address, headers and body are filled in from the call.

    Its claims are looked at afterwards. The value of ``${NAME}`` shows nowhere, as that of a `Secret`, and both leave only over
    https or to this machine. Redirects are not followed.
    """

    url: str
    _: KW_ONLY
    method: str = "POST"
    #: Body. A text that is nothing but one name becomes its value: ``"{processors}"`` a list, ``"{forced}"`` true or false.
    json: Any = None
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    #: Sends a Google identity token for the address's host; a text names another audience. See the target's settings for whose.
    identity: bool | str = False
    #: The processor's name at the service, if it has another one there.
    known_as: str | None = None
    #: Where its answers say how it went; None: every 2xx is a claim.
    answer: Answer | None = None
    #: What HTTP statuses mean, where not as usual: 401 auth; 408, 425, 429, 5xx transient; 504 unknown; other 4xx, 3xx failed.
    statuses: Mapping[int, Means] = field(default_factory=dict)
    #: For a service that accepts with 202 and works on.
    poll: Poll | None = None

    @property
    def shares(self) -> str | None:
        """Its service, or what its address says of where it is: whoever is unwell there is so for all that call it."""
        if self.service:
            return self.service.name
        host = host_part(self.url).rpartition("//")[2]
        named = host.startswith("${") and host.endswith("}")
        return host[2:-1] if named else host or None

    def meaning(self, status: int) -> Means:
        """What a status means by itself."""
        if status in self.statuses:
            return self.statuses[status]
        if 200 <= status < 300:
            return "running" if status == 202 and self.poll else "done"
        return STATUSES.get(status, "transient" if status >= 500 else "failed")
