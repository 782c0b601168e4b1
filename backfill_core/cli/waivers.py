"""``backfill waivers``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import format_option, target_option, today_option
from backfill_core.cli.output import say
from backfill_core.dates import DateSet, union


@click.command("waivers")
@today_option
@target_option
@format_option
@click.pass_obj
def command(project: str, today: date | None, target: str | None, shape: str) -> None:
    """What was waived and accepted, and whether it still holds: active, expired, or useless for being complete anyway."""
    from backfill_core.observe import read_calendars
    from backfill_core.project.session import open_project
    from backfill_core.reports.review_texts import reviews_json, reviews_lines, told

    session = open_project(Path(project), target)
    day = session.today(today)
    dates = union([w.dates for w in session.reviews.waivers])
    dates |= union(DateSet.from_numbers(list(review.newest)) for review in session.accepted)
    span = (dates or DateSet.of(day)).span
    if dates:
        # What the dates would be, had nobody waived them.
        calendars = read_calendars(session.pipeline, session.landing, span)
        with session.warehouse(read_only=True) as warehouse:
            coverage = session.observe(warehouse, calendars, span, day, waive=False)
        listed = told(session.reviews.waivers, session.accepted, coverage, day)
    else:
        listed = []
    if shape == "json":
        click.echo(json.dumps(reviews_json(listed), indent=1))
        return
    say(reviews_lines(listed, session.head("waivers", span, "")))
