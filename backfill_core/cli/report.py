"""``backfill report``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from backfill_core.cli.options import target_option
from backfill_core.cli.output import say


@click.command("report")
@click.argument("run", required=False)
@target_option
@click.option("--format", "shape", type=click.Choice(["markdown", "json"]), default="markdown")
@click.pass_obj
def command(project: str, run: str | None, target: str | None, shape: str) -> None:
    """The completion report of RUN (default: the latest); while it goes on, how to take it over. Reads the journal alone."""
    from backfill_core.project.past_runs import read_run
    from backfill_core.project.session import open_place
    from backfill_core.reports.completion import report_json, report_markdown

    place = open_place(Path(project), target)
    state, alive = read_run(place, run)
    if shape == "json":
        click.echo(json.dumps(report_json(state, alive=alive), indent=1))
    else:
        say(report_markdown(state, datetime.now(UTC), alive=alive, folder=str(place.root)), whole=[str(place.root)])
