"""Estimating a plan by what a project's journal and specs tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backfill_core.coverage import Coverage
from backfill_core.errors import JournalError
from backfill_core.model.runs import Called
from backfill_core.plan import Plan
from backfill_core.project.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A plan's estimate, None and nothing where there is nothing that it could rest on."""

    data: dict[str, Any] | None = None
    line: str = ""
    #: Why the journal could tell nothing, where it could not be read.
    unread: str = ""


def estimated(session: Session, plan: Plan, coverage: Coverage, concurrency: int | None) -> Estimated:
    """Estimates a plan from what the journal remembers, and what specs declare."""
    measured, unread = _measured(session) if plan.units else ({}, "")
    if not (measured or any(_declares(session, name) for name in plan.planned())):
        return Estimated(unread=unread)
    # Only now: most plans of a new project end here, and what follows takes time to load.
    from backfill_core.planning.estimate import estimate
    from backfill_core.project.terms import terms_of
    from backfill_core.reports.estimate_texts import estimate_line

    terms = terms_of(session, concurrency=concurrency)
    found = estimate(session.pipeline, plan, coverage.calendars, measured, terms=terms)
    return Estimated(data=found.to_json(), line=estimate_line(found), unread=unread) if found else Estimated(unread=unread)


def _measured(session: Session) -> tuple[Mapping[str, Sequence[float]], str]:
    """(seconds that units took, why that cannot be told)."""
    try:
        return session.durations(), ""
    except JournalError as error:
        return {}, str(error)


def _declares(session: Session, name: str) -> bool:
    spec = session.pipeline.processors[name].spec_for(session.pipeline.runtime)
    return isinstance(spec, Called) and spec.seconds is not None
