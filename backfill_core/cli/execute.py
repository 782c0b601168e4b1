"""``backfill execute``."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backfill_core.cli.options import chosen_dates, selection_options, span_of, span_options
from backfill_core.errors import BadPlanFile, ExitCode

if TYPE_CHECKING:
    from backfill_core.execute import Drain
    from backfill_core.plan import Plan


@click.command("execute")
@span_options
@selection_options
@click.option("--concurrency", type=click.IntRange(1, 256), help="Calls in flight at most (default: the settings').")
@click.option("--plan", "plan_file", metavar="FILE", help="Carry out a plan written by plan --out.")
@click.option("--allow-blocked", is_flag=True, help="Exit 0 although units were blocked when planned.")
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing at all.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(
    project: str,
    first: date | None,
    last: date | None,
    today: date | None,
    target: str | None,
    through: str | None,
    layers: tuple[str, ...],
    processors: tuple[str, ...],
    dates: str | None,
    dates_file: str | None,
    concurrency: int | None,
    plan_file: str | None,
    allow_blocked: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Carry a plan out, layer by layer, through its gates. What a table holds afterwards is what counts as done."""
    from backfill_core.cli.progress import Progress
    from backfill_core.execute import Drain
    from backfill_core.planning.make_plan import make_plan
    from backfill_core.project.session import open_project
    from backfill_core.project.work import carry_out, look, replan, request_for
    from backfill_core.reports.run_texts import closing_lines
    from backfill_core.reports.texts import plan_lines

    session = open_project(Path(project), target)
    chosen = chosen_dates(dates, dates_file)
    with session.warehouse(read_only=dry_run) as warehouse:
        if plan_file:
            old = read_plan(plan_file)
            plan, coverage, moved = replan(session, warehouse, old, plan_file)
            for name, gone in moved.dropped.items():
                click.echo(f"{name}: {len(gone)} units became complete since the plan was made")
        else:
            now = session.today(today)
            first, last = span_of(first, last, chosen)
            coverage = look(session, warehouse, first=first, last=last, today=now)
            request = request_for(
                session, coverage, today=now, through=through, layers=layers, processors=processors, dates=chosen
            )
            plan = make_plan(session.pipeline, coverage, request)
        lines = plan_lines(plan, session.pipeline, coverage, session.settings.timezone)
        click.echo("\n".join(lines[:-1]))
        if dry_run:
            click.echo(f"dry run: nothing was written. {lines[-1]}")
            return
        if sys.stdin.isatty() and not yes and plan.units:
            click.confirm(f"Execute {plan.units} units?", abort=True)
        drain = Drain()
        _obey_signals(drain)
        with Progress(session.pipeline) as progress:
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
    click.echo("\n".join(closing_lines(state, session.pipeline)))
    assert state.ended is not None
    sys.exit(state.ended.exit_code)


def read_plan(path: str) -> Plan:
    """Raises BadPlanFile for what is no plan of ours."""
    from backfill_core.plan import Plan

    try:
        return Plan.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise BadPlanFile(path=path, problem=error.strerror) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadPlanFile(path=path, problem="it is no JSON") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BadPlanFile(path=path, problem="it is no plan of backfill") from error
    except ValueError as error:
        raise BadPlanFile(path=path, problem=str(error)) from error


def _obey_signals(drain: Drain) -> None:
    """The first Ctrl-C or SIGTERM drains, the second stops now; a closed terminal changes nothing."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001  (the signature of a signal handler)
        if drain.asked:
            os.write(2, b"\nstopped. What was in flight is looked at again by: backfill execute\n")
            os._exit(ExitCode.INTERRUPTED)
        drain.ask()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
