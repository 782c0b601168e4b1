"""An embedded warehouse that is closed while a call that nobody waits for still uses it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
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


ASKING = """
import signal, sys, time
from pathlib import Path
from backfill_core.adapters.duckdb_warehouse import DuckDBWarehouse
from backfill_core.queries.dialect import Names, Query

warehouse = DuckDBWarehouse(Path(sys.argv[1]), Names(), Path(), read_only=False)
warehouse._connection.execute("SET threads = 1")  # else another thread may do the work, and this one hears of nothing
until = time.monotonic() + 60
signal.signal(signal.SIGINT, signal.default_int_handler)
print("asking", flush=True)
try:
    while time.monotonic() < until:
        warehouse._ask(warehouse._connection, "a", Query("SELECT MAX(MD5(range::VARCHAR)) FROM range(1000000)", {}))
except KeyboardInterrupt:
    print("heard", flush=True)
"""


def test_ctrl_c_in_the_midst_of_a_question_is_one(tmp_path: Path) -> None:
    """The engine takes the signal and makes an error of it, as if something were wrong with the question."""
    command = [sys.executable, "-c", ASKING, str(tmp_path / "w.duckdb")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "asking\n"
    time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said, errors = child.communicate(timeout=90)
    assert (said, errors) == ("heard\n", "")
