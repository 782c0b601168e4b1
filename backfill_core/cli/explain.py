"""``backfill explain``."""

from __future__ import annotations

import json
from datetime import date

import click

from backfill_core.cli.numbers import Whole
from backfill_core.cli.options import Ask, Day, asks_span, format_option, show_sql_option
from backfill_core.cli.output import say, warn
from backfill_core.cli.sections import Sectioned


@click.command("explain", cls=Sectioned)
@click.argument("processor")
@click.argument("day", type=Day(), metavar="DATE")
@asks_span
@click.option(
    "--limit",
    "most",
    type=Whole(),
    default=20,
    show_default=True,
    metavar="N",
    help="At most so many keys and attempts.",
)
@show_sql_option
@format_option
def command(ask: Ask, processor: str, day: date, most: int, show_sql: bool, shape: str) -> None:
    """Why DATE of PROCESSOR is as it is: what lacks, what it needs, whether it is planned, what was tried.

    It speaks of the plan that `backfill plan` makes for the same span.
    """
    from backfill_core.cli.shown import sql_shown
    from backfill_core.model.units import Unit
    from backfill_core.project.explaining import explained
    from backfill_core.project.session import open_project
    from backfill_core.reports.explain_json import explain_json
    from backfill_core.reports.explain_next import next_command
    from backfill_core.reports.explain_texts import explain_lines

    session = open_project(ask.project, ask.target)
    unit = Unit(session.pipeline.processor(processor).name, day)
    with session.warehouse(read_only=True) as warehouse, sql_shown(warehouse, session.pipeline, show_sql):
        found = explained(session, warehouse, unit, ask.asking, most)
    warn(found.looked.warnings)
    told = found.explanation
    if shape == "json":
        shown = explain_json(told, found.plan.hash, found.attempts, more=found.more, file=found.file)
        click.echo(json.dumps(shown, indent=1))
        return
    words, dated = next_command(told)
    doing = ask.beside(words) if dated else ask.again(words)
    head = session.head("explain", found.looked.request.span, found.looked.ends)
    say(explain_lines(told, found.looked.coverage, head, found.attempts, doing, more=found.more, file=found.file))
