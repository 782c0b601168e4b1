"""Carrying out a plan in a project: the adapters put together, and an execution run in them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import Coverage
from backfill_core.errors import BadPlanFile, BadSql, PlanDrifted
from backfill_core.events import RunStarted
from backfill_core.execute import Drain, Execution, World
from backfill_core.model.runs import Sql
from backfill_core.plan import Plan
from backfill_core.planning.drift import Drift, drift
from backfill_core.planning.make_plan import make_plan
from backfill_core.ports import Listener
from backfill_core.project.look import Asking, Look, look
from backfill_core.project.session import Session
from backfill_core.project.targets import check_runnable, runners_for
from backfill_core.queries.asking import sql_path, tables_named
from backfill_core.reports.jsons import coverage_json
from backfill_core.run_state import RunState

if TYPE_CHECKING:
    from backfill_core.project.targets import OpenWarehouse


def replan(session: Session, warehouse: OpenWarehouse, old: Plan, path: str) -> tuple[Plan, Look, Drift]:
    """The plan that an older one's request gives now. Raises BadPlanFile or PlanDrifted."""
    if old.request.target != session.target_name:
        raise BadPlanFile(path=path, problem=f'it is for target "{old.request.target}", not "{session.target_name}"')
    span, today = old.request.span, old.request.today
    asking = Asking(first=span.first, last=span.last, today=today, dates=old.request.dates)
    looked = look(session, warehouse, asking)
    fresh = make_plan(session.pipeline, looked.coverage, old.request)
    if fresh.graph != old.graph:
        raise BadPlanFile(path=path, problem="it is stale: layers, plugins or waivers changed since it was made")
    moved = drift(old, fresh)
    if moved:
        raise PlanDrifted(hash=old.hash[:8], moved=str(moved), again=f"backfill plan --out {path}")
    return fresh, looked, moved


def carry_out(
    session: Session,
    warehouse: OpenWarehouse,
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
    runners = runners_for(session.target, session.root, warehouse, files)
    check_runnable(pipeline, list(plan.planned()), runners, session.target_name)
    _check_sql(session, warehouse, plan, files)
    # Whoever labels jobs follows the run, to know its name.
    jobs = None if isinstance(warehouse, DuckDBWarehouse) else warehouse.jobs
    journal = session.journal(read_only=False)
    try:
        world = World(
            warehouse=warehouse,
            landing=session.landing,
            runners=runners,
            journal=journal,
            clock=clock,
            listeners=(*([jobs.labels] if jobs else []), *listeners),
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
        about = {*pipeline.chosen(plan.request.through, plan.request.processors), *plan.planned()}
        started = RunStarted(
            at=clock.now(),
            pid=os.getpid(),
            host=socket.gethostname(),
            command=command,
            target=session.target_name,
            plan=plan.to_json(),
            chosen=tuple(name for name in pipeline.processors if name in about),
            before=coverage_json(pipeline, coverage),
        )
        return execution.run(started, session.resource)
    finally:
        if jobs and drain.at_once:
            jobs.stop()
        journal.close()


def _check_sql(session: Session, warehouse: OpenWarehouse, plan: Plan, files: Mapping[str, Path]) -> None:
    """Raises BadSql for a file that no call could run, before any call leaves."""
    for name in plan.planned():
        if name in files:
            edges = session.pipeline.edges_into[name]
            tables = tables_named(session.pipeline, (name, *(up for edge in edges for up in edge.upstreams)))
            try:
                warehouse.check(files[name].read_text(encoding="utf-8"), tables)
            except ValueError as error:
                raise BadSql(file=files[name].relative_to(session.root), problem=error) from error
