"""An embedded warehouse that is closed while a call that nobody waits for still uses it."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.queries.dialect import Names, Query


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


def test_ctrl_c_in_the_midst_of_a_question_is_one(tmp_path: Path) -> None:
    """The engine takes the signal and makes an error of it, as if something were wrong with the question."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb", Names(), tmp_path, read_only=False)
    warehouse.statements = []
    over = threading.Event()

    def press() -> None:
        while not warehouse.statements:
            over.wait(0.01)
        over.wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    def ask() -> None:
        while True:  # however fast this machine is, it comes in the midst of one
            warehouse._ask(cursor, "a", Query("SELECT MD5(range::VARCHAR) FROM range(1000000)", {}))

    with warehouse.cursor() as cursor:
        pressing = threading.Thread(target=press)
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            ask()
        pressing.join()
    warehouse.close()
