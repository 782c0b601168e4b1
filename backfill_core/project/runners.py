"""The runners of a project on its target, and what they need to be there before a call leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backfill_core.adapters.duckdb_runners import ParquetLoader, PythonRunner, SqlRunner
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.errors import UnsetVariable
from backfill_core.graph import Pipeline
from backfill_core.model.command import Command
from backfill_core.model.http import Http
from backfill_core.model.runs import Python, RunSpec, Sql
from backfill_core.model.templates import environment_names
from backfill_core.plan import Plan
from backfill_core.ports import Runner
from backfill_core.project.load import load_project
from backfill_core.project.session import Session
from backfill_core.project.settings import GcpTarget, Target
from backfill_core.queries.dialect import Names

if TYPE_CHECKING:
    from backfill_core.adapters.identity_tokens import IdentityTokens
    from backfill_core.project.targets import OpenWarehouse


@contextmanager
def open_runners(
    session: Session, warehouse: OpenWarehouse, files: Mapping[str, Path]
) -> Iterator[Mapping[type[RunSpec], Runner]]:
    """The runner for each kind of spec that the graph has; ``files`` are SQL files by processor.

    Whatever is still under way when they are left is ended.
    """
    pipeline, target = session.pipeline, session.target
    specs = [processor.spec_for(pipeline.runtime) for processor in pipeline.processors.values()]
    kinds = set(map(type, specs))
    with ExitStack() as stack:
        found: dict[type[RunSpec], Runner] = {}
        if isinstance(warehouse, DuckDBWarehouse):
            workers = None
            if any(isinstance(spec, Python) and spec.process for spec in specs):
                from backfill_core.adapters.worker_processes import WorkerProcesses

                workers = WorkerProcesses((load_project, (session.root,)))
            found[Sql] = SqlRunner(warehouse, files)
            found[Python] = stack.enter_context(closing(PythonRunner(warehouse, session.root / target.landing, workers)))
        elif isinstance(target, GcpTarget):
            from backfill_core.adapters.bigquery_runner import BigQuerySqlRunner

            found[Sql] = BigQuerySqlRunner(warehouse, files, within=target.write_timeout)
        if kinds & {Command, Http}:
            from backfill_core.adapters.call_folder import CallFolders

            place = Names(datasets=target.datasets, prefix=target.prefix)
            folders = CallFolders(session.state)
            if Command in kinds and isinstance(warehouse, DuckDBWarehouse):
                from backfill_core.adapters.command_runner import CommandRunner

                command = CommandRunner(session.root, folders, ParquetLoader(warehouse), variables=session.variables, place=place)
                found[Command] = stack.enter_context(closing(command))
            if Http in kinds:
                from backfill_core.adapters.http_runner import HttpRunner

                http = HttpRunner(folders, session.variables, identity_tokens(target, session.root), place)
                found[Http] = stack.enter_context(closing(http))
        yield found


def identity_tokens(target: Target, root: Path) -> IdentityTokens:
    """The identity that calls of services have on a target. Nobody is asked for one yet."""
    from backfill_core.adapters.identity_sources import Identity, identity_source
    from backfill_core.adapters.identity_tokens import IdentityTokens

    if not isinstance(target, GcpTarget):
        return IdentityTokens(identity_source(Identity()))
    identity = Identity(
        command=target.identity_command,
        impersonate=target.impersonate,
        credentials=root / target.credentials if target.credentials else None,
        metadata_host=target.metadata_host,
        folder=root,
    )
    return IdentityTokens(identity_source(identity))


def check_environment(pipeline: Pipeline, plan: Plan, variables: Mapping[str, str]) -> None:
    """Raises UnsetVariable for one that a planned processor's spec names and nobody set, before any call leaves."""
    for name in plan.planned():
        for variable in variables_of(pipeline.processors[name].spec_for(pipeline.runtime)):
            if not variables.get(variable):
                state = "not set" if variable not in variables else "empty"
                raise UnsetVariable(where=pipeline.declared[name].where, processor=name, variable=variable, state=state)


def variables_of(spec: RunSpec | None) -> list[str]:
    """The environment variables that a spec names."""
    match spec:
        case Command():
            return environment_names([spec.arguments, spec.environment])
        case Http():
            return environment_names([spec.url, spec.headers, spec.json, spec.poll.url if spec.poll else "", str(spec.identity)])
        case _:
            return []
