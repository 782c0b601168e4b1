"""The statement that a call of an `Sql` processor rests on: what its file computes for some dates, on a target."""

from __future__ import annotations

from backfill_core.dates import DateSet
from backfill_core.model.runs import Sql
from backfill_core.project.session import Session
from backfill_core.queries.asking import sql_path, tables_named
from backfill_core.queries.dialect import BIGQUERY, Names, Query
from backfill_core.queries.named import named


def call_query(session: Session, names: Names, name: str, dates: DateSet) -> tuple[str, Query]:
    """The path of a processor's file, from the project's root, and its SELECT over the span of those dates on BigQuery."""
    pipeline = session.pipeline
    spec = pipeline.processors[name].spec_for(pipeline.runtime)
    assert isinstance(spec, Sql)
    file = sql_path(pipeline, name, spec.file)
    tables = tables_named(pipeline, (name, *(up for edge in pipeline.edges_into[name] for up in edge.upstreams)))
    text = named((session.root / file).read_text(encoding="utf-8"), tables, BIGQUERY, names)
    return file, Query(text, {"date_from": dates.span.first, "date_to": dates.span.last})
