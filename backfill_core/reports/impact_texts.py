"""What a re-run spoils, as lines of text and as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.reports.words import Head, dates_words, number, plural

SCHEMA = "backfill.impact/1"


def impact_lines(
    processor: str, dates: DateSet, direct: Mapping[str, DateSet], spoiled: Mapping[str, DateSet], coverage: Coverage, head: Head
) -> list[str]:
    """What is spoiled, by processor: directly, and in all; the last line is what to type next."""
    told = f"{processor} {dates_words(dates, coverage.calendar(processor).expected)}"
    if not spoiled:
        return [head.line(), f"a re-run of {told} spoils nothing", "next: backfill plan"]
    width = max(map(len, spoiled)) + 2
    lines = [head.line(), f"a re-run of {told} spoils:", f"{'':{width}}{'DIRECT':>7}{'FURTHER':>8}  DATES"]
    for name, found in spoiled.items():
        near = direct.get(name, DateSet())
        line = f"  {name:{width - 2}}{number(len(near)):>7}{number(len(found - near)):>8}"
        shown, _, runs = dates_words(found, coverage.calendar(name).expected, most=1).partition(", ")
        lines.append(f"{line}  {shown}" + (f" ({runs.rpartition(' in ')[2]})" if runs else ""))
    lines.append(f"directly {_total(direct)}, in all {_total(spoiled)}")
    again = f"backfill plan --processor {processor} --dates {','.join(dates.to_json())} --force --cascade all"
    return [*lines, f"next: {again}"]


def impact_json(processor: str, dates: DateSet, direct: Mapping[str, DateSet], spoiled: Mapping[str, DateSet]) -> dict[str, Any]:
    """The same as data: what is spoiled directly, and what further, each date once."""
    further = {name: found - direct.get(name, DateSet()) for name, found in spoiled.items()}
    return {
        "schema": SCHEMA,
        "processor": processor,
        "dates": dates.to_json(),
        "direct": _listed(direct),
        "further": _listed({name: found for name, found in further.items() if found}),
        "totals": {
            "direct": sum(map(len, direct.values())),
            "further": sum(map(len, further.values())),
            "processors": len(spoiled),
        },
    }


def _listed(found: Mapping[str, DateSet]) -> list[dict[str, Any]]:
    return [{"processor": name, "units": len(dates), "dates": dates.to_json()} for name, dates in found.items()]


def _total(found: Mapping[str, DateSet]) -> str:
    return f"{plural(sum(map(len, found.values())), 'date')} of {plural(len(found), 'processor')}"
