"""A date of a processor that fills several tables: what was found of each, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backfill_core.coverage import Findings, ProcessorCoverage
from backfill_core.dates import DateSet, union


def worst(first: Findings, also: Mapping[str, ProcessorCoverage]) -> Findings:
    """The findings of all tables side by side, so that the worst decides; those of a further table name it.

    Which dates are expected at all is told by the first table. They settle when the last table does.
    """
    if not also:
        return first
    expected = first.asked - first.unknown - union(first.not_expected.values())
    parts = [part.findings for part in also.values()]
    held = union(DateSet.from_numbers(list(part.facts.rows)) for part in also.values()) & first.asked
    broken = {
        f"{rule} in {name}": dates & expected
        for name, part in also.items()
        for rule, dates in part.findings.broken.items()
        if dates & expected
    }
    return replace(
        first,
        recent=first.recent | (union(part.recent for part in parts) & expected),
        empty=first.empty | (union(part.empty for part in parts) & expected),
        short=first.short | (union(part.short for part in parts) & expected),
        broken={**first.broken, **broken},
        surplus=first.surplus | union(part.surplus for part in parts) | (held - expected - first.waived),
    )
