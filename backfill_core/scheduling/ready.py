"""Which units may be judged and started now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from backfill_core.dates import DateSet

#: For each processor: those it waits for, each with the dates that an upstream's dates hold up.
Waits = Mapping[str, Sequence[tuple[str, Callable[[DateSet], DateSet]]]]


def ready(waiting: Mapping[str, DateSet], unfinished: Mapping[str, DateSet], waits: Waits) -> dict[str, DateSet]:
    """The waiting units all of whose planned upstream units have their final word.

    ``unfinished`` has every unit without a final word, the waiting ones among them.
    """
    free = {}
    for name, dates in waiting.items():
        for upstream, dependents in waits[name]:
            held_up = unfinished.get(upstream)
            if held_up and dates:
                dates -= dependents(held_up)
        if dates:
            free[name] = dates
    return free
