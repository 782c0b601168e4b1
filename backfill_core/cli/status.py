"""``backfill status``."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backfill_core.cli.options import format_option, target_option
from backfill_core.cli.output import fitted

if TYPE_CHECKING:
    from backfill_core.project.past_runs import Watched


@click.command("status")
@click.argument("run", required=False)
@click.option("--watch", is_flag=True, help="Show it again and again until the run ends; Ctrl-C leaves, and the run goes on.")
@click.option("--every", type=click.FloatRange(0.1, 3600), default=2.0, metavar="SECONDS", help="With --watch (default: 2).")
@format_option
@target_option
@click.pass_obj
def command(project: str, run: str | None, watch: bool, every: float, shape: str, target: str | None) -> None:
    """Where RUN (default: the latest) stands. Reads the journal, never the warehouse."""
    from backfill_core.project.past_runs import Watched
    from backfill_core.project.session import open_place

    place = open_place(Path(project), target)
    watched = Watched(place, run)
    if not watch:
        click.echo(_look(watched, shape)[1])
    elif sys.stdout.isatty() and shape == "text":
        _redraw(watched, every)
    else:
        _repeat(watched, every, shape)


def _look(watched: Watched, shape: str) -> tuple[bool, str]:
    """(whether the run goes on, its status as text)."""
    from backfill_core.reports.run_texts import status_json, status_lines

    state, alive = watched.look()
    now = datetime.now(UTC)
    goes_on = alive and state.ended is None
    if shape == "json":
        return goes_on, json.dumps(status_json(state, now, alive=alive), indent=1)
    return goes_on, "\n".join(fitted(status_lines(state, now, alive=alive), sys.stdout))


def _repeat(watched: Watched, every: float, shape: str) -> None:
    """Without a terminal: one status after the other, an empty line between."""
    try:
        while True:
            goes_on, text = _look(watched, shape)
            click.echo(text)
            if not goes_on:
                return
            click.echo()
            time.sleep(every)
    except KeyboardInterrupt:
        return


def _redraw(watched: Watched, every: float) -> None:
    """On a terminal: always at the same place."""
    from rich.live import Live
    from rich.text import Text

    try:
        with Live(auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                goes_on, text = _look(watched, "text")
                live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
                if not goes_on:
                    return
                time.sleep(every)
    except KeyboardInterrupt:
        return
