"""``backfill coverage``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import format_option, span_options


@click.command("coverage")
@span_options
@click.option("--by", type=click.Choice(["season", "month", "date"]), help="Once for each.")
@format_option
@click.pass_obj
def command(
    project: str,
    first: date | None,
    last: date | None,
    today: date | None,
    target: str | None,
    by: str | None,
    shape: str,
) -> None:
    """What every layer and table holds, and how much it could hold at most."""
    from backfill_core.project.session import open_project
    from backfill_core.project.work import look
    from backfill_core.reports.groups import grouped
    from backfill_core.reports.jsons import coverage_json
    from backfill_core.reports.texts import coverage_lines

    session = open_project(Path(project), target)
    with session.warehouse(read_only=True) as warehouse:
        coverage = look(session, warehouse, first=first, last=last, today=session.today(today))
    if shape == "json":
        click.echo(json.dumps(coverage_json(session.pipeline, coverage), indent=1))
        return
    head = f"coverage  {session.target_name}  {coverage.span} {session.settings.timezone}"
    click.echo("\n".join(coverage_lines(coverage, session.pipeline, head, grouped(coverage, by))))
