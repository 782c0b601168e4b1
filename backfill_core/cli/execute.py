"""``backfill execute``."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import click

from backfill_core.cli.options import Ask, asks_work
from backfill_core.errors import BadUsage, ExitCode, PlanDrifted
from backfill_core.planning.drift import drift
from backfill_core.reports.words import plural

if TYPE_CHECKING:
    from backfill_core.coverage import Coverage
    from backfill_core.execute import Drain
    from backfill_core.plan import Plan
    from backfill_core.project.session import Session
    from backfill_core.project.targets import OpenWarehouse


@click.command("execute")
@asks_work
@click.option("--concurrency", type=click.IntRange(1, 256), help="Calls in flight at most (default: that of the settings).")
@click.option("--plan", "plan_file", metavar="FILE", help="Carry out a plan written by plan --out, and nothing else.")
@click.option("--allow-blocked", is_flag=True, help="Exit 0 although units were blocked when planned.")
@click.option("--skip-preflight", is_flag=True, help="Do not ask first whether the target is fit for it.")
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing at all.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    ask: Ask,
    concurrency: int | None,
    plan_file: str | None,
    allow_blocked: bool,
    skip_preflight: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Carry a plan out, layer by layer, through its gates. What a table holds afterwards is what counts as done."""
    from backfill_core.cli.progress import Progress
    from backfill_core.execute import Drain
    from backfill_core.project.carry_out import carry_out
    from backfill_core.project.session import open_project
    from backfill_core.reports.run_texts import closing_lines

    if plan_file and ask.typed:
        raise BadUsage(message=f"--plan {plan_file} says already what to do. Take away: {ask.typed}")
    session = open_project(ask.project, ask.target)
    agreed = None
    if dry_run or (sys.stdin.isatty() and not yes):
        # Looking needs no file for itself alone, and whoever is asked may take their time.
        with session.warehouse(read_only=True) as warehouse:
            plan, coverage, lines = _plan(session, warehouse, ask, plan_file)
        click.echo("\n".join(lines))
        if dry_run:
            click.echo("dry run: nothing was written")
            return
        if plan.units and not click.confirm(f"Execute {plan.units:,} units?"):
            click.echo("nothing was run")
            sys.exit(ExitCode.INTERRUPTED)
        agreed = plan
    with session.warehouse(read_only=False) as warehouse:
        plan, coverage, lines = _plan(session, warehouse, ask, plan_file)
        if agreed is None:
            click.echo("\n".join(lines[:-1] if plan.units else lines))
        elif drift(agreed, plan):
            raise PlanDrifted(hash=agreed.hash[:8], moved=str(drift(agreed, plan)), again=ask.again("execute"))
        if not plan.units:
            sys.exit(ExitCode.INCOMPLETE if plan.blocked and not allow_blocked else ExitCode.OK)
        if not skip_preflight:
            _preflight(session, warehouse, plan)
        drain = Drain()
        _obey_signals(drain)
        with Progress(again := ask.again("execute") if not plan_file else f"backfill execute --plan {plan_file}") as progress:
            state = carry_out(
                session,
                warehouse,
                plan,
                coverage,
                command="backfill " + shlex.join(sys.argv[1:]),
                concurrency=concurrency or session.settings.concurrency,
                drain=drain,
                listeners=(progress,),
                allow_blocked=allow_blocked,
            )
    failed = state.first_failed
    look = ask.beside(f"explain {failed.processor} {failed.day}") if failed else ask.again("plan")
    click.echo("\n".join(closing_lines(state, again, look)))
    assert state.ended is not None
    if drain.at_once:
        sys.stdout.flush()
        os._exit(state.ended.exit_code)  # calls that nobody waits for must not hold the process
    sys.exit(state.ended.exit_code)


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
    return plan, looked.coverage, [*said, *plan_lines(plan, session.pipeline, looked.coverage, head, doing)]


def _preflight(session: Session, warehouse: OpenWarehouse, plan: Plan) -> None:
    """Says what was found. Raises PreflightFailed for what would spoil the run. An embedded warehouse's plan has shown it all."""
    from backfill_core.project.settings import LocalTarget

    if isinstance(session.target, LocalTarget):
        return
    from backfill_core.project.preflight import refuse_unfit

    for finding in refuse_unfit(session, warehouse, plan):
        click.echo(f"warning: {finding.what}", err=True)


def _obey_signals(drain: Drain) -> None:
    """The first Ctrl-C or SIGTERM drains, the second stops now, a third at once; a closed terminal changes nothing."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001  (the signature of a signal handler)
        if drain.at_once:
            os.write(2, b"\nstopped. What was in flight is looked at again by: backfill execute\n")
            os._exit(ExitCode.INTERRUPTED)
        drain.ask()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
