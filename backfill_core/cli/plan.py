"""``backfill plan``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from backfill_core.cli.numbers import Whole
from backfill_core.cli.options import (
    Ask,
    asks_work,
    format_option,
    last_observed_option,
    observe_option,
    observing,
    show_sql_option,
)
from backfill_core.cli.output import say, warn
from backfill_core.cli.sections import SectionedGroup
from backfill_core.errors import BadUsage, ExitCode

if TYPE_CHECKING:
    from backfill_core.plan import Plan
    from backfill_core.project.pricing import Cost
    from backfill_core.project.session import Session
    from backfill_core.project.targets import OpenWarehouse


@click.group("plan", cls=SectionedGroup, invoke_without_command=True)
@asks_work
@click.option("--out", metavar="FILE", help="Write the plan as JSON, for execute --plan.")
@click.option("--concurrency", type=Whole(1, 256), metavar="N", help="Calls in flight that times are estimated for.")
@click.option("--exit-code", is_flag=True, help="Exit 5 when there is something to do.")
@observe_option
@last_observed_option
@show_sql_option
@format_option
@click.pass_context
def command(
    context: click.Context,
    ask: Ask,
    out: str | None,
    concurrency: int | None,
    exit_code: bool,
    observed: Literal["rows", "partitions"],
    last_observed: bool,
    show_sql: bool,
    shape: str,
) -> None:
    """What is missing, why, and what would be done. Reads; writes nothing but --out."""
    if context.invoked_subcommand is None:
        if out and observed == "partitions":
            raise BadUsage(
                message="--out writes a plan that can be carried out, and one by partitions alone cannot. Take one away"
            )
        _plan(observing(ask, observed, last_observed), out, concurrency, shape, exit_code=exit_code, show_sql=show_sql)


@command.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--exit-code", is_flag=True, help="Exit 5 when they differ.")
@format_option
def diff(before: str, after: str, exit_code: bool, shape: str) -> None:
    """What plan file B has, has not, or says otherwise than plan file A."""
    from backfill_core.planning.plan_diff import plan_diff
    from backfill_core.project.plan_files import read_plan
    from backfill_core.reports.diff_texts import diff_json, diff_lines

    old, new = read_plan(before), read_plan(after)
    found = plan_diff(old, new)
    if shape == "json":
        click.echo(json.dumps(diff_json(old, new, found), indent=1))
    else:
        say(diff_lines(old, new, found, after))
    if exit_code and found:
        sys.exit(ExitCode.STOPPED)


def _plan(ask: Ask, out: str | None, concurrency: int | None, shape: str, *, exit_code: bool, show_sql: bool) -> None:
    from backfill_core.cli.shown import sql_shown
    from backfill_core.planning.make_plan import make_plan
    from backfill_core.project.estimating import estimated
    from backfill_core.project.look import look
    from backfill_core.project.session import open_project
    from backfill_core.reports.plan_texts import plan_lines

    session = open_project(ask.project, ask.target)
    last_observed = ask.asking.observed == "last"
    with session.looked_through(last_observed=last_observed) as warehouse, sql_shown(warehouse, session.pipeline, show_sql):
        looked = look(session, warehouse, ask.asking)
        plan = make_plan(looked.pipeline, looked.coverage, looked.request)
        cost = _cost(session, warehouse, plan) if warehouse else None
    if out:
        try:
            Path(out).write_text(json.dumps(plan.to_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise BadUsage(message=f"cannot write {out}: {error.strerror}") from error
    warn(looked.warnings)
    found = estimated(session, plan, looked.coverage, concurrency)
    warn([found.unread] if found.unread else [])
    if shape == "json":
        told: dict[str, object] = {"cost": cost.to_json()} if cost else {}
        told |= {"observed": ask.asking.observed, "notes": looked.notes} if looked.notes else {}
        click.echo(json.dumps(plan.to_json() | {"estimate": found.data} | told, indent=1))
        sys.exit(_code(plan, exit_code))
    head = session.head(f"plan {plan.hash[:8]}", looked.coverage.span, looked.ends)
    doing = f"backfill execute --plan {out}" if out else ask.again("execute")
    doing += f" --concurrency {concurrency}" if concurrency else ""
    if ask.asking.observed == "partitions":
        doing = ask.again("plan")  # nothing is carried out on less than its rows
    below = (found.line, cost.line() if cost else "")
    say(plan_lines(plan, looked.pipeline, looked.coverage, head, doing, *below, notes=looked.notes, beside=ask.beside))
    sys.exit(_code(plan, exit_code))


def _cost(session: Session, warehouse: OpenWarehouse, plan: Plan) -> Cost | None:
    """What the plan would read, where that is paid for."""
    from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse

    if isinstance(warehouse, DuckDBWarehouse) or not plan.units:
        return None
    from backfill_core.project.pricing import priced

    return priced(session, warehouse, plan)


def _code(plan: Plan, asked: bool) -> ExitCode:
    """5 where there is something to do and that was asked."""
    return ExitCode.STOPPED if asked and plan.units else ExitCode.OK
