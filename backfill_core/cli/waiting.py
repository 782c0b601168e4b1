"""Opening a warehouse that somebody may hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from backfill_core.errors import WarehouseHeld

if TYPE_CHECKING:
    from backfill_core.project.session import Session
    from backfill_core.project.targets import OpenWarehouse


@contextmanager
def free_warehouse(session: Session, *, read_only: bool, wait: bool) -> Iterator[OpenWarehouse]:
    """The warehouse, opened; with ``wait`` as soon as whoever holds it lets go, else WarehouseHeld is raised."""
    with ExitStack() as stack:
        told: object = None
        while True:
            try:
                warehouse = stack.enter_context(session.warehouse(read_only=read_only))
                break
            except WarehouseHeld as held:
                if not wait:
                    raise
                if told != held.facts["look"]:
                    click.echo(f"waiting for {held.facts['who']}\n  to let go of the warehouse. Ctrl-C leaves")
                    told = held.facts["look"]
                time.sleep(0.5)
        yield warehouse
