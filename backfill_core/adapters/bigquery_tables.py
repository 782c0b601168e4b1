"""What BigQuery says of tables beside their rows, read from its metadata: it costs nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backfill_core.adapters.bigquery_errors import reason_of
from backfill_core.adapters.bigquery_jobs import cloud_error, new_id
from backfill_core.adapters.bigquery_warehouse import INGESTION, BigQueryWarehouse
from backfill_core.model.table import Table
from backfill_core.queries.dialect import BIGQUERY, Query
from backfill_core.queries.named import named
from backfill_core.queries.types import google_type

_WRITE = "bigquery.tables.updateData"
_READ = "bigquery.tables.getData"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTable:
    """A table as it stands in the warehouse."""

    #: Columns and their GoogleSQL types.
    columns: Mapping[str, str]
    #: The column it is partitioned by; none: it is not.
    partition: str | None = None
    #: Days after which a partition is deleted.
    expires_days: float | None = None
    #: When the table as a whole is deleted.
    ends: datetime | None = None
    #: Where its dataset is.
    location: str = ""
    #: Every question must filter the partition column.
    filter_required: bool = False
    #: What whoever asks may not do with it.
    denied: frozenset[str] = field(default_factory=frozenset)

    @property
    def readable(self) -> bool:
        return _READ not in self.denied

    @property
    def writable(self) -> bool:
        return _WRITE not in self.denied


def live_tables(warehouse: BigQueryWarehouse, tables: Iterable[Table]) -> dict[str, LiveTable | None]:
    """Each table as it stands, by name; None for one that is not there. Raises CloudError."""
    asked = list({table.name: table for table in tables}.values())
    with ThreadPoolExecutor(warehouse.side_by_side, thread_name_prefix="tables") as pool:
        found = pool.map(lambda table: _live(warehouse, table), asked)
        return {table.name: live for table, live in zip(asked, found, strict=True)}


def _live(warehouse: BigQueryWarehouse, table: Table) -> LiveTable | None:
    path, within = ".".join(warehouse.names.parts(table)), warehouse.account.request_timeout
    try:
        client, patient = warehouse.jobs.client(), warehouse.jobs.persisting
        found = patient(lambda: client.get_table(path, retry=None, timeout=within), within=warehouse.within)
        may = patient(
            lambda: client.test_iam_permissions(path, [_READ, _WRITE], retry=None, timeout=within), within=warehouse.within
        )
    except Exception as error:
        if reason_of(error) == "notFound":
            return None
        raise cloud_error(error, warehouse.account) from error
    columns = {each.name: google_type(each.field_type) for each in found.schema if each.mode != "REPEATED"}
    columns |= {each.name: f"ARRAY<{google_type(each.field_type)}>" for each in found.schema if each.mode == "REPEATED"}
    parts: Any = found.time_partitioning
    if parts is not None and parts.field is None:
        columns |= INGESTION
    return LiveTable(
        columns=columns,
        partition=(parts.field or "_PARTITIONTIME") if parts else None,
        expires_days=parts.expiration_ms / 86_400_000 if parts and parts.expiration_ms else None,
        ends=found.expires,
        location=found.location or "",
        filter_required=bool(found.require_partition_filter),
        denied=frozenset((_READ, _WRITE)) - set(may.get("permissions", ())),
    )


def make_table(warehouse: BigQueryWarehouse, table: Table) -> None:
    """Makes a table from its ddl, and its dataset where that is not there. Raises CloudError."""
    from google.cloud import bigquery

    assert table.ddl, "only what is declared can be made"
    try:
        dataset = bigquery.Dataset(".".join(warehouse.names.parts(table)[:2]))
        dataset.location = warehouse.account.location
        within = warehouse.account.request_timeout
        client = warehouse.jobs.client()
        warehouse.jobs.persisting(
            lambda: client.create_dataset(dataset, exists_ok=True, retry=None, timeout=within), within=warehouse.within
        )
        statement = Query(create_statement(warehouse, table), {})
        warehouse.jobs.run(statement, job=new_id("create"), labels=warehouse.jobs.labels.of(""), within=warehouse.within)
    except Exception as error:
        raise cloud_error(error, warehouse.account) from error


def create_statement(warehouse: BigQueryWarehouse, table: Table) -> str:
    """A table's ddl with its name on this target."""
    return named(table.ddl or "", {"table": table}, BIGQUERY, warehouse.names)
