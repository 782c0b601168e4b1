"""What a target's settings come to: its warehouse, opened, and the runner of each kind of spec."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.adapters.landing_files import LandingFiles
from backfill_core.errors import BadUsage
from backfill_core.graph import Pipeline
from backfill_core.ports import Holds, Landing
from backfill_core.project.settings import GcpTarget, LocalTarget, Target
from backfill_core.queries.dialect import Names

if TYPE_CHECKING:  # neither is loaded before a target needs it
    from backfill_core.adapters.bigquery_client import Account
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
    from backfill_core.model.runs import RunSpec
    from backfill_core.ports import Runner

    OpenWarehouse = DuckDBWarehouse | BigQueryWarehouse


def holds_of(target: Target, root: Path, pipeline: Pipeline, planned: Collection[str]) -> Holds:
    """What a run that calls those processors leases on a target.

    An embedded warehouse is one file and has one owner; elsewhere it is the tables that the run writes, and those it reads.
    """
    match target:
        case LocalTarget():
            return Holds(writes=[file_resource(target, root)])
        case GcpTarget():
            names = Names(datasets=target.datasets, prefix=target.prefix, project=target.project)
            writes = {table.name for name in planned for table in pipeline.processors[name].tables.values()}
            read = {up for name in planned for edge in pipeline.edges_into[name] for up in edge.upstreams}
            reads = {table.name for name in read for table in pipeline.processors[name].tables.values()} - writes
            return Holds(writes=_paths(names, writes), reads=_paths(names, reads))
        case _:
            assert_never(target)


def file_resource(target: LocalTarget, root: Path) -> str:
    """What whoever has an embedded warehouse leases."""
    return str((root / target.warehouse).resolve())


def _paths(names: Names, tables: set[str]) -> list[str]:
    return sorted(".".join(names.parts(table)) for table in tables)


def open_warehouse(target: Target, root: Path, pipeline: Pipeline, *, read_only: bool) -> OpenWarehouse:
    """The warehouse of a target. Raises WarehouseError, WarehouseHeld or WarehouseReadOnly; BigQuery is not asked yet."""
    names = Names(datasets=target.datasets, prefix=target.prefix)
    match target:
        case LocalTarget():
            return DuckDBWarehouse(root / target.warehouse, names, root, read_only=read_only)
        case GcpTarget():
            from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse

            account = account_of(target, root, str(target.api_endpoint) if target.api_endpoint else None)
            layers = {name: processor.layer for name, processor in pipeline.processors.items()}
            return BigQueryWarehouse(
                account, names, root, layers=layers, within=target.query_timeout, side_by_side=target.queries_in_flight
            )
        case _:
            assert_never(target)


def open_landing(target: Target, root: Path) -> Landing:
    """Where a target's landing files are; nobody is asked yet."""
    folder = landing_folder(target, root)
    if folder is not None:
        return LandingFiles(folder)
    assert isinstance(target, GcpTarget), "no other has a bucket"
    from backfill_core.adapters.bucket_landing import BucketLanding

    endpoint = str(target.storage_endpoint) if target.storage_endpoint else None
    return BucketLanding(target.landing, account_of(target, root, endpoint), within=target.query_timeout)


def landing_folder(target: Target, root: Path) -> Path | None:
    """The folder of a target's landing files; None: they are in a bucket."""
    if isinstance(target, GcpTarget) and target.landing.startswith("gs://"):
        return None
    return root / target.landing


def account_of(target: GcpTarget, root: Path, endpoint: str | None) -> Account:
    """Who asks Google, or whoever serves that endpoint, on a target."""
    from backfill_core.adapters.bigquery_client import Account

    return Account(
        project=target.project,
        location=target.location,
        maximum_bytes_billed=target.maximum_bytes_billed,
        credentials=root / target.credentials if target.credentials else None,
        impersonate=target.impersonate,
        endpoint=endpoint,
    )


def check_runnable(pipeline: Pipeline, planned: list[str], runners: Mapping[type[RunSpec], Runner], target: str) -> None:
    """Raises BadUsage for a planned processor whose kind of spec nothing runs on this target."""
    for name in planned:
        spec = pipeline.processors[name].spec_for(pipeline.runtime)
        if type(spec) not in runners:
            where = pipeline.declared[name].where
            raise BadUsage(message=f'{where}: {name} is run by {type(spec).__name__}, which target "{target}" cannot do')
