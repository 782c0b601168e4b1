"""The incident's shape at a thousandth of its time: dates of L4's five processors, filled by a service that lies."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from backfill_core.dates import DateSet
from backfill_core.project.session import open_project
from backfill_core.testing.layer_services import Done, Job
from backfill_core.testing.local_cloud import LocalCloud
from backfill_core.testing.service_faults import ServiceFault, Trouble

SETTINGS = """
from = "2024-01-01"
target = "cloud"
[targets.cloud]
runtime = "gcp"
project = "lies"
landing = "landing"
concurrency = 16
"""
LAYERS = """
from datetime import date
from backfill_core import EveryDay, Layer
DAILY = EveryDay("daily", since=date(2024, 1, 1))
L3 = Layer("analytics", aliases=("L3",), measured_by=("players", "player"))
L4 = Layer("precompute", aliases=("L4",), after=("analytics",), measured_by=("pcf", "player"))
"""
#: Seconds are those of the real processors by a thousand; so is the lock.
PLUGINS = """
from backfill_core import SOURCE, Answer, Http, KeysOf, Need, Processor, Rows, Service, Table
L4 = Service("l4", in_flight=5, lock=0.6, timeout=3.6)
ANSWER = Answer(results="results", processor="processor", status="status", error="error",
    means={"success": "done", "error": "failed", "exception": "failed"})
DDL = "CREATE TABLE IF NOT EXISTS {table} (day DATE, player STRING, written TIMESTAMP) PARTITION BY day"

def table(name):
    return Table(f"lies.{name}", date="day", key=("player",), updated="written", ddl=DDL)

def of_l4(name, seconds, *needs):
    run = Http("${L4_URL}/process-date", json={"analysis_date": "{date}", "processors": "{processors}"}, answer=ANSWER,
        service=L4, together="l4", in_order=True, seconds=seconds, backoff=0.01, known_as=name.upper(), identity=True)
    return Processor(name, layer="precompute", calendar="daily", writes=table(name), run=run,
        needs=(Need("players"), *needs), complete_when=KeysOf("players", share=0.9))

PLAYERS = Processor("players", layer="analytics", calendar="daily", writes=table("players"), complete_when=Rows(), run=SOURCE)
TDZA = of_l4("tdza", 0.029)
PSZA = of_l4("psza", 0.073)
PDC = of_l4("pdc", 0.065, Need("psza", soft=True))
PCF = of_l4("pcf", 0.047, Need("tdza"), Need("psza"))
MLFS = of_l4("mlfs", 0.064, Need("pdc"), Need("pcf"), Need("psza"), Need("tdza"))
"""
FIVE = ("tdza", "psza", "pdc", "pcf", "mlfs")
FIRST = date(2024, 1, 1)
PLACES = 5
#: Of 235 dates: how many meet each lie, and how often.
LIES: Mapping[Trouble, tuple[int, int | None]] = {
    Trouble.ALL_FAILED: (12, 1),
    Trouble.NOTHING_WRITTEN: (14, 1),
    Trouble.LOCK_HELD: (10, 1),
    Trouble.DROPPED: (5, 1),
}
#: The same for dates that the service skips however often it is asked: success without rows.
SKIPPED = 6


@dataclass
class Lying:
    """The service, and the dates on which it lies."""

    cloud: LocalCloud
    dates: Sequence[date]
    lies: dict[Trouble, list[date]] = field(default_factory=dict)
    skipped: list[date] = field(default_factory=list)
    #: What the run printed.
    said: str = ""

    @property
    def done(self) -> list[Done]:
        return self.cloud.behind("l4").done

    @property
    def bound(self) -> float:
        """Seconds that what the service did takes at least, in the places it has."""
        return sum(done.seconds for done in self.done) / PLACES

    def rows(self, name: str) -> dict[date, int]:
        """What a table holds, by day."""
        return Counter(row["day"] for row in self.cloud.bigquery.engine.rows("lies", name))


def write_project(folder: Path) -> Path:
    for name, text in {"backfill.toml": SETTINGS, "layers/all.py": LAYERS, "plugins/all.py": PLUGINS, "landing/none": ""}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def lying(project: Path, count: int, *, pace: float) -> Lying:
    """A cloud with so many dates to do, of which a share meets each lie; ``pace`` 1 takes its full time."""
    dates = [FIRST + timedelta(days=n) for n in range(count)]
    made: list[Lying] = []
    jobs = {name: Job(partial(_write, made, name)) for name in FIVE}
    cloud = LocalCloud(open_project(project, "cloud"), jobs=jobs, pace=pace)
    engine = cloud.bigquery.engine
    engine.load("lies", "players", [_row(day, player) for day in dates for player in "abc"])
    chosen = random.Random(13)
    left = chosen.sample(dates, len(dates))
    service = Lying(cloud, dates)
    made.append(service)
    for trouble, (often, times) in LIES.items():
        service.lies[trouble] = [left.pop() for _ in range(max(1, round(often * count / 235)))]
        for day in service.lies[trouble]:
            cloud.services["l4"].faults.add(ServiceFault(trouble, match=f'"{day}"', times=times))
    service.skipped = [left.pop() for _ in range(max(1, round(SKIPPED * count / 235)))]
    return service


def _row(day: date, player: str) -> dict[str, Any]:
    return {"day": day, "player": player, "written": datetime.now(UTC)}


def _write(made: list[Lying], name: str, days: Sequence[date]) -> int:
    """Does a date's work, but for those that the service skips."""
    (service,) = made
    rows = [_row(day, player) for day in days if day not in service.skipped for player in "abc"]
    service.cloud.bigquery.engine.load("lies", name, rows)
    return len(rows)


