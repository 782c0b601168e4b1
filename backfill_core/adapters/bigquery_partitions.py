"""Which days of a table have rows, told by its partitions' metadata: no row of the table is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from backfill_core.adapters.bigquery_errors import words_of
from backfill_core.adapters.bigquery_warehouse import INGESTION, BigQueryWarehouse
from backfill_core.dates import day_number
from backfill_core.errors import BackfillError, UnreadableTable
from backfill_core.model.table import Table
from backfill_core.queries.dialect import BIGQUERY, Query

#: Tables that one query of the metadata may be about.
MOST_TABLES = 1000
PARTITIONS = (
    "SELECT table_name, partition_id, total_rows FROM {}.INFORMATION_SCHEMA.PARTITIONS "
    "WHERE table_name IN UNNEST(@tables) AND total_rows > 0"
)
_NO_DATE, _NOT_YET = "__NULL__", "__UNPARTITIONED__"


@dataclass(slots=True)
class Partitions:
    """What the partitions of one table say."""

    #: Rows by day number, of days that have any.
    rows: dict[int, int] = field(default_factory=dict)
    #: Rows without a date, and rows that were streamed in and are in no partition yet.
    undated: int = 0
    unassigned: int = 0
    #: Why they do not tell which days have rows; empty: they do.
    why_not: str = ""


def partitions_of(warehouse: BigQueryWarehouse, tables: Iterable[Table], *, most: int = MOST_TABLES) -> Mapping[str, Partitions]:
    """What each table's partitions say, by its declared name; the schema was asked before. Raises UnreadableTable."""
    wanted = list({table.name: table for table in tables}.values())
    found = {table.name: Partitions(why_not=_why_not(warehouse, table)) for table in wanted}
    by_dataset: dict[str, list[Table]] = {}
    for table in wanted:
        if not found[table.name].why_not:
            by_dataset.setdefault(table.dataset, []).append(table)
    for dataset, held in sorted(by_dataset.items()):
        path = warehouse.names.parts(f"{dataset}.x")[:-1]
        for some in _at_most(most, held):
            query = Query(PARTITIONS.format(BIGQUERY.name(*path)), {"tables": [table.short for table in some]})
            for name, partition, rows in _rows(warehouse, query, some[0]):
                _put(found[f"{dataset}.{name}"], partition, rows)
    return found


def _rows(warehouse: BigQueryWarehouse, query: Query, table: Table) -> list[tuple[Any, ...]]:
    try:
        return warehouse.ask("partitions", "none", query)
    except BackfillError:
        raise
    except Exception as error:
        raise UnreadableTable(table=table.name, problem=words_of(error)) from error


def _why_not(warehouse: BigQueryWarehouse, table: Table) -> str:
    """Why a table's partitions are not its dates; empty where they are."""
    column = warehouse.partitions.get(table.name)
    if column is None:
        return "it has no partitions"
    if not (column == table.date or {column, table.date} <= INGESTION.keys()):
        return f"it is partitioned by {column}, and its dates are in {table.date}"
    if table.date_type == "TIMESTAMP" and table.zone not in ("UTC", "Etc/UTC"):
        return f"its partitions are days in UTC, and its dates are days in {table.zone}"
    if table.only:
        return "it holds the rows of several processors"
    return ""


def _put(found: Partitions, partition: str, rows: int) -> None:
    if partition == _NO_DATE:
        found.undated += rows
    elif partition == _NOT_YET:
        found.unassigned += rows
    elif len(partition) in (8, 10) and partition.isdigit():  # a day, or an hour of it
        day = day_number(date(int(partition[:4]), int(partition[4:6]), int(partition[6:8])))
        found.rows[day] = found.rows.get(day, 0) + rows
    else:
        found.why_not = "a partition of it is longer than a day"


def _at_most(most: int, tables: Sequence[Table]) -> Iterator[Sequence[Table]]:
    for start in range(0, len(tables), most):
        yield tables[start : start + most]
