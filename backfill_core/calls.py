"""A batch as its runner gets it."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.table import Files
from backfill_core.model.units import Batch
from backfill_core.planning.contents import content_column
from backfill_core.planning.judge import window_map
from backfill_core.ports import Call
from backfill_core.queries.asking import questions_about, tables_named


def make_call(pipeline: Pipeline, calendars: Mapping[str, CalendarDays], batch: Batch) -> Call:
    """The batch with all that a runner has to know: what to do, what to ask afterwards, and the tables and files it may read."""
    (name,) = batch.processors
    processor = pipeline.processors[name]
    spec = processor.spec_for(pipeline.runtime)
    assert spec is not None, "the graph was built for this runtime"
    named = (name, *(up for edge in pipeline.edges_into[name] for up in edge.upstreams))
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
    )