def run(project: Path, service: Lying) -> dict[str, Any]:
    """Carries everything out by the real command, and returns what `status` says of it."""
    last = str(service.dates[-1])
    words = ["execute", "--to", last, "--today", "2025-01-01", "--yes", "--skip-preflight"]
    service.said = _backfill(project, service, *words).stdout
    return json.loads(_backfill(project, service, "status", "--format", "json").stdout)


def _backfill(project: Path, service: Lying, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | service.cloud.environment
    command = [sys.executable, "-m", "backfill_core", *words]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def check(service: Lying, told: Mapping[str, Any]) -> None:
    """Raises AssertionError unless every lie was found, and what is told is what the tables hold and the service did."""
    words = {each["name"]: each["words"] for each in told["processors"]}
    gone = service.lies[Trouble.ALL_FAILED] + service.skipped
    dropped = service.lies[Trouble.DROPPED]
    late = service.lies[Trouble.NOTHING_WRITTEN] + service.lies[Trouble.LOCK_HELD] + service.skipped
    for name in FIVE:
        there = service.rows(name)
        lacking = {*gone, *dropped} if name == "mlfs" else set(gone)
        assert there == dict.fromkeys(set(service.dates) - lacking, 3), "each date is written once, and only those that can be"
        assert words[name]["done"] == len(there), f"{name}: what wrote nothing is not done"
        # What needs a processor that failed cannot be, and is blocked rather than failed.
        assert words[name]["blocked"] == (len(gone) if name in ("pcf", "mlfs") else 0)
        assert sum(words[name].values()) == len(service.dates)
    for name in ("tdza", "psza"):
        assert _days(told["wrote_nothing"][name]) == {str(day) for day in late}, "success without work is seen, and told"
    causes = {each["cause"]: each["units"] for each in told["causes"] if each["word"] == "failed"}
    assert causes == {
        "it was asked to fail": 3 * len(service.lies[Trouble.ALL_FAILED]),
        "wrote nothing, N wanted": 3 * len(service.skipped),
        "the service did not answer for it": len(dropped),
    }
    assert service.cloud.services["l4"].most <= PLACES


def _days(listed: Sequence[str]) -> set[str]:
    """Every day of a set as JSON has it."""
    return {str(day) for day in DateSet.from_json(listed)}
