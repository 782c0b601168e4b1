"""``backfill continue``."""

from __future__ import annotations

import click

from backfill_core.cli.options import target_option
from backfill_core.events import Control


@click.command("continue")
@click.argument("run", required=False)
@target_option
@click.pass_obj
def command(project: str, run: str | None, target: str | None) -> None:
    """Let RUN (default: the latest) go on after a pause."""
    from backfill_core.cli.instructing import tell

    tell(project, target, run, Control.CONTINUE)
