"""``backfill execute``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from backfill_core.cli.carrying import How, carries_out
from backfill_core.cli.options import Ask, asks_work
from backfill_core.cli.sections import Sectioned
from backfill_core.errors import BadUsage
from backfill_core.reports.words import plural

if TYPE_CHECKING:
    from backfill_core.coverage import Coverage
    from backfill_core.plan import Plan
    from backfill_core.project.session import Session
    from backfill_core.project.targets import OpenWarehouse


@click.command("execute", cls=Sectioned)
@asks_work
@click.option("--plan", "plan_file", metavar="FILE", help="Carry out a plan written by plan --out, and nothing else.")
@carries_out
def command(ask: Ask, plan_file: str | None, how: How) -> None:
    """Carry a plan out, layer by layer, through its gates. What a table holds afterwards is what counts as done."""
    from backfill_core.cli.carrying import carry_out_plan
    from backfill_core.project.session import open_project

    if plan_file and ask.typed:
        raise BadUsage(message=f"--plan {plan_file} says already what to do. Take away: {ask.typed}")
    session = open_project(ask.project, ask.target)
    planning = partial(_plan, session, ask=ask, file=plan_file)
    carry_out_plan(session, planning, how, again=ask.again("execute"), left=ask.again("plan"), beside=ask.beside)


def _plan(session: Session, warehouse: OpenWarehouse, ask: Ask, file: str | None) -> tuple[Plan, Coverage, list[str]]:
    """The plan to carry out, the coverage it rests on, and both in words."""
    from backfill_core.planning.make_plan import make_plan
    from backfill_core.project.carry_out import replan
    from backfill_core.project.look import look
    from backfill_core.project.plan_files import read_plan
    from backfill_core.reports.plan_texts import plan_lines

    said = []
    if file:
        plan, looked, moved = replan(session, warehouse, read_plan(file), file)
        said = [f"{name}: {plural(len(gone), 'unit')} became complete since" for name, gone in moved.dropped.items()]
    else:
        looked = look(session, warehouse, ask.asking)
        plan = make_plan(session.pipeline, looked.coverage, looked.request)
    head = session.head(f"execute {plan.hash[:8]}", looked.coverage.span, looked.ends)
    doing = f"backfill execute --plan {file}" if file else ask.again("execute")
    return plan, looked.coverage, [*said, *plan_lines(plan, session.pipeline, looked.coverage, head, doing, beside=ask.beside)]
