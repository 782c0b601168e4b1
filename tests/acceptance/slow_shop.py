"""A small project whose first layer waits while a file lies there, so that a test can look at a run under way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from backfill_core.cli import cli
from backfill_core.errors import BackfillError, NoRunYet
from backfill_core.project.past_runs import read_run
from backfill_core.project.session import open_place
from backfill_core.reports.run_texts import status_lines

SETTINGS = """
[tool.backfill]
from = "2024-05-01"
[tool.backfill.targets.local]
runtime = "local"
warehouse = "w.duckdb"
landing = "landing"
"""
LAYERS = """
from datetime import date
from backfill_core import EveryDay, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))
SUMS = Layer("sums", aliases=("L2",), after=("raw",), measured_by=("sums", "shop"))
"""
PLUGINS = """
import time
from datetime import UTC, datetime
from pathlib import Path
from backfill_core import KeysOf, Need, Processor, Python, Rows, Sql, Table, UniqueKey, days

def load(dates, ctx):
    while Path("slow").exists():
        time.sleep(0.02)
    for day in dates:
        if Path(f"broken-{day}").exists():
            raise RuntimeError(Path(f"broken-{day}").read_text().strip() or f"HTTP 503 for {day}")
    stamp = datetime.now(UTC)
    return [{"day": d, "shop": shop, "amount": d.day * 10 + n, "written": stamp} for d in dates for n, shop in enumerate("abc")]

ORDERS = Processor("orders", layer="raw", calendar="daily",
    writes=Table("shop.orders", date="day", key=("shop",), updated="written"),
    complete_when=Rows(at_least=3), rules=(UniqueKey(),), run={"local": Python(load, max_dates=1)})
SUMS = Processor("sums", layer="sums", calendar="daily", writes=Table("shop.sums", date="day", key=("shop",)),
    needs=(Need("orders"), Need("orders", window=days(2))), complete_when=KeysOf("orders"),
    run={"local": Sql("sums.sql")})
"""
SQL = "SELECT day, shop, SUM(amount) AS amount FROM {orders} WHERE day BETWEEN @date_from AND @date_to GROUP BY day, shop"
SPAN = ("--to", "2024-05-10", "--today", "2024-05-20")


def make_slow_shop(folder: Path) -> Path:
    for name, text in {
        "pyproject.toml": SETTINGS,
        "layers/all.py": LAYERS,
        "plugins/all.py": PLUGINS,
        "plugins/sums.sql": SQL,
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    return folder


def execute(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ask(project, "execute", *SPAN, "--yes", *words)


#: What was begun, to be ended whatever a test comes to.
BEGUN: list[subprocess.Popen[str]] = []


def begin(project: Path, *words: str) -> subprocess.Popen[str]:
    """That command, going on by itself."""
    command = [sys.executable, "-m", "backfill_core", *words]
    running = subprocess.Popen(
        command, cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    BEGUN.append(running)
    return running


def end_all() -> None:
    """Kills what a failed test left behind."""
    while BEGUN:
        running = BEGUN.pop()
        if running.returncode is None:
            running.kill()
            running.communicate()


def begin_slow(project: Path, *words: str) -> subprocess.Popen[str]:
    """An execute whose first calls wait until the file ``slow`` is gone, in flight already."""
    (project / "slow").touch()
    running = begin(project, "execute", *SPAN, "--yes", *words)
    wait_for(project, r"in flight [1-9]")
    return running


def wait_for(project: Path, pattern: str) -> str:
    """Waits until ``status`` says so, and returns what it says. It looks by itself: processes take too long."""
    deadline = time.monotonic() + 60
    while not re.search(pattern, shown := status(project)):
        assert time.monotonic() < deadline, f"{pattern} was never seen in: {shown}"
        time.sleep(0.02)
    return shown


def status(project: Path) -> str:
    try:
        state, alive = read_run(open_place(project, None), None)
    except NoRunYet:
        return ""
    return "\n".join(status_lines(state, datetime.now(UTC), alive=alive))


def ask(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The same as `backfill`, for what needs no process of its own: a command in this one takes a third of the time."""
    came = CliRunner().invoke(cli, ["--project", str(project), *words])
    told, code = "", came.exit_code
    if isinstance(came.exception, BackfillError):
        told, code = f"{came.exception.label}: {came.exception}\n", int(came.exception.exit_code)
    elif came.exception is not None and not isinstance(came.exception, SystemExit):
        raise came.exception
    return subprocess.CompletedProcess(words, code, stdout=came.stdout, stderr=came.stderr + told)


def asked(project: Path, *words: str) -> Any:
    came = ask(project, *words, "--format", "json")
    assert came.returncode == 0, came.stderr
    return json.loads(came.stdout)


def finish(running: subprocess.Popen[str]) -> str:
    shown, _ = running.communicate(timeout=60)
    return shown
