"""``backfill status``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from backfill_core.cli.options import target_option


@click.command("status")
@click.argument("run", required=False)
@target_option
@click.pass_obj
def command(project: str, run: str | None, target: str | None) -> None:
    """Where RUN (default: the latest) stands. Reads the journal, never the warehouse."""
    from backfill_core.cli.runs import read_run
    from backfill_core.project.session import open_place
    from backfill_core.reports.run_texts import status_lines

    state, alive = read_run(open_place(Path(project), target), run)
    click.echo("\n".join(status_lines(state, datetime.now(UTC), alive=alive)))
