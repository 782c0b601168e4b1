"""Whether dates may be waived."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import date

from backfill_core.dates import DateSet, Span, union
from backfill_core.errors import BadUsage
from backfill_core.graph import EdgeKind, Pipeline
from backfill_core.model.windows import SAME_DATE
from backfill_core.observe import read_calendars
from backfill_core.planning.withhold import key_sources
from backfill_core.project.reviews import in_range
from backfill_core.project.session import Session


def check_waived(session: Session, found: Mapping[str, DateSet], today: date) -> dict[str, DateSet]:
    """The dates that are still to be waived, by processor. Raises UnknownProcessor or BadUsage."""
    pipeline = session.pipeline
    span = union(found.values()).span
    calendars = read_calendars(pipeline, session.landing, Span(span.first, span.last))
    left: dict[str, DateSet] = {}
    for name, dates in found.items():
        processor = pipeline.processor(name)
        beyond = dates - in_range(name, pipeline, calendars)
        if beyond:
            raise BadUsage(message=f"{beyond.first} is out of the range of calendar {processor.calendar}, which {name} follows")
        if not dates & calendars[processor.calendar].expected:
            raise BadUsage(message=f"{name} expects nothing on the dates given: calendar {processor.calendar} has none of them")
        fresh = dates - union(session.reviews.waived(name, today).values())
        if fresh:
            left[name] = fresh
    if not left:
        raise BadUsage(message="all of these dates are waived already. See: backfill waivers")
    return left


def resting_on(pipeline: Pipeline, waived: Set[str]) -> list[str]:
    """What needs the same date of those processors and of no other that would do: it is tried without it.

    What is expected of it comes from elsewhere: where it comes from their keys, nothing is.
    """
    return [
        name
        for name, edges in pipeline.edges_into.items()
        if name not in waived
        and not waived & set(key_sources(pipeline, name))
        and any(e.kind is EdgeKind.HARD and e.window == SAME_DATE and set(e.upstreams) <= waived for e in edges)
    ]
