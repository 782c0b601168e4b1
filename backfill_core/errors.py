"""One tree of errors. A class's docstring is its message, its fields are the facts in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from inspect import cleandoc


class ExitCode(IntEnum):
    """What a command's exit status says. Where several hold, the first of DESIGN 6's order is taken."""

    OK = 0
    #: Something of the request failed, is blocked or was withheld.
    INCOMPLETE = 1
    #: Wrong usage or configuration, or a table that cannot be read.
    USAGE = 2
    GATE_CLOSED = 3
    #: The warehouse moved since the plan was made.
    DRIFT = 4
    #: Stopped early, as asked.
    STOPPED = 5
    INTERRUPTED = 130


class Failure(StrEnum):
    """Classes of failure, by what may be done about them."""

    TRANSIENT = "transient"
    AUTH = "auth"
    PERMANENT = "permanent"
    #: It may or may not have happened: look before trying again.
    UNKNOWN = "unknown"


class BackfillError(Exception):
    """{message}"""

    exit_code = ExitCode.USAGE
    #: What the line on the terminal starts with.
    label = "error"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(cleandoc(type(self).__doc__ or "{message}").format(**facts))


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """`` Did you mean "x"?`` when a known name is close, else nothing. ``likeness`` is what close names have in common, up to 1."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f' Did you mean "{close[0]}"?' if close else ""


class UnknownLayer(BackfillError):
    """no layer "{name}". Layers: {known}."""


class UnknownProcessor(BackfillError):
    """no processor "{name}".{hint} See all: backfill graph"""


class NothingChosen(BackfillError):
    """nothing to choose: {words}: {why}. See all: backfill graph"""


class UnknownTarget(BackfillError):
    """no target "{name}" in {where}. Targets: {known}."""


class UnknownRun(BackfillError):
    """no run "{name}" in the journal {journal}. Known: {known}"""


class NoRunYet(BackfillError):
    """no run yet: the journal {journal} is empty. To make one: backfill execute"""


class NoProject(BackfillError):
    """no project here: neither {start} nor a folder above it has a pyproject.toml with [tool.backfill]. Go to your project, or name it: backfill --project DIR …"""


class BadSettings(BackfillError):
    """{where}: {problem}"""


class BadUsage(BackfillError):
    """{message}"""


class BadDatesFile(BackfillError):
    """cannot read dates from {path}: {problem}. It takes a CSV with a date (YYYY-MM-DD, or D..D) in the first column or in one headed date, or a JSON list of dates."""


class BadReviews(BackfillError):
    """{where}: {problem}"""


class BadPlanFile(BackfillError):
    """cannot use plan {path}: {problem}. Make one: backfill plan --out plan.json"""


class PlanDrifted(BackfillError):
    """the warehouse moved since plan {hash} was made: {moved}. Nothing was run. Make it anew: {again}"""

    exit_code = ExitCode.DRIFT


class BeyondHorizon(BackfillError):
    """calendar {calendar} ends {horizon}, --to is {to}. Bring the schedule up to date, or type --to {horizon}."""


class AfterHorizon(BackfillError):
    """calendar {calendar} ends {horizon}, before {first}, the first date asked for. Bring the schedule up to date."""


class UnknownSeason(BackfillError):
    """no season "{name}". Seasons: {known}."""


class EmptyCalendar(BackfillError):
    """calendar {calendar} knows no dates: {problem}. Bring its schedule, then try again."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a project: where (``file:line`` as a person types it) and what, with its mend."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class InvalidProject(BackfillError):
    """{message}"""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__(message="\n".join(map(str, self.problems)))


class WarehouseHeld(BackfillError):
    """{who} holds {what}. {look}"""

    label = "refused"


class ReadError(BackfillError):
    """{message}"""

    def __init__(self, *, failure: Failure = Failure.PERMANENT, **facts: object) -> None:
        """``failure``: whether the same may be read later, by itself (transient) or once somebody has logged in (auth)."""
        self.failure = failure
        super().__init__(**facts)


class UnreadableTable(ReadError):
    """{table} cannot be read: {problem}"""


class TableUnmade(BackfillError):
    """{table} cannot be made from its ddl: {problem}"""


class WarehouseError(BackfillError):
    """the warehouse {path} cannot be used: {problem}. Restore it from a copy, or name another in the settings"""


class WarehouseReadOnly(BackfillError):
    """the warehouse {path} cannot be written: {problem}. Nothing was run"""


class PreflightFailed(InvalidProject):
    """{message}"""


class CloudError(ReadError):
    """BigQuery of project {project}: {problem}"""


class LandingError(ReadError):
    """landing files below {path} cannot be read: {problem}"""


class JournalError(BackfillError):
    """the journal {path} cannot be used: {problem}. It holds history alone: move it away, and no state is lost"""


class NoJournalFolder(JournalError):
    """{folder} is a file, and runs are remembered in a folder of that name. Move it away, then try again"""


class JournalUnwritten(JournalError):
    """the journal {path} cannot be written: {problem}. Is the disk full, or the file read-only? {otherwise}. What tables hold stays as it is, and is looked at when the run is resumed"""


class LeaseLost(BackfillError):
    """run {run} no longer holds its lease: {holder} took it. Nothing more was started."""


class UnsetVariable(BackfillError):
    """{where}: processor "{processor}" names the environment variable {variable}, which is {state}. Set it; nothing was run"""


class NotUnderWay(BackfillError):
    """run {run} is not under way, so that nobody would hear it. Look: backfill status {run}"""


class BadSql(BackfillError):
    """{file} is no GoogleSQL that can be run here: {problem}. Nothing was run"""
