"""``backfill create-tables``."""

from __future__ import annotations

from pathlib import Path

import click

from backfill_core.cli.options import target_option
from backfill_core.cli.output import say
from backfill_core.model.table import Table


@click.command("create-tables")
@click.option("--yes", is_flag=True, help="Make them; without it they are only shown.")
@target_option
@click.pass_obj
def command(project: str, yes: bool, target: str | None) -> None:
    """Make the declared tables that are not there yet, from their ddl. Shows the statements; makes them with --yes."""
    from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
    from backfill_core.project.session import open_project

    session = open_project(Path(project), target)
    tables = [processor.writes for processor in session.pipeline.processors.values() if isinstance(processor.writes, Table)]
    with session.warehouse(read_only=not yes) as warehouse:
        there = warehouse.schema(sorted({table.dataset for table in tables}))
        absent = list({table.name: table for table in tables if table.name not in there}.values())
        say([f"create-tables  {session.target_name}  {session.project_words}"])
        for table in absent:
            if not table.ddl:
                say([f"{table.name} is not there, and no ddl is declared"])
            elif isinstance(warehouse, DuckDBWarehouse):
                if yes:
                    warehouse.make(table)
                click.echo(f"{'made' if yes else 'would make'} {table.name}")
            else:
                from backfill_core.adapters.bigquery_tables import create_statement, make_table

                if yes:
                    make_table(warehouse, table)
                click.echo(f"made {table.name}" if yes else create_statement(warehouse, table) + ";")
    declared = [table for table in absent if table.ddl]
    if declared and not yes:
        say([f"dry: nothing was made. next: backfill create-tables --target {session.target_name} --yes"])
    elif len(absent) > len(declared):
        say(["what has no ddl cannot be made here: write ddl=… in its Table, or make it yourself"])
    else:
        say([f"every declared table is there. next: backfill plan --target {session.target_name}"])
