"""Looking at a project's tables, and the request that a person's words come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from backfill_core.coverage import Coverage
from backfill_core.dates import ONE_DAY, DateSet, Span
from backfill_core.graph import Pipeline
from backfill_core.observe import read_calendars
from backfill_core.plan import Cascade, Order, Request
from backfill_core.planning.selection import Words, select
from backfill_core.ports import Warehouse
from backfill_core.project.reviews import expired_words
from backfill_core.project.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Which part of a project, and when; None and empty: what the settings and the graph say."""

    first: date | None = None
    last: date | None = None
    season: str | None = None
    today: date | None = None
    words: Words = field(default_factory=Words)
    dates: DateSet | None = None
    reasons: tuple[str, ...] = ()
    cascade: str = "none"
    #: Rewrite all that was written before now.
    force: bool = False
    older_than: datetime | None = None
    include_warmup: bool = False
    limit: int | None = None
    order: str = "oldest"
    #: What is looked at: the tables' rows, partitions' metadata alone, or what a run last observed.
    observed: Literal["rows", "partitions", "last"] = "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the tables hold over the span that was asked for, and the request, with every name in it known."""

    coverage: Coverage
    request: Request
    #: Why the span ends there, in a word; empty where the end was typed.
    ends: str
    #: What a person should know before they read on.
    warnings: tuple[str, ...]
    #: The graph as it was judged: the project's, unless less was looked at.
    pipeline: Pipeline
    #: Says that less was looked at.
    notes: tuple[str, ...] = ()


def look(session: Session, warehouse: Warehouse | None, asking: Asking, *, waive: bool = True, also: Span | None = None) -> Look:
    """Reads the calendars and every table over a span; ``waive=False`` leaves waivers out.

    ``also`` is looked at too, without being part of the request. No warehouse is needed for what was last observed.

    Raises what `select` and `Session.span` raise, UnreadableTable or BadReviews.
    """
    if asking.observed == "partitions":
        from backfill_core.project.look_at_partitions import refuse_embedded

        refuse_embedded(session)
    cascade = Cascade(asking.cascade)
    chosen = select(session.pipeline, asking.words, beyond=cascade is not Cascade.NONE)
    today = session.today(asking.today)
    dates = asking.dates
    if asking.season is not None:
        season = session.season(asking.season)
        dates = DateSet.of_span(Span(season.first, max(season.first, min(season.last, today - ONE_DAY))))
    # What is rewritten spoils later dates: these are looked at too.
    asked = session.span(asking.first, asking.last, today, dates=dates, open_end=cascade is not Cascade.NONE)
    span, calendars = asked.span, asked.calendars
    if also is not None and not (also.first in span and also.last in span):
        span = Span(min(span.first, also.first), max(span.last, also.last))
        calendars = read_calendars(session.pipeline, session.landing, span)
    pipeline, notes = session.pipeline, tuple[str, ...]()
    if asking.observed == "last":
        from backfill_core.project.look_at_last import observe_last

        reviews = session.reviews_of(calendars, waive=waive)
        coverage, note = observe_last(session, calendars, span, today, reviews)
        notes = (note,)
    elif asking.observed == "partitions":
        from backfill_core.project.look_at_partitions import observe_partitions

        assert warehouse is not None
        reviews = session.reviews_of(calendars, waive=waive)
        presence = observe_partitions(session, warehouse, calendars, span, today, reviews)
        pipeline, coverage, notes = presence.pipeline, presence.coverage, presence.notes
    else:
        assert warehouse is not None, "only what was last observed needs none"
        coverage = session.observe(warehouse, calendars, span, today, waive=waive)
    request = Request(
        target=session.target_name,
        span=asked.span,
        today=today,
        through=chosen.through,
        processors=chosen.processors,
        dates=None if asking.season and cascade is Cascade.NONE else dates,
        reasons=asking.reasons,
        cascade=cascade,
        older_than=datetime.now(UTC) if asking.force else asking.older_than,
        include_warmup=asking.include_warmup,
        limit=asking.limit,
        order=Order(asking.order),
    )
    warnings = (*session.warnings, *expired_words(session.reviews, today))
    return Look(coverage=coverage, request=request, ends=asked.ends, warnings=warnings, pipeline=pipeline, notes=notes)
