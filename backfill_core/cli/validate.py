"""``backfill validate``."""

from __future__ import annotations

import sys

import click

from backfill_core.cli.options import Ask, asks
from backfill_core.errors import ExitCode


@click.command("validate")
@asks
def command(ask: Ask) -> None:
    """Judge the gates and rules of all layers on what the tables hold. Exit 3 when one fails."""
    from backfill_core.gates import judge_gates
    from backfill_core.planning.asked import asked_dates
    from backfill_core.project.look import look
    from backfill_core.project.session import open_project
    from backfill_core.reports.gate_texts import broken_lines, full_verdict_lines
    from backfill_core.reports.words import wrapped

    session = open_project(ask.project, ask.target)
    with session.warehouse(read_only=True) as warehouse:
        looked = look(session, warehouse, ask.asking)
    pipeline, coverage, request = session.pipeline, looked.coverage, looked.request
    chosen, dates = pipeline.chosen(request.through, request.processors), asked_dates(request)
    verdicts = judge_gates(pipeline, coverage, {pipeline.processors[name].layer for name in chosen}, dates)
    lines = [session.head("validate", coverage.span, looked.ends).line()]
    for verdict in verdicts:
        lines += full_verdict_lines(verdict)
    broken = broken_lines(coverage, chosen, dates)
    failed = bool(broken) or not all(verdict.passed for verdict in verdicts)
    lines += [*broken, f"next: {ask.again('plan')}" if failed else "all gates and rules hold. next: backfill coverage"]
    click.echo("\n".join(wrapped(lines)))
    if failed:
        sys.exit(ExitCode.GATE_CLOSED)
