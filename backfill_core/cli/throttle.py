"""``backfill throttle``."""

from __future__ import annotations

from typing import Any

import click

from backfill_core.cli.numbers import Whole
from backfill_core.cli.options import target_option
from backfill_core.errors import BadUsage
from backfill_core.events import Control


class Cap(click.ParamType[tuple[str, int]]):
    """A service with the calls it may have in flight, as S=N."""

    name = "S=N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        name, _, most = value.partition("=")
        if not name or not most.isdigit() or not int(most):
            self.fail(f'"{value}" is no cap. Type NAME=CALLS, as in predictions=2.', param, ctx)
        return name, int(most)


@click.command("throttle")
@click.argument("run", required=False)
@click.option("--concurrency", type=Whole(1, 256), metavar="N", help="Calls in flight at most.")
@click.option(
    "--service",
    "services",
    type=Cap(),
    multiple=True,
    metavar="S=N",
    help="Calls of a service, processor or table in flight at most; repeatable.",
)
@target_option
@click.pass_obj
def command(
    project: str, run: str | None, concurrency: int | None, services: tuple[tuple[str, int], ...], target: str | None
) -> None:
    """Change how many calls of RUN (default: the latest) are in flight at once. What is over the limit comes home first."""
    from backfill_core.cli.instructing import tell

    if concurrency is None and not services:
        raise BadUsage(message="say how far: --concurrency N, or --service NAME=N")
    tell(project, target, run, Control.THROTTLE, concurrency=concurrency, caps=dict(services))
