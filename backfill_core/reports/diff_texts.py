"""The difference between two plans, as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backfill_core.plan import Plan
from backfill_core.planning.plan_diff import Difference
from backfill_core.reports.words import dates_words, plural

SCHEMA = "backfill.plan-diff/1"


def diff_lines(before: Plan, after: Plan, found: Sequence[Difference], file: str) -> list[str]:
    """A line for each processor and change; its last line is what to type next."""
    lines = [f"plan diff  {before.hash[:8]} -> {after.hash[:8]}  {after.request.target}"]
    if before.graph != after.graph:
        lines.append("layers or plugins changed between them")
    for each in found:
        what = f"{each.before or 'not there'} -> {each.after or 'not there'}"
        lines.append(f"  {each.processor} {dates_words(each.dates, most=2)}: {what}")
    lines.append(
        f"{plural(before.units, 'unit')} -> {after.units:,}; blocked {before.blocked_units:,} -> {after.blocked_units:,}"
    )
    same = "they say the same. " if not found else ""
    doing = f"backfill execute --plan {file}" if after.units else "backfill coverage"
    return [*lines, f"{same}next: {doing}"]


def diff_json(before: Plan, after: Plan, found: Sequence[Difference]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "before": before.hash,
        "after": after.hash,
        "same_graph": before.graph == after.graph,
        "differences": [each.to_json() for each in found],
    }
