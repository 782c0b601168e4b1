"""``backfill gaps``."""

from __future__ import annotations

import click

from backfill_core.cli.options import Ask, asks
from backfill_core.cli.output import warn
from backfill_core.cli.sections import Sectioned
from backfill_core.coverage import TO_DO, State
from backfill_core.errors import BadUsage

_LACKING = (State.MISSING, State.PARTIAL, State.INVALID, State.STALE, State.PENDING)


@click.command("gaps", cls=Sectioned)
@asks
@click.option("--state", "words", metavar="WORD,WORD", help="Only these states (default: missing,partial,invalid).")
@click.option("--format", "shape", type=click.Choice(["csv", "json"]), default="csv", help="Both are read by --dates-file.")
def command(ask: Ask, words: str | None, shape: str) -> None:
    """What is missing, as a list for other tools and for --dates-file."""
    from backfill_core.planning.asked import asked_dates
    from backfill_core.project.look import look
    from backfill_core.project.session import open_project
    from backfill_core.reports.gap_lists import gaps, gaps_csv, gaps_json

    states = _states(words)
    session = open_project(ask.project, ask.target)
    with session.warehouse(read_only=True) as warehouse:
        looked = look(session, warehouse, ask.asking)
    warn(looked.warnings)
    chosen = session.pipeline.chosen(looked.request.through, looked.request.processors)
    found = gaps(looked.coverage, chosen, states, asked_dates(looked.request))
    click.echo(gaps_json(found) if shape == "json" else gaps_csv(found), nl=False)


def _states(words: str | None) -> tuple[State, ...]:
    if words is None:
        return TO_DO
    asked = [word.strip() for word in words.split(",") if word.strip()]
    wrong = [word for word in asked if word not in _LACKING]
    if wrong or not asked:
        what = f'"{wrong[0]}" is no state of a gap' if wrong else "--state is empty"
        raise BadUsage(message=f"{what}. Type one or more of: {','.join(_LACKING)}")
    return tuple(state for state in _LACKING if state in asked)
