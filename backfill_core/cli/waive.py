"""``backfill waive``."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import DATES, Day, target_option, today_option
from backfill_core.cli.output import say
from backfill_core.cli.reasons import Reason
from backfill_core.dates import DateSet
from backfill_core.errors import BadUsage


@click.command("waive")
@click.argument("processor", required=False)
@click.argument("dates", type=DATES, metavar="[D,D..D]", required=False)
@click.option("--from-run", "run", metavar="RUN", help="Waive what that run tried in vain, or found missing and left so.")
@click.option("--reason", type=Reason(), required=True, metavar="TEXT", help="Why nobody waits for them.")
@click.option("--until", type=Day(), help="The last day on which this holds (default: for good).")
@today_option
@target_option
@click.pass_obj
def command(
    project: str,
    processor: str | None,
    dates: DateSet | None,
    run: str | None,
    reason: str,
    until: date | None,
    today: date | None,
    target: str | None,
) -> None:
    """Write down that nobody waits for those dates of PROCESSOR: they are not expected, and block nothing."""
    from backfill_core.model.reviews import Waiver
    from backfill_core.project.past_runs import read_run
    from backfill_core.project.review_file import append_reviews, who_asks
    from backfill_core.project.reviews import FILE
    from backfill_core.project.session import open_project
    from backfill_core.project.waiving import check_waived, resting_on
    from backfill_core.reports.remaining import given_up
    from backfill_core.reports.words import dates_words

    if (processor is None or dates is None) == (run is None) or (run and processor):
        raise BadUsage(message="type either PROCESSOR and its dates, or --from-run RUN")
    session = open_project(Path(project), target)
    day = session.today(today)
    if until is not None and until < day:
        raise BadUsage(message=f"--until {until} is before today, {day}")
    if run:
        state, _ = read_run(session, run)
        if state.ended is None or not state.ended.after:
            raise BadUsage(message=f"run {run} has not ended, or could not look at what it left. Look: backfill status {run}")
        found = given_up(state)
        if not found:
            raise BadUsage(message=f"run {run} left nothing to waive")
    else:
        assert processor is not None and dates is not None
        found = {processor: dates}
    found = check_waived(session, found, day)
    who = who_asks(session.root)
    waivers = [Waiver(processor=n, dates=d, reason=reason, who=who, when=day, until=until) for n, d in found.items()]
    append_reviews(session.root, waivers, session.pipeline)
    lines = [f"waived: {name} {dates_words(chosen)}" for name, chosen in found.items()]
    if left := resting_on(session.pipeline, found.keys()):
        lines.append(f"still expected, and tried without: {', '.join(left)}. Where that comes to nothing, waive it too")
    say([*lines, f"written to {FILE}: commit it", "next: backfill plan"])
