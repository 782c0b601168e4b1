"""``backfill config``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from backfill_core.cli.options import format_option
from backfill_core.cli.output import say


@click.command("config")
@format_option
@click.pass_obj
def command(project: str, shape: str) -> None:
    """Every setting, its value and the place it came from. What looks like a secret is masked."""
    from backfill_core.project.settings_sources import find_root, load_settings, origin, read_layers
    from backfill_core.project.shown_settings import leaves, masked

    root = find_root(Path(project).resolve())
    settings, layers = load_settings(root), read_layers(root)
    rows = [(".".join(path), masked(path, value), origin(layers, path)) for path, value in leaves(settings)]
    if shape == "json":
        click.echo(json.dumps([{"setting": name, "value": value, "from": where} for name, value, where in rows], indent=1))
        return
    wide = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{wide}}  {value if value != '' else '-'}  ({where.split()[0]})" for name, value, where in rows]
    say([f"config  {root.name}", *lines, "next: backfill doctor"])
