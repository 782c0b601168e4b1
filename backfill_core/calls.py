"""A batch as its runner gets it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.table import Files
from backfill_core.model.units import Batch
from backfill_core.plan import Plan
from backfill_core.planning.contents import content_column
from backfill_core.planning.judge import window_map
from backfill_core.planning.work import kind_of
from backfill_core.ports import Call, Occasion
from backfill_core.queries.asking import questions_about, tables_named
from backfill_core.queries.dialect import Names

#: Of a call without a run.
_NO_OCCASION = Occasion()
#: Of a target that keeps tables where they are declared.
_HERE = Names()


def make_call(
    pipeline: Pipeline,
    calendars: Mapping[str, CalendarDays],
    batch: Batch,
    *,
    allow_shrink: bool = False,
    occasion: Occasion = _NO_OCCASION,
) -> Call:
    """The batch with all that a runner has to know: what to do, what to ask afterwards, and the tables and files it may read."""
    name = batch.processors[0]
    processor = pipeline.processors[name]
    spec = processor.spec_for(pipeline.runtime)
    assert spec is not None, "the graph was built for this runtime"
    named = tuple(
        dict.fromkeys(
            each
            for member in batch.processors
            for each in (member, *(up for edge in pipeline.edges_into[member] for up in edge.upstreams))
        )
    )
    sources = {each: pipeline.processors[each].writes for each in named}
    calendar = calendars[processor.calendar]
    questions = questions_about(pipeline, processor, calendars, batch.dates.span)
    return Call(
        batch=batch,
        processor=processor,
        spec=spec,
        question=questions[name],
        also={part: question for part, question in questions.items() if part != name},
        tables=tables_named(pipeline, named),
        contents=tuple(
            content_column(edge.hash, edge, window_map(pipeline, edge, calendars), batch.dates.numbers())
            for edge in pipeline.edges_into[name]
            if edge.hash
        ),
        sources={each: files for each, files in sources.items() if isinstance(files, Files)},
        seasons=calendar.seasons,
        allow_shrink=allow_shrink,
        specs={each: found for each in batch.processors if (found := pipeline.processors[each].spec_for(pipeline.runtime))},
        occasion=occasion,
    )


def occasion_of(
    plan: Plan, batch: Batch, rows: Mapping[str, Mapping[int, int]], *, run: str, run_key: str, attempt: int
) -> Occasion:
    """What is to be told of a batch; ``rows`` are what its processors' tables hold, by processor and day number."""
    planned = plan.planned()
    reasons = [why for name in batch.processors for why, dates in planned[name].reasons.items() if dates & batch.dates]
    there = any(rows[name].get(day) for name in batch.processors for day in batch.dates.numbers())
    asked = plan.request.older_than is not None and there
    return Occasion(
        run=run,
        run_key=run_key,
        attempt=attempt,
        reasons=tuple(dict.fromkeys(reasons)),
        forced=asked or any(kind_of(why) == "forced" for why in reasons),
        has_rows=there,
    )


def call_values(call: Call, names: Mapping[str, str] | None = None, place: Names = _HERE) -> dict[str, object]:
    """What the names in braces of a template stand for.

    ``names`` are what processors are called there, ``place`` is where the target keeps its tables.
    """
    batch, occasion = call.batch, call.occasion
    processors = [(names or {}).get(name, name) for name in batch.processors]
    dates = list(batch.dates)
    about = "-".join((batch.processors[0], str(dates[0])))
    if batch.size > 1:
        about += f"-{_digest(*batch.processors, *batch.dates.to_json())[:8]}"
    datasets = {place.parts(call.tables[name])[-2] for name in batch.processors if name in call.tables}
    return {
        "date": dates[0] if len(dates) == 1 else None,
        "date_from": dates[0],
        "date_to": dates[-1],
        "dates": dates,
        "processor": processors[0] if len(processors) == 1 else None,
        "processors": processors,
        "prefix": place.prefix,
        "dataset": next(iter(datasets)) if len(datasets) == 1 else None,
        "run": occasion.run,
        "batch": batch.number,
        "attempt": occasion.attempt,
        "has_rows": occasion.has_rows,
        "reason": "; ".join(occasion.reasons),
        "forced": occasion.forced,
        "correlation_id": f"{occasion.run}-{about}" if occasion.run else "",
        "idempotency_key": _digest(occasion.run_key, *batch.processors, *batch.dates.to_json()) if occasion.run_key else "",
    }


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]
