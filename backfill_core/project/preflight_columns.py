"""Whether the columns that a graph names are in the tables as they stand, and of types that can be asked as declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from backfill_core.graph import Pipeline
from backfill_core.model.table import Table
from backfill_core.observe import no_column
from backfill_core.project.findings import Finding
from backfill_core.queries.question import TableQuestion
from backfill_core.queries.types import alike, google_type, wanted_pairs, wanted_types

#: Columns and GoogleSQL types of every table that is there, by its declared name.
Schema = Mapping[str, Mapping[str, str]]
#: What a date column may be.
_DATES = ("DATE", "TIMESTAMP", "STRING")


def column_findings(pipeline: Pipeline, questions: Iterable[TableQuestion], schema: Schema) -> Iterator[Finding]:
    """What the questions about the graph's tables name that the tables do not have so; a column that lacks is told once."""
    lacking: set[tuple[str, str]] = set()
    for question in questions:
        where = pipeline.declared[question.processor].where
        yield from _lacking(question, schema, where, lacking)
        yield from _date_type(question.table, schema.get(question.table.name, {}), where)
        for wanted in wanted_types(question):
            kind = schema.get(wanted.table, {}).get(wanted.column)
            if kind is not None and kind not in wanted.kinds:
                is_so = f"{wanted.table}.{wanted.column} is {kind}, and {wanted.why} needs {' or '.join(wanted.kinds)}"
                yield Finding(what=f"{is_so}. Name another column, or change its type. See {where}")
        for pair in wanted_pairs(question):
            kind, other = schema.get(pair.table, {}).get(pair.column), schema.get(pair.other, {}).get(pair.other_column)
            if kind is not None and other is not None and not alike(kind, other):
                what = (
                    f"{pair.table}.{pair.column} is {kind}, {pair.other}.{pair.other_column} is {other}, and the two are compared"
                )
                yield Finding(what=f"{what}. Make them one type, or compare other columns. See {where}")


def declared_findings(pipeline: Pipeline, tables: Iterable[tuple[str, Table]], schema: Schema) -> Iterator[Finding]:
    """Where a table that a processor writes has other columns than its own ddl says."""
    for name, table in tables:
        live, where = schema.get(table.name), pipeline.declared[name].where
        for column, kind in (_columns_of(table) if live is not None else {}).items():
            assert live is not None
            if column not in live:
                yield Finding(what=f"{table.name} has no column {column} {kind}, which its ddl has. Add it, or see {where}")
            elif not alike(live[column], kind):
                is_so = f"{table.name}.{column} is {live[column]}, and {kind} in its ddl"
                yield Finding(what=f"{is_so}. Change one of them. See {where}")


def _lacking(question: TableQuestion, schema: Schema, where: str, told: set[tuple[str, str]]) -> Iterator[Finding]:
    for name, columns in sorted(question.columns().items()):
        live = schema.get(name)
        for column in sorted(columns - live.keys()) if live is not None else ():
            if (name, column) in told:
                continue
            told.add((name, column))
            day = column == question.table.date and name == question.table.name
            yield Finding(what=f"{name} {no_column(question, column, live or {}, where, day=day)}")


def _date_type(table: Table, live: Mapping[str, str], where: str) -> Iterator[Finding]:
    kind = live.get(table.date, table.date_type)
    if kind == table.date_type:
        return
    is_so = f"{table.name}.{table.date} is {kind}, and declared as {table.date_type}"
    mend = f'write date_type="{kind}"' if kind in _DATES else "name a DATE, TIMESTAMP or STRING column"
    yield Finding(what=f"{is_so}. {where}: {mend}")


def _columns_of(table: Table) -> dict[str, str]:
    """The columns that a table's ddl has, with their types; none where it has none, or says it in a way not known here."""
    import sqlglot
    from sqlglot import exp

    try:
        made = sqlglot.parse_one((table.ddl or "").replace("{table}", "t"), read="bigquery")
    except sqlglot.errors.SqlglotError:
        return {}
    listed = made.this.expressions if isinstance(made, exp.Create) and isinstance(made.this, exp.Schema) else ()
    return {
        column.name: google_type(column.args["kind"].sql("bigquery"))
        for column in listed
        if isinstance(column, exp.ColumnDef) and column.args.get("kind")
    }
