"""The statements that a command sends, for a person who wants to see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from backfill_core.graph import Pipeline

if TYPE_CHECKING:
    from backfill_core.project.targets import OpenWarehouse


@contextmanager
def sql_shown(warehouse: OpenWarehouse | None, pipeline: Pipeline, wanted: bool) -> Iterator[None]:  # a flag of the command line
    """Prints what is sent within, also what fails: the schema's first, then the processors' in their order."""
    if not wanted or warehouse is None:
        yield
        return
    from backfill_core.queries.readable import statement_lines

    warehouse.statements = []
    try:
        yield
    finally:
        # Questions go side by side, so that they were kept in any order.
        rank = {name: place for place, name in enumerate(pipeline.processors, start=1)}
        for asker, query in sorted(warehouse.statements, key=lambda sent: rank.get(sent[0], 0)):
            click.echo("\n".join(statement_lines(asker, query)), err=True)
