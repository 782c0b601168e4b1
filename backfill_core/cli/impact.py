"""``backfill impact``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import DATES, format_option, target_option, today_option
from backfill_core.cli.output import say
from backfill_core.dates import DateSet
from backfill_core.errors import BadUsage


@click.command("impact")
@click.argument("processor")
@click.argument("dates", type=DATES, metavar="D,D..D")
@today_option
@target_option
@format_option
@click.pass_obj
def command(project: str, processor: str, dates: DateSet, today: date | None, target: str | None, shape: str) -> None:
    """What a re-run of those dates of PROCESSOR spoils downstream, directly and further."""
    from backfill_core.planning.impact import spoiled
    from backfill_core.project.look import Asking, look
    from backfill_core.project.session import open_project
    from backfill_core.reports.impact_texts import impact_json, impact_lines

    session = open_project(Path(project), target)
    name = session.pipeline.processor(processor).name
    day = session.today(today)
    if dates.first >= day:
        raise BadUsage(message=f"{dates.first} is not before today, {day}: nothing can rest on it yet")
    with session.warehouse(read_only=True) as warehouse:
        # What is spoiled lies on the dates and after them, up to the last that can hold rows.
        looked = look(session, warehouse, Asking(first=dates.first, today=today))
    coverage = looked.coverage
    first = dates.first
    dates &= coverage.processors[name].expected
    if not dates:
        raise BadUsage(message=f"{name} expects nothing on the dates given. Look: backfill coverage --from {first} --to {first}")
    direct = spoiled(session.pipeline, coverage.calendars, coverage, name, dates, direct=True)
    whole = spoiled(session.pipeline, coverage.calendars, coverage, name, dates)
    if shape == "json":
        click.echo(json.dumps(impact_json(name, dates, direct, whole), indent=1))
        return
    head = session.head("impact", coverage.span, looked.ends)
    say(impact_lines(name, dates, direct, whole, coverage, head))
