"""``backfill resume``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backfill_core.cli.carrying import How, carries_out
from backfill_core.cli.options import target_option
from backfill_core.cli.sections import Sectioned

if TYPE_CHECKING:
    from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
    from backfill_core.coverage import Coverage
    from backfill_core.plan import Plan, Request
    from backfill_core.project.session import Session


@click.command("resume", cls=Sectioned)
@click.argument("run", required=False)
@target_option
@carries_out
@click.pass_obj
def command(project: str, run: str | None, target: str | None, how: How) -> None:
    """Plan anew what RUN (default: the last that did not finish) was asked for, and carry it out.

    The same dates and processors; what --force was to rewrite stays what was older when it was first asked for.
    """
    from backfill_core.cli.carrying import carry_out_plan
    from backfill_core.project.past_runs import unfinished
    from backfill_core.project.session import open_place, open_project

    state = unfinished(open_place(Path(project), target), run)
    assert state.plan is not None
    session = open_project(Path(project), state.plan.request.target)
    again = f"backfill resume {state.name}"
    planning = partial(plan_request, session, request=state.plan.request, doing=again)
    carry_out_plan(session, planning, how, again=again, left=f"{again} --dry-run")


def plan_request(session: Session, warehouse: DuckDBWarehouse, request: Request, doing: str) -> tuple[Plan, Coverage, list[str]]:
    """What an earlier request comes to now, and that in words."""
    from backfill_core.project.carry_out import plan_again
    from backfill_core.reports.plan_texts import plan_lines

    plan, looked = plan_again(session, warehouse, request)
    head = session.head(f"{doing.removeprefix('backfill ')}  {plan.hash[:8]}", looked.coverage.span, "")
    return plan, looked.coverage, plan_lines(plan, session.pipeline, looked.coverage, head, doing)
