"""The two things people ask of a project: a plan, and its execution."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from backfill_core.adapters.duckdb_runners import PythonRunner, SqlRunner
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.errors import BadPlanFile, PlanDrifted
from backfill_core.events import RunStarted
from backfill_core.execute import Drain, Execution, World
from backfill_core.model.runs import Python, Sql
from backfill_core.plan import Plan, Request
from backfill_core.planning.drift import Drift, drift
from backfill_core.planning.make_plan import make_plan
from backfill_core.ports import Listener
from backfill_core.project.session import Session
from backfill_core.queries.question import sql_path
from backfill_core.reports.jsons import coverage_json
from backfill_core.run_state import RunState


def look(session: Session, warehouse: DuckDBWarehouse, *, first: date | None, last: date | None, today: date) -> Coverage:
    """Reads the calendars and every table over a span."""
    span, calendars = session.span(first, last, today)
    return session.observe(warehouse, calendars, span, today)


def request_for(
    session: Session,
    coverage: Coverage,
    *,
    today: date,
    through: str | None = None,
    layers: Sequence[str] = (),
    processors: Sequence[str] = (),
    dates: DateSet | None = None,
) -> Request:
    """A request with every name in it known. Raises UnknownLayer or UnknownProcessor."""
    pipeline = session.pipeline
    return Request(
        target=session.target_name,
        span=coverage.span,
        today=today,
        through=(pipeline.layer(through) if through else pipeline.layers[-1]).name,
        layers=tuple(sorted({pipeline.layer(name).name for name in layers})),
        processors=tuple(sorted({pipeline.processor(name).name for name in processors})),
        dates=dates,
    )


def replan(session: Session, warehouse: DuckDBWarehouse, old: Plan, path: str) -> tuple[Plan, Coverage, Drift]:
    """The plan that an older one's request gives now. Raises BadPlanFile or PlanDrifted."""
    if old.request.target != session.target_name:
        raise BadPlanFile(path=path, problem=f'it is for target "{old.request.target}", not "{session.target_name}"')
    span, today = old.request.span, old.request.today
    coverage = look(session, warehouse, first=span.first, last=span.last, today=today)
    fresh = make_plan(session.pipeline, coverage, old.request)
    if fresh.graph != old.graph:
        raise BadPlanFile(path=path, problem="it is stale: layers or plugins changed since it was made")
    moved = drift(old, fresh)
    if moved:
        raise PlanDrifted(hash=old.hash, moved=str(moved), path=path)
    return replace(fresh, asked=old.asked), coverage, moved


def carry_out(
    session: Session,
    warehouse: DuckDBWarehouse,
    plan: Plan,
    coverage: Coverage,
    *,
    command: str,
    concurrency: int,
    drain: Drain,
    listeners: Sequence[Listener] = (),
    allow_blocked: bool = False,
) -> RunState:
    """Executes a plan and returns how it ended. Raises WarehouseHeld when another run is under way."""
    clock = SystemClock()
    pipeline = session.pipeline
    files = {
        name: session.root / sql_path(pipeline, name, spec.file)
        for name, processor in pipeline.processors.items()
        if isinstance(spec := processor.spec_for(pipeline.runtime), Sql)
    }
    journal = session.journal(read_only=False)
    try:
        world = World(
            warehouse=warehouse,
            landing=session.landing,
            runners={
                Sql: SqlRunner(warehouse, files),
                Python: PythonRunner(warehouse, session.root / session.target.landing),
            },
            journal=journal,
            clock=clock,
            listeners=listeners,
        )
        execution = Execution(
            pipeline,
            plan,
            coverage,
            world,
            today=plan.request.today,
            concurrency=concurrency,
            drain=drain,
            allow_blocked=allow_blocked,
        )
        started = RunStarted(
            at=clock.now(),
            pid=os.getpid(),
            host=socket.gethostname(),
            command=command,
            target=session.target_name,
            plan=plan.to_json(),
            before=coverage_json(pipeline, coverage),
        )
        return execution.run(started, session.resource)
    finally:
        journal.close()
