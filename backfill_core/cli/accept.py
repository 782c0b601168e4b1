"""``backfill accept``."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import DATES, target_option, today_option
from backfill_core.cli.output import say
from backfill_core.cli.reasons import Reason
from backfill_core.dates import DateSet
from backfill_core.errors import BadUsage


@click.command("accept")
@click.argument("processor")
@click.argument("dates", type=DATES, metavar="D,D..D")
@click.option("--reason", type=Reason(), required=True, metavar="TEXT", help="Why they are good as they are.")
@today_option
@target_option
@click.pass_obj
def command(project: str, processor: str, dates: DateSet, reason: str, today: date | None, target: str | None) -> None:
    """Record stale dates of PROCESSOR as reviewed: they are complete until what they were computed from changes again."""
    from backfill_core.coverage import State
    from backfill_core.model.reviews import Accepted
    from backfill_core.planning.inputs import newest_inputs
    from backfill_core.project.look import Asking, look
    from backfill_core.project.review_file import append_reviews, who_asks
    from backfill_core.project.reviews import FILE
    from backfill_core.project.session import open_project
    from backfill_core.reports.words import dates_words

    session = open_project(Path(project), target)
    name = session.pipeline.processor(processor).name
    with session.warehouse(read_only=True) as warehouse:
        looked = look(session, warehouse, Asking(today=today, dates=dates))
    covered = looked.coverage.processors[name]
    others = [f"{dates_words(found & dates)} {state}" for state, found in covered.states.items() if found & dates]
    if not dates <= covered.states[State.STALE]:
        told = ", ".join(words for words in others if not words.endswith(f" {State.STALE}"))
        raise BadUsage(message=f"only stale dates can be accepted. {name}: {told}")
    accepted = Accepted(
        processor=name,
        reason=reason,
        who=who_asks(session.root),
        when=looked.request.today,
        target=session.target_name,
        newest=newest_inputs(session.pipeline, looked.coverage, name, dates),
    )
    append_reviews(session.root, [accepted], session.pipeline)
    lines = [f"accepted: {name} {dates_words(dates)}, until their inputs change again", f"written to {FILE}: commit it"]
    say([*lines, "next: backfill plan"])
