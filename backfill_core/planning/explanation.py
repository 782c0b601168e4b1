"""What there is to say of one unit: its state, the numbers behind it, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from backfill_core.coverage import Key, State
from backfill_core.dates import DateSet, Span
from backfill_core.graph import EdgeKind
from backfill_core.model.reviews import Accepted, Waiver
from backfill_core.plan import RootCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What its table holds on the date."""

    rows: int = 0
    #: Distinct keys of the table.
    distinct: int = 0
    #: Microseconds since 1970 at which the oldest and newest row were written; None: nobody knows.
    oldest: int | None = None
    newest: int | None = None
    #: Rows on a date on which nothing is expected.
    unexpected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedKey:
    """A key that is wanted, with the rows that it has and wants."""

    key: Key
    rows: int = 0
    wanted: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One expectation in numbers, and the keys behind them."""

    expectation: str
    #: How many of what it counts are there, and wanted; nothing wanted: nothing is known to be.
    there: int
    wanted: int
    #: The share that is enough.
    share: float
    enough: bool
    #: Columns of the keys named; none where it has no keys.
    columns: tuple[str, ...] = ()
    #: Keys that lack: how many, and the first of them.
    absent: int = 0
    first_absent: tuple[WantedKey, ...] = ()
    #: Keys with more rows than they may have.
    excess: int = 0
    first_excess: tuple[WantedKey, ...] = ()
    #: Keys beyond what is wanted.
    surplus: int = 0
    first_surplus: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One rule on the date's rows: whether it holds, and of how many rows."""

    rule: str
    holds: bool
    #: Rows that are good and rows judged; None where the rule is about rows together.
    good: int | None = None
    judged: int | None = None
    #: The share of good rows that it wants.
    share: float | None = None
    #: Rows that the date may have at most.
    most: float | None = None
    #: Of a rule that does not hold, the keys of the rows that break it: their columns, how many, and the first of them; without
    #: columns the rows that a rule in SQL returns, in words.
    columns: tuple[str, ...] = ()
    breaking: int = 0
    first_breaking: tuple[Key, ...] = ()
    #: Whether they are keys that several rows share.
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSeen:
    """One table of the processor, judged alone."""

    #: Short name of a further table; empty for the first.
    name: str
    state: State
    held: Held
    expected: tuple[Expected, ...] = ()
    rules: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """Dates of an upstream in the window that were written after this date's rows."""

    upstream: str
    dates: DateSet
    #: Microseconds since 1970 of the newest of it.
    newest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Dates of a need that are not there, by upstream and state."""

    processor: str
    state: State
    dates: DateSet
    #: Those of them that the plan fills first.
    planned: DateSet


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedSeen:
    """One thing that the unit reads: what its window wants, and what of it is there."""

    upstreams: tuple[str, ...]
    kind: EdgeKind
    window: str
    #: The window as dates; None where it holds none, as on a season's first day.
    span: Span | None
    wanted: int
    there: int
    share: float
    met: bool
    degraded: bool
    lacks: tuple[Lack, ...] = ()
    #: It gives the keys that are expected, and holds no row for the date.
    keyless: bool = False


class Standing(StrEnum):
    """Where a unit stands to a plan."""

    PLANNED = "planned"
    #: Planned, and behind a gate that will close whatever the plan does.
    WITHHELD = "withheld"
    BLOCKED = "blocked"
    #: Not yet: its own rows, or those it needs, may still come.
    PENDING = "pending"
    STALE = "stale"
    COMPLETE = "complete"
    NOT_EXPECTED = "not expected"
    #: Not of the dates that were asked for.
    OUTSIDE = "outside"
    #: Others fill it: it is observed and never run.
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlan:
    """Whether a plan has the unit, and why."""

    standing: Standing
    #: The plan's reason, the gate, why it is not expected, …; empty where the standing says all.
    why: str = ""
    #: What blocks it, at the root.
    causes: tuple[RootCause, ...] = ()
    #: It runs on less than all it wants, or is looked at again at its turn.
    degraded: bool = False
    unsettled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is to be said of a unit, apart from what the journal remembers."""

    processor: str
    day: date
    layer: str
    calendar: str
    #: Keys of the calendar on the date, and their column; 0 where it has none.
    calendar_keys: int
    calendar_key: str
    state: State
    #: The words beside the state: ``2/16``, the rules that fail, why nothing is expected.
    detail: str
    held: Held
    expected: tuple[Expected, ...]
    rules: tuple[Kept, ...]
    newer: tuple[Newer, ...]
    needs: tuple[NeedSeen, ...]
    in_plan: InPlan
    #: What a re-run spoils, by processor: directly, and in all.
    spoils_directly: dict[str, DateSet] = field(default_factory=dict)
    spoils: dict[str, DateSet] = field(default_factory=dict)
    #: The further tables of a processor that fills several.
    also: tuple[TableSeen, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    accepted: tuple[Accepted, ...] = ()
