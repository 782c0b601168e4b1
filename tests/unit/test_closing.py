"""An embedded warehouse that is closed while a call that nobody waits for still uses it."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import duckdb

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.queries.dialect import Names


def test_a_warehouse_in_use_is_closed_without_a_word(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb", Names(), tmp_path, read_only=False)
    connection, begun = warehouse._connection, threading.Event()

    def work() -> None:
        begun.set()
        with suppress(duckdb.Error):
            connection.execute("SELECT SUM(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b")

    at_work = threading.Thread(target=work)
    at_work.start()
    begun.wait(10)
    warehouse.close()
    while at_work.is_alive():  # it may not have begun when it was first told
        with suppress(duckdb.Error):
            connection.interrupt()
        at_work.join(0.05)
