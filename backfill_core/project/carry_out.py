"""Carrying out a plan in a project: the adapters put together, and an execution run in them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.lease_keeper import LeaseKeeper
from backfill_core.adapters.run_log import RunLog, Shape
from backfill_core.adapters.system_clock import SystemClock
from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.drain import Drain
from backfill_core.errors import BadPlanFile, BadSql, PlanDrifted
from backfill_core.events import RunStarted
from backfill_core.execute import Execution, World
from backfill_core.model.runs import Sql
from backfill_core.plan import Plan, Request
from backfill_core.planning.asked import concerned
from backfill_core.planning.drift import Drift, drift
from backfill_core.planning.make_plan import make_plan
from backfill_core.ports import Listener
from backfill_core.project.checkout import commit_of, user
from backfill_core.project.earlier_calls import units_left_behind
from backfill_core.project.look import Asking, Look, look
from backfill_core.project.look_at_last import Remembers
from backfill_core.project.runners import check_environment, open_runners
from backfill_core.project.session import Session
from backfill_core.project.targets import check_runnable
from backfill_core.project.terms import known_seconds, terms_of
from backfill_core.queries.asking import sql_path, tables_named
from backfill_core.reports.jsons import coverage_json
from backfill_core.run_state import RunState
from backfill_core.scheduling.terms import Terms

#: The guard that a date never loses keys, as it is named where somebody sets it aside, and what a gate's name then follows.
ALLOW_SHRINK = "allow-shrink"
GATE = "gate "
#: The look at a target before a run.
SKIP_PREFLIGHT = "skip-preflight"

if TYPE_CHECKING:
    from backfill_core.project.targets import OpenWarehouse


def replan(session: Session, warehouse: OpenWarehouse, old: Plan, path: str) -> tuple[Plan, Look, Drift]:
    """The plan that an older one's request gives now. Raises BadPlanFile or PlanDrifted."""
    if old.request.target != session.target_name:
        raise BadPlanFile(path=path, problem=f'it is for target "{old.request.target}", not "{session.target_name}"')
    fresh, looked = plan_again(session, warehouse, old.request)
    if fresh.graph != old.graph:
        raise BadPlanFile(path=path, problem="it is stale: layers, plugins or waivers changed since it was made")
    moved = drift(old, fresh)
    if moved:
        raise PlanDrifted(hash=old.hash[:8], moved=str(moved), again=f"backfill plan --out {path}")
    return fresh, looked, moved


def plan_again(session: Session, warehouse: OpenWarehouse, request: Request) -> tuple[Plan, Look]:
    """What an earlier request comes to now."""
    span = request.span
    looked = look(session, warehouse, Asking(first=span.first, last=span.last, today=request.today, dates=request.dates))
    return make_plan(session.pipeline, looked.coverage, request), looked


def carry_out(
    session: Session,
    warehouse: OpenWarehouse,
    plan: Plan,
    coverage: Coverage,
    *,
    command: str,
    concurrency: int | None = None,
    terms: Terms | None = None,
    drain: Drain,
    listeners: Sequence[Listener] = (),
    allow_blocked: bool = False,
    overrides: Mapping[str, str] | None = None,
    exhausted: Mapping[str, Mapping[str, DateSet]] | None = None,
    log_shape: Shape = "text",
) -> RunState:
    """Executes a plan and returns how it ended. Raises WarehouseHeld when another run is under way.

    Without ``terms`` those of the project hold, with ``concurrency`` calls in flight. ``overrides`` are guards that somebody
    sets aside, with the reason; ``exhausted`` are units not to be called.
    """
    terms = terms or terms_of(session, concurrency=concurrency)
    clock = SystemClock()
    pipeline = session.pipeline
    files = {
        name: session.root / sql_path(pipeline, name, spec.file)
        for name, processor in pipeline.processors.items()
        if isinstance(spec := processor.spec_for(pipeline.runtime), Sql)
    }
    _check_sql(session, warehouse, plan, files)
    check_environment(pipeline, plan, session.variables)
    # Whoever labels jobs follows the run, to know its name.
    jobs = None if isinstance(warehouse, DuckDBWarehouse) else warehouse.jobs
    with ExitStack() as stack:
        runners = stack.enter_context(open_runners(session, warehouse, files))
        check_runnable(pipeline, list(plan.planned()), runners, session.target_name)
        journal = session.journal(read_only=False)
        stack.callback(journal.close)
        if jobs:
            stack.callback(lambda: jobs.stop() if drain.at_once else None)
        keeper = stack.enter_context(LeaseKeeper(journal.path, clock))
        log = stack.enter_context(RunLog(session.logs, log_shape))
        world = World(
            warehouse=warehouse,
            landing=session.landing,
            runners=runners,
            journal=journal,
            clock=clock,
            listeners=(*([jobs.labels] if jobs else []), *listeners, log, keeper),
        )
        execution = Execution(
            pipeline,
            plan,
            coverage,
            world,
            today=plan.request.today,
            terms=terms,
            drain=drain,
            allow_blocked=allow_blocked,
            allow_shrink=ALLOW_SHRINK in (overrides or {}),
            overridden={name[len(GATE) :]: why for name, why in (overrides or {}).items() if name.startswith(GATE)},
            exhausted=exhausted,
            left_behind=units_left_behind(session, plan, clock.now()),
            seconds=known_seconds(session, plan),
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
            before=coverage_json(pipeline, coverage, only=concerned(plan)),
            overrides=overrides or {},
            user=user(),
            commit=commit_of(session.root),
            concurrency=terms.concurrency,
        )
        execution.record.follow(Remembers(session, execution.live, coverage.span))
        return execution.run(started, session.holds(plan.planned()))


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
