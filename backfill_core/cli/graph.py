"""``backfill graph``."""

from __future__ import annotations

from pathlib import Path

import click

from backfill_core.cli.options import target_option
from backfill_core.cli.output import say


@click.command("graph")
@target_option
@click.pass_obj
def command(project: str, target: str | None) -> None:
    """Layers and processors in order, and what each reads."""
    from backfill_core.project.session import open_project
    from backfill_core.reports.words import plural

    session = open_project(Path(project), target)
    pipeline = session.pipeline
    lines = [f"graph  {session.target_name}  {session.root.name}  {plural(len(pipeline.processors), 'processor')}"]
    for layer in pipeline.layers:
        aliases = f" ({', '.join(layer.aliases)})" if layer.aliases else ""
        after = f"  after {', '.join(layer.after)}" if layer.after else ""
        lines.append(f"{layer.name}{aliases}{after}")
        for processor in pipeline.within(layer.name):
            written = [processor.writes.name, *(part.table.name for part in processor.also)]
            lines.append(f"  {processor.name} -> {', '.join(written)}")
            for edge in pipeline.edges_into[processor.name]:
                lines.append(f"    {edge.kind:<5} {' or '.join(edge.upstreams)} ({edge.window})")
    say([*lines, "next: backfill coverage"])
