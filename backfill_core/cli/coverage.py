"""``backfill coverage``."""

from __future__ import annotations

import json
from typing import Literal

import click

from backfill_core.cli.options import (
    Ask,
    asks_span,
    format_option,
    last_observed_option,
    observe_option,
    observing,
    show_sql_option,
)
from backfill_core.cli.output import say, warn
from backfill_core.cli.sections import Sectioned


@click.command("coverage", cls=Sectioned)
@asks_span
@click.option("--by", type=click.Choice(["season", "month", "date"]), help="Split the span, and show what each part lacks.")
@observe_option
@last_observed_option
@show_sql_option
@format_option
def command(
    ask: Ask, by: str | None, observed: Literal["rows", "partitions"], last_observed: bool, show_sql: bool, shape: str
) -> None:
    """What every layer and table holds, and how much it could hold at most."""
    from backfill_core.cli.shown import sql_shown
    from backfill_core.project.look import look
    from backfill_core.project.session import open_project
    from backfill_core.reports.coverage_texts import coverage_lines
    from backfill_core.reports.groups import grouped
    from backfill_core.reports.jsons import coverage_json

    ask = observing(ask, observed, last_observed)
    session = open_project(ask.project, ask.target)
    with session.looked_through(last_observed=last_observed) as warehouse, sql_shown(warehouse, session.pipeline, show_sql):
        looked = look(session, warehouse, ask.asking)
    warn(looked.warnings)
    groups = grouped(looked.coverage, by)
    if shape == "json":
        found = coverage_json(looked.pipeline, looked.coverage, groups)
        click.echo(
            json.dumps(found | ({"observed": ask.asking.observed, "notes": looked.notes} if looked.notes else {}), indent=1)
        )
        return
    head = session.head("coverage", looked.coverage.span, looked.ends)
    say(coverage_lines(looked.coverage, looked.pipeline, head, groups, looked.notes, ask.beside("plan")))
