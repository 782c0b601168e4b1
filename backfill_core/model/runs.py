"""How a unit's work is done, as values. Adapters map a kind of spec to the runner that carries it out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Service:
    """What calls of several processors share: a service, a database, a machine."""

    name: str
    _: KW_ONLY
    #: Most calls in flight at once.
    in_flight: int | None = None
    #: Most calls that may leave in a minute.
    per_minute: float | None = None
    #: Seconds its lock may stay after a call that was lost: until then it answers without working.
    lock: float = 0.0
    #: Seconds a call may take.
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody else's work: observed, never run."""


SOURCE = Source()


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What every spec says of its calls: what they share, how many dates go together, and what a failure leaves to try."""

    #: What its calls share with those of others.
    service: Service | None = None
    #: Seconds a call may take; None: as its service says.
    timeout: float | None = None
    #: Calls of a unit at most when each fails in passing.
    attempts: int = 3
    #: Seconds before the second of them, about; each later one waits four times as long, up to five minutes.
    backoff: float = 2.0
    #: Most dates in one call.
    max_dates: int = 1
    #: Whether a call's dates are of one calendar month.
    by_month: bool = False
    #: Whether a call has every date that its calendar expects between its first and its last: for what is told these two alone.
    consecutive: bool = False
    #: Processors of one layer that give the same name go together: one call has a date with all of them that are ready.
    together: str | None = None
    #: Whether such a call does its processors one after the other, in the order it names them: then what a unit needs of the same
    #: date may be done in the same call.
    in_order: bool = False
    #: Seconds a date takes, for estimates before it ever ran.
    seconds: float | None = None

    @property
    def shares(self) -> str | None:
        """The name of what its calls share with those of others: its service; None: nothing."""
        return self.service.name if self.service else None

    @property
    def time_limit(self) -> float | None:
        """Seconds a call may take."""
        return self.timeout if self.timeout is not None or self.service is None else self.service.timeout


@dataclass(frozen=True, slots=True)
class Sql(Called):
    """One GoogleSQL SELECT in a file beside the declaring one; its rows replace those of the dates asked for.

    It takes @date_from and @date_to and names processors in braces.
    """

    file: str
    _: KW_ONLY
    #: Most dates in one call.
    max_dates: int = 31


@dataclass(frozen=True, slots=True)
class Python(Called):
    """A function ``(dates, ctx)`` that returns rows (dicts), a relation or a frame; they replace the rows of those dates.

    Where a processor fills several tables, it returns the rows of each by the table's name: the processor's for the first, its
    own without the dataset for the others. All are replaced together.

    ``dates`` is a list of days, ``ctx`` a RunContext: a cursor in the transaction that writes, and names of tables and files.
    """

    function: Callable[[Any, Any], Any]
    _: KW_ONLY
    #: Most dates in one call.
    max_dates: int = 31
    #: Whether it works in a process of its own, beside others: for what keeps a processor core busy. It has no cursor there, and
    #: returns rows or a frame.
    process: bool = False


#: Of what kind a processor's spec may be. Adapters know which runner carries out which.
RunSpec = Source | Called


def rows_by_table(names: Collection[str], answer: Any) -> dict[str, Any] | None:
    """What a function returned, rows or a relation, by the name of the table it is for; None where it wrote by itself.

    Raises ValueError where it is to fill several tables and does not name each of them.
    """
    if answer is None or len(names) == 1:
        return None if answer is None else dict.fromkeys(names, answer)
    if not isinstance(answer, Mapping) or set(answer) != set(names):
        wanted = ", ".join(f'"{name}": rows' for name in names)
        raise ValueError(f"it fills {len(names)} tables, so that it must return {{{wanted}}}; [] where there are none")
    return {name: answer[name] for name in names}
