"""How a unit's work is done, as values. Adapters map a kind of spec to the runner that carries it out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What calls of several processors share: a service, a database, a machine."""

    name: str
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


@dataclass(frozen=True, slots=True)
class Sql:
    """One GoogleSQL SELECT in a file beside the declaring one; its rows replace those of the dates asked for.

    It takes @date_from and @date_to and names processors in braces.
    """

    file: str
    _: KW_ONLY
    #: Most dates in one call.
    max_dates: int = 31
    #: Seconds a date takes, for estimates before it ever ran.
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Python:
    """A function ``(dates, ctx)`` that returns rows (dicts) or a relation; they replace the rows of those dates.

    Where a processor fills several tables, it returns the rows of each by the table's name: the processor's for the first, its
    own without the dataset for the others. All are replaced together.

    ``dates`` is a list of days, ``ctx`` a RunContext: a cursor in the transaction that writes, and names of tables and files.
    """

    function: Callable[[Any, Any], Any]
    _: KW_ONLY
    #: Most dates in one call.
    max_dates: int = 31
    #: Seconds a date takes, for estimates before it ever ran.
    seconds: float | None = None


RunSpec = Source | Sql | Python


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
