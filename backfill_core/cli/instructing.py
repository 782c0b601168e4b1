"""What the commands that ask something of a run have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backfill_core.cli.output import say
from backfill_core.errors import BadUsage
from backfill_core.events import Control


def tell(
    project: str,
    target: str | None,
    run: str | None,
    control: Control,
    *,
    concurrency: int | None = None,
    caps: Mapping[str, int] | None = None,
) -> None:
    """Asks it, and prints what the run answered. Raises BadUsage with the reason where it cannot be done."""
    from backfill_core.project.instructing import instruct
    from backfill_core.project.session import open_place
    from backfill_core.reports.event_texts import instructed_line
    from backfill_core.reports.pace_texts import flying
    from backfill_core.reports.words import plural

    place = open_place(Path(project), target)
    state, answer = instruct(place, run, control, concurrency=concurrency, caps=caps)
    if answer is None:
        lines = [f"asked run {state.name} to {control}; it has not answered yet"]
    elif answer.refused:
        raise BadUsage(message=answer.refused)
    else:
        lines = [f"run {state.name} {instructed_line(answer)}"]
        if control in (Control.PAUSE, Control.CANCEL):
            lines.append(f"{plural(flying(state), 'unit')} in flight come home")
    paused = control is Control.PAUSE and answer is not None
    lines.append(f"next: backfill continue {state.name}" if paused else f"next: backfill status {state.name} --watch")
    say(lines)
