"""A service that lies as the incident's did, and the real command before it."""

from __future__ import annotations

from pathlib import Path

from lying_service import FIVE, check, lying, run, write_project
from query_budget import check_budget, check_pruned

#: Dates of a season.
SEASON = 213
#: The schema of a dataset, and a query for each table: what is compared goes along.
PLAN_QUERIES = 1 + 1 + len(FIVE)


def test_every_lie_of_a_season_is_found_in_queries_that_dates_do_not_raise(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    service = lying(project, SEASON, pace=0.0)
    with service.cloud:
        told = run(project, service)
        check(service, told)
        server = service.cloud.bigquery
        asked = server.sent("ask")
        assert f"queries: {len(asked)} asked, 0 verified inside" in service.said
        check_budget(asked, plan=PLAN_QUERIES, gates=0, tables=len(FIVE), seconds=told["seconds"])
        check_pruned(server, asked)
