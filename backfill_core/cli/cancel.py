"""``backfill cancel``."""

from __future__ import annotations

import click

from backfill_core.cli.options import target_option
from backfill_core.events import Control


@click.command("cancel")
@click.argument("run", required=False)
@target_option
@click.pass_obj
def command(project: str, run: str | None, target: str | None) -> None:
    """Ask RUN (default: the latest) to stop, as the first Ctrl-C does: what is in flight comes home, and it exits 130."""
    from backfill_core.cli.instructing import tell

    tell(project, target, run, Control.CANCEL)
