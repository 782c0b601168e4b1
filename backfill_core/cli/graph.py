"""``backfill graph``."""

from __future__ import annotations

from pathlib import Path

import click

from backfill_core.cli.options import target_option


@click.command("graph")
@target_option
@click.pass_obj
def command(project: str, target: str | None) -> None:
    """Layers and processors in order, and what each reads."""
    from backfill_core.project.session import open_project

    session = open_project(Path(project), target)
    pipeline = session.pipeline
    click.echo(f"graph  {session.target_name}  {session.root.name}  {len(pipeline.processors)} processors")
    for layer in pipeline.layers:
        after = f"  after {', '.join(layer.after)}" if layer.after else ""
        click.echo(f"{layer.name} ({', '.join(layer.aliases)}){after}")
        for processor in pipeline.within(layer.name):
            click.echo(f"  {processor.name} -> {processor.writes.name}")
            for edge in pipeline.edges_into[processor.name]:
                click.echo(f"    {edge.kind:<5} {' or '.join(edge.upstreams)} ({edge.window})")
    click.echo("next: backfill coverage")
