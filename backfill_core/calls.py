"""A batch as its runner gets it."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.table import Files
from backfill_core.model.units import Batch
from backfill_core.ports import Call
from backfill_core.queries.asking import question_about, tables_named


def make_call(pipeline: Pipeline, calendars: Mapping[str, CalendarDays], batch: Batch, *, allow_shrink: bool = False) -> Call:
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
    return Call(
        batch=batch,
        processor=processor,
        spec=spec,
        question=question_about(pipeline, processor, calendars, batch.dates.span),
        tables=tables_named(pipeline, named),
        sources={each: files for each, files in sources.items() if isinstance(files, Files)},
        seasons=calendar.seasons,
        allow_shrink=allow_shrink,
    )
