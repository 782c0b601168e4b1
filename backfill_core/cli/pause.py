"""``backfill pause``."""

from __future__ import annotations

import click

from backfill_core.cli.options import target_option
from backfill_core.events import Control


@click.command("pause")
@click.argument("run", required=False)
@target_option
@click.pass_obj
def command(project: str, run: str | None, target: str | None) -> None:
    """Ask RUN (default: the latest) to start nothing new. What is in flight comes home, and it waits for continue."""
    from backfill_core.cli.instructing import tell

    tell(project, target, run, Control.PAUSE)
