"""``backfill plan``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import chosen_dates, format_option, selection_options, span_of, span_options
from backfill_core.errors import BadUsage


@click.command("plan")
@span_options
@selection_options
@click.option("--out", metavar="FILE", help="Write the plan as JSON, for execute --plan.")
@format_option
@click.pass_obj
def command(
    project: str,
    first: date | None,
    last: date | None,
    today: date | None,
    target: str | None,
    through: str | None,
    layers: tuple[str, ...],
    processors: tuple[str, ...],
    dates: str | None,
    dates_file: str | None,
    out: str | None,
    shape: str,
) -> None:
    """What is missing, why, and what would be done. Reads; writes nothing but --out."""
    from backfill_core.planning.make_plan import make_plan
    from backfill_core.project.session import open_project
    from backfill_core.project.work import look, request_for
    from backfill_core.reports.texts import plan_lines

    session = open_project(Path(project), target)
    chosen = chosen_dates(dates, dates_file)
    now = session.today(today)
    first, last = span_of(first, last, chosen)
    with session.warehouse(read_only=True) as warehouse:
        coverage = look(session, warehouse, first=first, last=last, today=now)
    request = request_for(session, coverage, today=now, through=through, layers=layers, processors=processors, dates=chosen)
    plan = make_plan(session.pipeline, coverage, request)
    body = json.dumps(plan.to_json(), indent=1) + "\n"
    if out:
        try:
            Path(out).write_text(body, encoding="utf-8")
        except OSError as error:
            raise BadUsage(message=f"cannot write {out}: {error.strerror}") from error
    if shape == "json":
        click.echo(body, nl=False)
        return
    for warning in session.warnings:
        click.echo(f"warning: {warning}", err=True)
    lines = plan_lines(plan, session.pipeline, coverage, session.settings.timezone)
    if out and plan.units:
        lines[-1] = f"next: backfill execute --plan {out}"
    click.echo("\n".join(lines))
