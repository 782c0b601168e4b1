"""What goes on in a project on BigQuery beside us: who writes our tables, what waits, how late it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backfill_core.adapters.bigquery_errors import reason_of
from backfill_core.adapters.bigquery_jobs import cloud_error
from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse
from backfill_core.queries.dialect import Query

#: Mutating statements that BigQuery takes of one table: so many are carried out or wait, and more are refused.
MOST_MUTATING = 20
#: Kinds of statement that change a table's rows, as BigQuery calls them.
_MUTATING = frozenset(("UPDATE", "DELETE", "MERGE"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """Jobs of the project that are not done."""

    #: Jobs of an earlier run of ours that still write a table, by their id: the label of the table.
    ours: Mapping[str, str]
    #: Jobs of others that write a table, by ``dataset.table`` as BigQuery has it, each with how many statements of them change
    #: rows: those wait for each other.
    others: Mapping[str, tuple[str, ...]]
    mutating: Mapping[str, int]
    #: Jobs that wait to be begun.
    waiting: int
    #: Only our own jobs could be seen.
    ours_alone: bool


def under_way(warehouse: BigQueryWarehouse) -> UnderWay:
    """Looks at the jobs of the project, of everybody where they may be seen. Raises CloudError."""
    jobs, alone = warehouse.jobs, False
    try:
        try:
            found = jobs.running(everybody=True, within=warehouse.within)
        except Exception as error:
            if reason_of(error) != "accessDenied":
                raise
            found, alone = jobs.running(within=warehouse.within), True
    except Exception as error:
        raise cloud_error(error, warehouse.account) from error
    ours = {job.job_id: job.labels["backfill_table"] for job in found if "backfill_table" in (job.labels or {})}
    others: dict[str, list[str]] = {}
    mutating: dict[str, int] = {}
    for job in found:
        written = None if job.job_id in ours else _written(job)
        if written:
            others.setdefault(written, []).append(job.job_id)
            mutating[written] = mutating.get(written, 0) + (getattr(job, "statement_type", None) in _MUTATING)
    return UnderWay(
        ours=dict(sorted(ours.items())),
        others={table: tuple(sorted(names)) for table, names in sorted(others.items())},
        mutating=mutating,
        waiting=sum(job.state == "PENDING" for job in found),
        ours_alone=alone,
    )


def _written(job: Any) -> str | None:
    """The table that a job writes, as ``dataset.table``; what holds an answer for a while is none."""
    table = getattr(job, "destination", None)
    if table is None or table.dataset_id.startswith("_"):
        return None
    return f"{table.dataset_id}.{table.table_id}"


def clock_ahead(warehouse: BigQueryWarehouse) -> float:
    """Seconds that BigQuery's clock is ahead of ours. Raises CloudError."""
    before = datetime.now(UTC)
    try:
        created = warehouse.jobs.created(Query("SELECT 1 AS one", {}), within=warehouse.within)
    except Exception as error:
        raise cloud_error(error, warehouse.account) from error
    after = datetime.now(UTC)
    if before <= created <= after:
        return 0.0
    return (created - (before if created < before else after)).total_seconds()
