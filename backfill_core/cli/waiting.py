"""Opening a warehouse that somebody may hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from backfill_core.cli.output import say
from backfill_core.errors import WarehouseHeld

if TYPE_CHECKING:
    from backfill_core.plan import Plan
    from backfill_core.project.session import Session
    from backfill_core.project.targets import OpenWarehouse


class Waiting:
    """Says for whom it waits, once each."""

    def __init__(self) -> None:
        self._told: object = None

    def a_while(self, held: WarehouseHeld) -> None:
        if self._told != held.facts["look"]:
            with suppress(BrokenPipeError):  # whoever watched may have left
                say([f"waiting for {held.facts['who']} to let go of {held.facts['what']}. Ctrl-C leaves"])
            self._told = held.facts["look"]
        time.sleep(0.5)


def waited_for_tables(session: Session, plan: Plan, *, wait: bool) -> bool:
    """Whether another run held what a run of the plan leases, told once it has let go. Raises WarehouseHeld without ``wait``."""
    from backfill_core.project.past_runs import reading

    waiting, waited = Waiting(), False
    while True:
        with reading(session) as journal:
            held = journal.in_the_way(session.holds(plan.planned()))
        if held is None:
            return waited
        if not wait:
            raise held
        waiting.a_while(held)
        waited = True


@contextmanager
def free_warehouse(session: Session, *, read_only: bool, wait: bool) -> Iterator[OpenWarehouse]:
    """The warehouse, opened; with ``wait`` as soon as whoever holds it lets go, else WarehouseHeld is raised."""
    with ExitStack() as stack:
        waiting = Waiting()
        while True:
            try:
                warehouse = stack.enter_context(session.warehouse(read_only=read_only))
                break
            except WarehouseHeld as held:
                if not wait:
                    raise
                waiting.a_while(held)
        yield warehouse
