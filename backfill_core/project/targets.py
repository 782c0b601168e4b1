"""What a target's settings come to: its warehouse, opened, and the runner of each kind of spec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.errors import BadUsage
from backfill_core.graph import Pipeline
from backfill_core.project.settings import GcpTarget, LocalTarget, Target
from backfill_core.queries.dialect import Names

if TYPE_CHECKING:  # neither is loaded before a target needs it
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
    from backfill_core.model.runs import RunSpec
    from backfill_core.ports import Runner

    OpenWarehouse = DuckDBWarehouse | BigQueryWarehouse


def resource_of(target: Target, root: Path) -> str:
    """What a run on a target leases: an embedded warehouse is one file, on BigQuery it is what the names begin with."""
    match target:
        case LocalTarget():
            return str((root / target.warehouse).resolve())
        case GcpTarget():
            return f"bigquery:{target.project}/{target.prefix}"
        case _:
            assert_never(target)


def open_warehouse(target: Target, root: Path, pipeline: Pipeline, *, read_only: bool) -> OpenWarehouse:
    """The warehouse of a target. Raises WarehouseError, WarehouseHeld or WarehouseReadOnly; BigQuery is not asked yet."""
    names = Names(datasets=target.datasets, prefix=target.prefix)
    match target:
        case LocalTarget():
            return DuckDBWarehouse(root / target.warehouse, names, root, read_only=read_only)
        case GcpTarget():
            from backfill_core.adapters.bigquery_client import Account
            from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse

            account = Account(
                project=target.project,
                location=target.location,
                maximum_bytes_billed=target.maximum_bytes_billed,
                credentials=root / target.credentials if target.credentials else None,
                impersonate=target.impersonate,
                endpoint=str(target.api_endpoint) if target.api_endpoint else None,
            )
            layers = {name: processor.layer for name, processor in pipeline.processors.items()}
            return BigQueryWarehouse(
                account, names, root, layers=layers, within=target.query_timeout, side_by_side=target.queries_in_flight
            )
        case _:
            assert_never(target)


def check_runnable(pipeline: Pipeline, planned: list[str], runners: Mapping[type[RunSpec], Runner], target: str) -> None:
    """Raises BadUsage for a planned processor whose kind of spec nothing runs on this target."""
    for name in planned:
        spec = pipeline.processors[name].spec_for(pipeline.runtime)
        if type(spec) not in runners:
            where = pipeline.declared[name].where
            raise BadUsage(message=f'{where}: {name} is run by {type(spec).__name__}, which target "{target}" cannot do')
