"""``backfill retry``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backfill_core.cli.carrying import How, carries_out
from backfill_core.cli.options import target_option
from backfill_core.cli.sections import Sectioned
from backfill_core.errors import BadUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
    from backfill_core.coverage import Coverage
    from backfill_core.dates import DateSet
    from backfill_core.plan import Plan, Request
    from backfill_core.project.session import Session


@click.command("retry", cls=Sectioned)
@click.argument("run", required=False)
@click.option("--failed", is_flag=True, help="All that failed (default).")
@click.option("--cause", metavar="TEXT", help='Only what failed with this in its message, such as "HTTP 503".')
@target_option
@carries_out
@click.pass_obj
def command(project: str, run: str | None, failed: bool, cause: str | None, target: str | None, how: How) -> None:
    """Carry out again just those units that failed in RUN (default: the latest), as far as they still lack anything.

    Those too that failed the same way again and again, which execute holds back.
    """
    from backfill_core.cli.carrying import carry_out_plan
    from backfill_core.events import Word
    from backfill_core.project.past_runs import read_run
    from backfill_core.project.session import open_place, open_project
    from backfill_core.reports.causes import clusters, lost_units

    if cause is not None and not cause.strip():
        raise BadUsage(message="--cause is empty: every message holds that. Type a part of one, or take it away")
    if failed and cause:
        raise BadUsage(message="--failed means all that failed, --cause a part of it. Type one of them")
    state, _ = read_run(open_place(Path(project), target), run)
    assert state.plan is not None
    words = (Word.FAILED, Word.EXHAUSTED, Word.DECLINED)
    lost = lost_units(state, words, cause)
    if not lost:
        causes = "; ".join(each.told for each in clusters(state, words)[:3])
        told = f' with "{cause}". Causes: {causes}' if causes else ""
        raise BadUsage(message=f"nothing failed in run {state.name}{told}")
    session = open_project(Path(project), state.plan.request.target)
    again = f"backfill retry {state.name}" + (f' --cause "{cause}"' if cause else "")
    planning = partial(_plan, session, request=state.plan.request, lost=lost, doing=again)
    carry_out_plan(session, planning, replace(how, retry_exhausted=True), again=again, left=f"{again} --dry-run")


def _plan(
    session: Session, warehouse: DuckDBWarehouse, request: Request, lost: Mapping[str, DateSet], doing: str
) -> tuple[Plan, Coverage, list[str]]:
    from backfill_core.cli.resume import plan_request
    from backfill_core.dates import DateSet
    from backfill_core.planning.selection import just
    from backfill_core.reports.words import dates_words, plural

    plan, coverage, lines = plan_request(session, warehouse, just(session.pipeline, request, lost), doing)
    planned, blocked = plan.planned(), plan.blocked_dates()
    said = []
    for name, dates in lost.items():
        gone = dates - blocked.get(name, DateSet()) - (planned[name].dates if name in planned else DateSet())
        if gone:
            said.append(f"{name}: {plural(len(gone), 'unit')} no longer lacking: {dates_words(gone)}")
    return plan, coverage, [*said, *lines]
