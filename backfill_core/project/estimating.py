"""Estimating a plan by what a project's journal and specs tell."""

from __future__ import annotations

from typing import Any

from backfill_core.coverage import Coverage
from backfill_core.model.runs import Called
from backfill_core.plan import Plan
from backfill_core.project.session import Session


def estimated(session: Session, plan: Plan, coverage: Coverage, concurrency: int | None) -> tuple[dict[str, Any] | None, str]:
    """A plan's estimate as JSON and as a line of text; None and nothing where there is nothing that it could rest on."""
    measured = session.durations() if plan.units else {}
    if not (measured or any(_declares(session, name) for name in plan.planned())):
        return None, ""
    # Only now: most plans of a new project end here, and what follows takes time to load.
    from backfill_core.planning.estimate import estimate
    from backfill_core.project.terms import terms_of
    from backfill_core.reports.estimate_texts import estimate_line

    terms = terms_of(session, concurrency=concurrency)
    found = estimate(session.pipeline, plan, coverage.calendars, measured, terms=terms)
    return (found.to_json(), estimate_line(found)) if found else (None, "")


def _declares(session: Session, name: str) -> bool:
    spec = session.pipeline.processors[name].spec_for(session.pipeline.runtime)
    return isinstance(spec, Called) and spec.seconds is not None
