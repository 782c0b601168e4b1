"""``backfill validate``."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click

from backfill_core.cli.options import chosen_dates, selection_options, span_of, span_options
from backfill_core.errors import ExitCode


@click.command("validate")
@span_options
@selection_options
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
) -> None:
    """Judge the gates and rules of all layers on what the tables hold. Exit 3 when one fails."""
    from backfill_core.coverage import State
    from backfill_core.dates import DateSet
    from backfill_core.project.session import open_project
    from backfill_core.project.work import look, request_for
    from backfill_core.reports.texts import judged_gates, verdict_lines
    from backfill_core.reports.words import dates_words

    session = open_project(Path(project), target)
    chosen = chosen_dates(dates, dates_file)
    now = session.today(today)
    first, last = span_of(first, last, chosen)
    with session.warehouse(read_only=True) as warehouse:
        coverage = look(session, warehouse, first=first, last=last, today=now)
    request = request_for(session, coverage, today=now, through=through, layers=layers, processors=processors, dates=chosen)
    pipeline = session.pipeline
    upto = {request.through, *pipeline.before[request.through]}
    names = [name for name in (request.layers or [layer.name for layer in pipeline.layers]) if name in upto]
    days = DateSet.of_span(coverage.span) if chosen is None else chosen & DateSet.of_span(coverage.span)
    click.echo(f"validate  {session.target_name}  {coverage.span} {session.settings.timezone}")
    failed = False
    for verdict in judged_gates(coverage, pipeline, names, days):
        failed |= not verdict.passed
        click.echo("\n".join(verdict_lines(verdict, pipeline)))
    for name, processor in pipeline.processors.items():
        if processor.layer in names and (not request.processors or name in request.processors):
            covered = coverage.processors[name]
            for rule, broken in sorted(covered.findings.broken.items()):
                if broken & days & covered.expected - covered.states[State.PENDING]:
                    failed = True
                    click.echo(f"rule broken: {name}: {rule}: {dates_words(broken & days)}")
    click.echo("next: backfill plan" if failed else "all gates and rules hold. next: backfill coverage")
    if failed:
        sys.exit(ExitCode.GATE_CLOSED)
