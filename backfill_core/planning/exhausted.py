"""Units that failed the same way again and again, while nothing they read changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.model.runs import Called
from backfill_core.plan import Plan
from backfill_core.planning.judge import window_map

#: Figures in a reason: a call that lasted 61 s failed the same way as one that lasted 60.
_FIGURES = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFailure:
    """Units of a processor that failed for good in an earlier run."""

    at: datetime
    processor: str
    dates: DateSet
    why: str


def exhausted(pipeline: Pipeline, plan: Plan, coverage: Coverage, past: Iterable[PastFailure]) -> dict[str, dict[str, DateSet]]:
    """The planned units that are not worth another call, by processor and reason.

    Such a unit failed the same way in as many runs as its spec has attempts, the latest ones; nothing in its windows is
    planned, and nothing there was written since the first of them. ``past`` is in order of time.
    """
    rows = _rows(past, plan)
    found: dict[str, dict[str, DateSet]] = {}
    for name, days in rows.items():
        spec = pipeline.processors[name].spec_for(pipeline.runtime)
        most = spec.attempts if isinstance(spec, Called) else 0
        for day, row in days.items():
            if len(row.at) >= most and not _changed(pipeline, plan, coverage, name, day, row.at[-most]):
                reasons = found.setdefault(name, {})
                runs = "1 run" if len(row.at) == 1 else f"{len(row.at)} runs"
                why = f"{row.why} (in {runs}, nothing it reads has changed since)"
                reasons[why] = reasons.get(why, DateSet()) | DateSet.from_numbers([day])
    return found


@dataclass(slots=True)
class _Row:
    """Failures of one unit in a row that are alike: when, and how."""

    why: str
    at: list[datetime]


def _rows(past: Iterable[PastFailure], plan: Plan) -> dict[str, dict[int, _Row]]:
    """The latest failures of each planned unit that are alike."""
    planned = {name: chosen.dates for name, chosen in plan.planned().items()}
    found: dict[str, dict[int, _Row]] = {}
    for failure in past:
        for day in (failure.dates & planned.get(failure.processor, DateSet())).numbers():
            row = found.setdefault(failure.processor, {}).setdefault(day, _Row(failure.why, []))
            if _FIGURES.sub("0", row.why) != _FIGURES.sub("0", failure.why):
                row.at = []
            row.why = failure.why
            row.at.append(failure.at)
    return found


def _changed(pipeline: Pipeline, plan: Plan, coverage: Coverage, name: str, day: int, since: datetime) -> bool:
    """Whether something that a unit reads was written since, or is about to be."""
    planned = plan.planned()
    micros = int((since.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    for edge in pipeline.edges_into[name]:
        if edge.kind is EdgeKind.READS:
            continue
        ((first, last),) = window_map(pipeline, edge, coverage.calendars).bounds([day])
        window = DateSet.between(first, last)
        for upstream in edge.upstreams:
            if upstream in planned and planned[upstream].dates & window:
                return True
            newest: Mapping[int, int] = coverage.processors[upstream].facts.newest
            if any(newest.get(seen, 0) > micros for seen in range(first, last + 1)):
                return True
    return False
