"""``backfill runs``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from backfill_core.cli.numbers import Whole
from backfill_core.cli.options import format_option, target_option
from backfill_core.cli.output import say


@click.command("runs")
@click.option("--limit", type=Whole(), default=20, metavar="N", help="The latest so many (default: 20).")
@format_option
@target_option
@click.pass_obj
def command(project: str, limit: int, shape: str, target: str | None) -> None:
    """The runs of this project, latest first. Reads the journal, never the warehouse."""
    from backfill_core.project.past_runs import read_runs
    from backfill_core.project.session import open_place
    from backfill_core.reports.runs_texts import runs_json, runs_lines

    found = read_runs(open_place(Path(project), target), limit)
    if shape == "json":
        click.echo(json.dumps(runs_json(found), indent=1))
    else:
        say(runs_lines(found, datetime.now(UTC)))
