"""``backfill logs``."""

from __future__ import annotations

import json
from collections import deque
from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import Day, format_option, target_option
from backfill_core.cli.output import say
from backfill_core.errors import UnknownProcessor, did_you_mean

#: Lines of a call's own log that are shown, the last ones.
_TAIL = 100


@click.command("logs")
@click.argument("run", required=False)
@click.option("--processor", metavar="NAME", help="Only this processor.")
@click.option("--date", "day", type=Day(), help="Only this date.")
@format_option
@target_option
@click.pass_obj
def command(project: str, run: str | None, processor: str | None, day: date | None, shape: str, target: str | None) -> None:
    """What RUN (default: the latest) did, call by call, and what the calls of chosen units said. Times are UTC."""
    from backfill_core.project.past_runs import read_events
    from backfill_core.project.session import open_place
    from backfill_core.reports.event_json import event_json
    from backfill_core.reports.log_texts import About, look_back
    from backfill_core.run_state import RunState

    place = open_place(Path(project), target)
    name, events = read_events(place, run)
    state = RunState.fold(name, events)
    if processor and state.started and processor not in state.started.chosen:
        raise UnknownProcessor(name=processor, hint=did_you_mean(processor, state.started.chosen))
    about = About(processor=processor, day=day)
    found = look_back(name, events, about)
    if shape == "json":
        for event in found.events:
            click.echo(json.dumps({"schema": "backfill.log/1"} | event_json(event, name)))
        return
    say([f"run {name}  {state.started.command if state.started else ''}", *found.lines])
    if not found.lines:
        click.echo("no call and no ending of that")
    for call in found.calls if about else []:
        _show(place.logs / name / f"{call}.log", place.root)
    click.echo(f"next: backfill status {name}")


def _show(path: Path, root: Path) -> None:
    """What a call said, where it left anything: the last lines."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = deque(enumerate(file, start=1), maxlen=_TAIL)
    except FileNotFoundError:
        return
    click.echo(f"{path.relative_to(root)}:")
    if lines and lines[0][0] > 1:
        click.echo(f"  … {lines[0][0] - 1:,} lines before these")
    for _, line in lines:
        click.echo(f"  {line.rstrip()}")
