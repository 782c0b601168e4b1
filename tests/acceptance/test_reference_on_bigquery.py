"""The reference pipeline's own statements on BigQuery: how many a plan takes, and that each reads the span's partitions alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from backfill_core.dates import DateSet, Span
from backfill_core.model.runs import Sql
from backfill_core.model.table import Table
from backfill_core.observe import reach_of, read_calendars, table_questions
from backfill_core.project.look import Asking, look
from backfill_core.project.session import Session, open_project
from backfill_core.queries.asking import sql_path, tables_named
from backfill_core.queries.dialect import BIGQUERY, Names, Query
from backfill_core.queries.named import named
from backfill_core.queries.replacing import replacing
from backfill_core.testing.bigquery_server import BigQueryServer
from backfill_core.testing.local_tables import make_tables
from projects import copy_of_reference

SPAN = Span(date(2024, 10, 22), date(2025, 4, 13))
LONG_AGO = date(2019, 11, 5)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, BigQueryServer]]:
    """The reference project before a server in which every table holds rows of another year alone."""
    project = copy_of_reference(tmp_path_factory.mktemp("reference"), "2024-10-22")
    with BigQueryServer("local-cloud") as server:
        with (project / "pyproject.toml").open("a", encoding="utf-8") as settings:
            settings.write(f'api_endpoint = "{server.url}"\n')  # of the last target, which is gcp
        opened = open_project(project, "gcp")
        make_tables(server, opened.pipeline, Names(project="local-cloud"))
        days = [SPAN.first + timedelta(days=n) for n in range((SPAN.last - SPAN.first).days + 1)]
        games = [{"game_date": day, "game_id": f"002240{n:04}", "season": "2024-25"} for n, day in enumerate(days)]
        server.engine.load("nba_raw", "nbac_schedule", [game | {"game_type": "002"} for game in games])
        assert len(read_calendars(opened.pipeline, opened.landing, SPAN)["nba"].expected) == len(games)
        server.engine.create("nba_raw", "nbac_schedule", server.engine.tables["nba_raw", "nbac_schedule"])  # empty again
        for (dataset, name), held in server.engine.tables.items():
            stamps = {column: datetime(2019, 11, 6, tzinfo=UTC) for column, kind in held.columns.items() if kind == "TIMESTAMP"}
            dates = {column: LONG_AGO for column, kind in held.columns.items() if kind == "DATE"}
            server.engine.load(dataset, name, [dates | stamps] * 3)
        yield opened, server


#: Tables that BigQuery answers no question about unless it filters their partitions.
FILTERED = {
    "bdl_player_boxscores",
    "nbac_schedule",
    "team_offense_game_summary",
    "ml_feature_store_v2",
    "player_prop_predictions",
}


def test_declared_tables_are_partitioned_by_their_dates_and_want_a_filter_where_the_real_ones_do(
    session: tuple[Session, BigQueryServer],
) -> None:
    opened, server = session
    tables = [table for processor in opened.pipeline.processors.values() for table in processor.tables.values()]
    held = {table.name: server.engine.tables[table.dataset, table.short] for table in tables}
    assert {table.name: table.date for table in tables} == {name: each.partition for name, each in held.items()}
    assert {name.partition(".")[2] for name, each in held.items() if each.require_filter} == FILTERED
    assert opened.pipeline.processors.keys() >= FILTERED


def test_a_season_is_planned_within_the_budget_and_reads_no_partition_of_another(session: tuple[Session, BigQueryServer]) -> None:
    opened, server = session
    calendars = read_calendars(opened.pipeline, opened.landing, SPAN)
    (schedule,) = server.sent("ask")  # the one query of a calendar: it has been read, and is not asked for again
    assert "`nbac_schedule`" in schedule.text and "BETWEEN @first_t AND @last_t" in schedule.text
    server.jobs.clear()
    questions = table_questions(opened.pipeline, calendars, reach_of(opened.pipeline, calendars, SPAN))
    budget = sum(question.queries for about in questions.values() for question in about.values())
    datasets = {table.dataset for processor in opened.pipeline.processors.values() for table in processor.tables.values()}
    with opened.warehouse(read_only=True) as warehouse:
        look(opened, warehouse, Asking(first=SPAN.first, last=SPAN.last, today=date(2025, 5, 1)))
        asked = server.sent("ask")
        assert warehouse.asked == len(asked) <= budget + len(datasets)
        for job in asked:
            if "INFORMATION_SCHEMA" not in job.text:
                told = server.insert({"configuration": {**job.config, "dryRun": True}})
                assert told["statistics"]["totalBytesProcessed"] == "0", job.text
        whole = Query("SELECT game_date FROM `local-cloud`.`nba_analytics`.`player_game_summary`", {})
        assert warehouse.jobs.dry_run(whole, within=5).total_bytes_processed == 3 * 8, "what is not pruned would show"  # type: ignore[union-attr]


def test_no_file_of_ours_reads_more_than_its_dates_and_windows(session: tuple[Session, BigQueryServer]) -> None:
    opened, server = session
    names, dates = Names(project="local-cloud"), DateSet.of_span(Span(date(2025, 1, 1), date(2025, 1, 10)))
    seen = 0
    with opened.warehouse(read_only=True) as warehouse:
        for name, processor in opened.pipeline.processors.items():
            spec = processor.spec_for("local")  # a file is GoogleSQL on every target
            if not isinstance(spec, Sql):
                continue
            file = sql_path(opened.pipeline, name, spec.file)
            upstreams = (up for edge in opened.pipeline.edges_into[name] for up in edge.upstreams)
            text = (opened.root / file).read_text(encoding="utf-8")
            select = named(text, tables_named(opened.pipeline, (name, *upstreams)), BIGQUERY, names)
            query = Query(select, {"date_from": dates.span.first, "date_to": dates.span.last})
            told = warehouse.jobs.dry_run(query, within=5)  # type: ignore[union-attr]
            assert told.total_bytes_processed == 0, file
            table = processor.writes
            assert isinstance(table, Table)
            columns = [column.name for column in told.schema or ()]
            script = replacing(query.text, columns, table, dates, names)
            config = {"query": {"query": script.text, "queryParameters": _parameters(script)}, "dryRun": True}
            assert server.insert({"configuration": config})["statistics"]["totalBytesProcessed"] == "0", file
            seen += 1
    assert seen > 5


def _parameters(query: Query) -> list[object]:
    from backfill_core.adapters.bigquery_jobs import _parameter

    return [_parameter(name, value).to_api_repr() for name, value in query.params.items()]
