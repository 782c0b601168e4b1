"""``backfill validate``."""

from __future__ import annotations

import json
import sys

import click

from backfill_core.cli.options import Ask, asks, format_option, last_observed_option, observing
from backfill_core.cli.output import say
from backfill_core.cli.sections import Sectioned
from backfill_core.errors import ExitCode


@click.command("validate", cls=Sectioned)
@asks
@last_observed_option
@format_option
def command(ask: Ask, last_observed: bool, shape: str) -> None:
    """Judge the gates and rules of all layers on what the tables hold. Exit 3 when one fails."""
    from backfill_core.dates import DateSet
    from backfill_core.gates import judge_gates
    from backfill_core.planning.asked import asked_dates
    from backfill_core.planning.make_plan import make_plan
    from backfill_core.project.look import look
    from backfill_core.project.session import open_project
    from backfill_core.reports.gate_texts import broken, full_verdict_lines, unfilled_lines, validation_json
    from backfill_core.reports.plan_texts import blocked_lines

    ask = observing(ask, "rows", last_observed)
    session = open_project(ask.project, ask.target)
    with session.looked_through(last_observed=last_observed) as warehouse:
        looked = look(session, warehouse, ask.asking)
    pipeline, coverage, request = session.pipeline, looked.coverage, looked.request
    chosen, dates = pipeline.chosen(request.through, request.processors), asked_dates(request)
    verdicts = judge_gates(pipeline, coverage, {pipeline.processors[name].layer for name in chosen}, dates)
    bad = broken(coverage, chosen, dates)
    plan = make_plan(pipeline, coverage, request)
    blocked = plan.blocked_dates()
    failed = bool(bad) or not all(verdict.passed for verdict in verdicts)
    if shape == "json":
        click.echo(json.dumps(validation_json(coverage, verdicts, bad, plan.blocked), indent=1))
    else:
        lines = [session.head("validate", coverage.span, looked.ends).line(), *looked.notes]
        for verdict in verdicts:
            lines += full_verdict_lines(verdict, blocked.get(verdict.measure, DateSet()))
        lines += [each.line() for each in bad]
        lines += unfilled_lines(coverage, chosen, dates)
        if plan.blocked:
            lines += ["blocked:", *blocked_lines(plan.blocked)]
        lines.append(f"next: {ask.again('plan')}" if failed else "all gates and rules hold. next: backfill coverage")
        say(lines)
    if failed:
        sys.exit(ExitCode.GATE_CLOSED)
