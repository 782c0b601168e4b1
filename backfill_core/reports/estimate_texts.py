"""An estimate in words."""

from __future__ import annotations

from backfill_core.planning.estimate import Estimate
from backfill_core.reports.words import plural

#: Processors of a critical path that are named; of a longer one, the first and the last.
_NAMED = 4


def estimate_line(found: Estimate) -> str:
    """``estimate: 12-18 min at 4 in flight (durations of 1,204 units in the journal); critical path 9 min: a -> b``."""
    rests = [f"durations of {plural(found.measured, 'unit')} in the journal"] if found.measured else []
    if found.declared:
        rests.append(f"declared seconds of {plural(len(found.declared), 'processor')}")
    if found.unknown:
        rests.append(f"{plural(len(found.unknown), 'processor')} never ran, taken as no time")
    chain = list(found.chain)
    if len(chain) > _NAMED:
        chain[2:-1] = ["..."]
    path = f"; critical path {rough(found.critical)}: {' -> '.join(chain)}" if chain else ""
    return f"estimate: {_range(found.p50, found.p90)} at {found.concurrency} in flight ({'; '.join(rests)}){path}"


def rough(seconds: float) -> str:
    """A time as one says it, in two figures or so: ``40 s``, ``12 min``, ``3.5 h``."""
    value, unit = _scaled(seconds, seconds)
    return f"{value} {unit}"


def _range(low: float, high: float) -> str:
    (first, unit), (last, _) = _scaled(low, high), _scaled(high, high)
    return f"{first} {unit}" if first == last else f"{first}-{last} {unit}"


def _scaled(seconds: float, widest: float) -> tuple[str, str]:
    """A number and its unit, the one that suits ``widest``."""
    if widest < 120:
        return (f"{seconds:.0f}" if seconds >= 1 or not seconds else "1", "s")
    if widest < 7200:
        return f"{seconds / 60:.0f}", "min"
    return f"{seconds / 3600:.1f}", "h"
