"""``backfill doctor``."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backfill_core.cli.options import Day, format_option, target_option, today_option
from backfill_core.cli.output import say
from backfill_core.errors import BadUsage, ExitCode

if TYPE_CHECKING:
    from backfill_core.project.session import Session


@click.command("doctor")
@click.option("--from", "first", type=Day(), help="First date to be filled (default: that of the settings).")
@today_option
@target_option
@format_option
@click.pass_obj
def command(project: str, first: date | None, today: date | None, target: str | None, shape: str) -> None:
    """Whether a target is fit for a run, changing nothing: tables, types, partitions, permissions, services, rivals, clock."""
    from backfill_core.project.findings import Use
    from backfill_core.project.preflight import preflight
    from backfill_core.project.session import open_project

    session = open_project(Path(project), target)
    start = first or session.settings.from_
    if start is None:
        raise BadUsage(message="no first date. Type --from YYYY-MM-DD, or set from in [tool.backfill]")
    runs = [name for name in session.pipeline.processors if session.pipeline.runs(name)]
    use = Use(fills=dict.fromkeys(runs, start), today=session.today(today))
    with session.warehouse(read_only=True) as warehouse:
        found = preflight(session, warehouse, use)
    stopping = [finding for finding in found if finding.stops]
    if shape == "json":
        click.echo(json.dumps({"findings": [{"stops": each.stops, "what": each.what} for each in found]}, indent=1))
    else:
        lines = [f"doctor  {session.target_name}  {session.project_words}  {start}.. {session.settings.timezone}"]
        lines += [f"{'error' if each.stops else 'warning'}: {each.what}." for each in found]
        lines.append(_looked_at(session))
        again = f"backfill doctor --target {session.target_name}"
        fit = f"fit to run. next: backfill plan --target {session.target_name}"
        say([*lines, f"mend what is an error, then: {again}" if stopping else fit])
    sys.exit(ExitCode.USAGE if stopping else ExitCode.OK)


def _looked_at(session: Session) -> str:
    """What was looked at, so that nobody takes silence for an answer."""
    from backfill_core.model.hosts import host_part
    from backfill_core.model.http import Http
    from backfill_core.model.runs import Sql
    from backfill_core.model.table import Files
    from backfill_core.project.settings import LocalTarget
    from backfill_core.reports.words import plural

    pipeline, local = session.pipeline, isinstance(session.target, LocalTarget)
    processors = pipeline.processors.values()
    specs = [processor.spec_for(pipeline.runtime) for processor in processors]
    tables = len({table.name for processor in processors for table in processor.tables.values()})
    sources = sum(isinstance(processor.writes, Files) for processor in processors)
    parts = [plural(tables, "table"), *([f"{plural(sources, 'source')} of files"] if local or sources else [])]
    parts += ["SQL files"] if any(isinstance(spec, Sql) for spec in specs) else []
    called = len({host_part(spec.url) for spec in specs if isinstance(spec, Http)})
    parts += [plural(called, "service")] if called else []
    parts += ["room on the disk"] if local else ["permissions", "jobs under way", "clock"]
    return f"looked at: {', '.join(parts)}"
