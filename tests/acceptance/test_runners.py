"""Programs, functions in other processes and a service, run by the real command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import duckdb
import pytest

from faulty_service import Asked, Fault, Said, Service, serving
from projects import backfill
from shop import SETTINGS

LAYERS = """
from datetime import date
from backfill_core import EveryDay, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",), measured_by=("orders", "shop"))
SUMS = Layer("sums", aliases=("L2",), after=("raw",))
SCORES = Layer("scores", aliases=("L3",), after=("sums",))
"""
PLUGINS = """
import sys
from pathlib import Path
from backfill_core import Answer, Command, Http, KeysOf, Need, Processor, Python, Rows, Service, Sign, Table

SCORING = Service(name="scoring", in_flight=2, timeout=60)
ANSWER = Answer(results="results", processor="name", status="status", means={"success": "done", "error": "failed"},
    error="error", signs=(Sign("declined", status=503, at="code", values=("DATA_INCOMPLETE",)),))

def sell(dates, ctx):
    return [{"day": day, "shop": shop, "amount": day.day} for day in dates for shop in "ab"]

def table(name):
    return Table(f"shop.{name}", date="day", key=("shop",))

def scored(name, known_as):
    return Processor(name, layer="scores", calendar="daily", writes=table(name), needs=(Need("sums"),),
        complete_when=KeysOf("orders"), run=Http("${SCORING_URL}/process-date", known_as=known_as, answer=ANSWER,
            json={"date": "{date}", "names": "{processors}", "reason": "{reason}", "forced": "{forced}"},
            headers={"Authorization": "Bearer ${SCORING_TOKEN}"}, service=SCORING, together="scoring", backoff=0.01))

ORDERS = Processor("orders", layer="raw", calendar="daily", writes=table("orders"), complete_when=Rows(at_least=2),
    run=Python(sell, process=True))
SUMS = Processor("sums", layer="sums", calendar="daily", writes=table("sums"), needs=(Need("orders"),),
    complete_when=KeysOf("orders"),
    run=Command([sys.executable, "tools/sums.py", "{date_from}", "{date_to}"], max_dates=2, exit_codes={3: "declined"}))
BOTH = [scored("scores", "ScoreProcessor"), scored("ranks", "RankProcessor")]
"""
TOOL = """
import os, sys, duckdb
first, last = sys.argv[1:]
print("summing", first, last, flush=True)
if os.path.exists("short") and first <= "2024-05-03" <= last:
    print("two shops of three")
    sys.exit(3)
days = f"generate_series(DATE '{first}', DATE '{last}', INTERVAL 1 DAY) AS t(day)"
rows = f"SELECT day::DATE AS day, shop, 1 AS amount FROM {days}, (VALUES ('a'), ('b')) AS s(shop)"
duckdb.execute(f"COPY ({rows}) TO '{os.environ['BACKFILL_OUT']}/sums.parquet' (FORMAT parquet)")
"""
STAYS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open("pids.new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename("pids.new", "pids")
time.sleep(600)
"""
SPAN = ("--to", "2024-05-04", "--today", "2024-05-20")
OURS = {"ScoreProcessor": "scores", "RankProcessor": "ranks"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    settings = SETTINGS.replace("from =", "concurrency = 2\nfrom =")
    files = {"pyproject.toml": settings, "layers/all.py": LAYERS, "plugins/all.py": PLUGINS, "tools/sums.py": TOOL}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    # The service cannot open the warehouse: it leaves files in a lake, which the warehouse sees as views.
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA shop")
        for name in OURS.values():
            (tmp_path / "lake" / name).mkdir(parents=True)
            lake_file(tmp_path, name, "2024-04-30", "WHERE false")
            connection.execute(f"CREATE VIEW shop.{name} AS SELECT * FROM read_parquet('{tmp_path}/lake/{name}/*.parquet')")
    return tmp_path


def lake_file(project: Path, name: str, day: str, rows: str = "") -> None:
    """Writes a date's rows beside the lake, and puts them there as one thing."""
    new = project / f"{name}-{day}.parquet"
    query = f"SELECT DATE '{day}' AS day, shop, 1 AS points FROM (VALUES ('a'), ('b')) AS s(shop) {rows}"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{new}' (FORMAT parquet)")
    new.rename(project / "lake" / name / f"{day}.parquet")


def scoring(project: Path, lies: Callable[[str, int], Said | None]) -> Callable[[Asked, int], Said]:
    """A service that does its work, but for the dates and times for which ``lies`` has another answer."""
    times: dict[str, int] = {}

    def says(asked: Asked, _before: int) -> Said:
        day = asked.body["date"]
        times[day] = times.get(day, 0) + 1
        lie = lies(day, times[day])
        if lie is not None:
            return lie
        for name in asked.body["names"]:
            lake_file(project, OURS[name], day)
        return Said(body={"results": [{"name": name, "status": "success"} for name in asked.body["names"]]})

    return says


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Service], None]]:
    def given(service: Service) -> None:
        monkeypatch.setenv("SCORING_URL", service.url)
        monkeypatch.setenv("SCORING_TOKEN", "s3cr3t-t0ken")

    return given


def rows(project: Path) -> dict[str, int]:
    with duckdb.connect(str(project / "w.duckdb"), read_only=True) as connection:
        names = ("orders", "sums", "scores", "ranks")
        return {name: connection.execute(f"SELECT COUNT(*) FROM shop.{name}").fetchall()[0][0] for name in names}


def everything_that_was_kept(project: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((project / ".backfill").rglob("*")) if path.is_file())


def test_three_layers_of_strangers(project: Path, secrets: Callable[[Service], None]) -> None:
    with serving(scoring(project, lambda _day, _time: None)) as service:
        secrets(service)
        ran = backfill(project, "execute", *SPAN, "--yes")
        assert (ran.returncode, ran.stderr) == (0, "")
        again = backfill(project, "execute", *SPAN, "--yes")
    assert rows(project) == {"orders": 8, "sums": 8, "scores": 8, "ranks": 8}
    assert sorted(asked.body["date"] for asked in service.asked) == [f"2024-05-0{day}" for day in (1, 2, 3, 4)]
    assert service.asked[0].body | {"date": ""} == {
        "date": "",
        "names": ["RankProcessor", "ScoreProcessor"],
        "reason": "missing",
        "forced": False,
    }
    assert {asked.headers["Authorization"] for asked in service.asked} == {"Bearer s3cr3t-t0ken"}
    assert len({asked.headers["Idempotency-Key"] for asked in service.asked}) == 4
    assert "0 units" in again.stdout or "nothing to do" in again.stdout
    logs = {path.name: path.read_text(encoding="utf-8") for path in (project / ".backfill" / "logs" / "r1").iterdir()}
    assert sum("summing 2024-05-" in text for text in logs.values()) == 2
    assert sum("/process-date" in text for text in logs.values()) == 4
    kept = everything_that_was_kept(project) + ran.stdout.encode()
    assert b"process-date" in kept
    assert b"s3cr3t" not in kept


def lies(day: str, time: int) -> Said | None:
    """A different one for each date, the first time."""
    if time > 1:
        return None
    return {
        # A success that wrote nothing.
        "2024-05-01": Said(body={"results": [{"name": name, "status": "success"} for name in OURS]}),
        # Too many calls.
        "2024-05-02": Said(429, {"error": "slow down"}, {"Retry-After": "0"}),
        # A status of success, and one of two failed for good.
        "2024-05-03": Said(body={"results": [{"name": "ScoreProcessor", "status": "error", "error": "no model"}]}),
        "2024-05-04": Said(503, {"code": "DATA_INCOMPLETE", "error": "3 of 9 shops"}),
    }.get(day)


def test_a_service_that_lies_is_found_out(project: Path, secrets: Callable[[Service], None]) -> None:
    with serving(scoring(project, lies)) as service:
        secrets(service)
        ran = backfill(project, "execute", *SPAN, "--yes")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "no model" in ran.stdout
    assert rows(project) == {"orders": 8, "sums": 8, "scores": 4, "ranks": 4}, ran.stdout
    assert "exit 1: 2 failed, 2 declined" in ran.stdout
    assert "the service did not answer for it" in ran.stdout
    assert "3 of 9 shops" in ran.stdout


#: What the first call of a date meets, and whether the service did its work before. The dates between them go well, so that no
#: breaker opens.
FAULTS: dict[str, tuple[Said, bool]] = {
    "2024-05-01": (Said(429, {"error": "slow down"}, {"Retry-After": "0"}), False),
    "2024-05-03": (Said(500, b"Traceback"), False),
    "2024-05-05": (Said(503, b"burst"), False),
    "2024-05-07": (Said(fault=Fault.RESET), True),
    "2024-05-09": (Said(body={"results": [{"name": name, "status": "success"} for name in OURS]}, fault=Fault.TRUNCATED), True),
    "2024-05-11": (Said(body=b"<html>gateway</html>"), False),
    "2024-05-13": (Said(504, b"upstream"), False),
    "2024-05-15": (Said(body={"results": [{"name": name, "status": "success"} for name in OURS]}), False),
}


def test_whatever_a_service_does_the_first_time_the_tables_are_full_in_the_end(
    project: Path, secrets: Callable[[Service], None]
) -> None:
    """Where the work was done and its answer lost, the tables tell, and nothing is delivered twice."""
    works = scoring(project, lambda _day, _time: None)
    met: set[str] = set()

    def answer(asked: Asked, before: int) -> Said:
        day = asked.body["date"]
        said, worked = FAULTS.get(day, (None, True))
        if said is None or day in met:
            return works(asked, before)
        met.add(day)
        if worked:
            works(asked, before)
        return said

    span = ("--to", "2024-05-16", "--today", "2024-05-20")
    with serving(answer) as service:
        secrets(service)
        ran = backfill(project, "execute", *span, "--priority", "oldest", "--yes")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert rows(project) == dict.fromkeys(("orders", "sums", "scores", "ranks"), 32)
    calls = [asked.body["date"] for asked in service.asked]
    assert {day: calls.count(day) for day in FAULTS} == {day: 1 if worked else 2 for day, (_, worked) in FAULTS.items()}
    keys = {(asked.body["date"], asked.headers["Idempotency-Key"]) for asked in service.asked}
    assert len(keys) == 16, "a call again is the same call to the service"


def test_a_call_that_is_delivered_twice_is_known_by_its_key_or_found_in_the_table(
    project: Path, secrets: Callable[[Service], None]
) -> None:
    """Somebody between repeats each request; for one date the service does not look at the key, and adds its rows twice."""
    plugins = project / "plugins" / "all.py"
    text = plugins.read_text(encoding="utf-8").replace("Service, Sign, Table", "Service, Sign, Table, UniqueKey")
    with_rule = text.replace('run=Http("${SCORING_URL}', 'rules=(UniqueKey(),), run=Http("${SCORING_URL}')
    plugins.write_text(with_rule, encoding="utf-8")
    works, keys = scoring(project, lambda _day, _time: None), set[str]()

    def delivered(asked: Asked, before: int) -> Said:
        day, key = asked.body["date"], asked.headers["Idempotency-Key"]
        if key not in keys:
            keys.add(key)
            return works(asked, before)
        for name in asked.body["names"] if day == "2024-05-03" else ():
            lake = project / "lake" / OURS[name]
            shutil.copy(lake / f"{day}.parquet", lake / f"{day}-again.parquet")
        return Said(body={"results": [{"name": name, "status": "success"} for name in asked.body["names"]]})

    def twice(asked: Asked, before: int) -> Said:
        delivered(asked, before)
        return delivered(asked, before)

    with serving(twice) as service:
        secrets(service)
        ran = backfill(project, "execute", *SPAN, "--yes")
    told = " ".join(ran.stdout.split())
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "failed 2 invalid: unique key" in told and "exit 1: 2 failed" in told, told
    assert rows(project) == {"orders": 8, "sums": 8, "scores": 10, "ranks": 10}
    calls = [asked.body["date"] for asked in service.asked]
    assert {day: calls.count(day) for day in calls} == {"2024-05-01": 1, "2024-05-02": 1, "2024-05-03": 2, "2024-05-04": 1}


def test_a_program_that_declines(project: Path, secrets: Callable[[Service], None]) -> None:
    (project / "short").touch()
    with serving(Said(body={"results": []})) as service:
        secrets(service)
        ran = backfill(project, "execute", "--through", "sums", *SPAN, "--yes")
    assert (ran.returncode, service.asked) == (1, [])
    assert "exit 1: 2 declined" in ran.stdout
    assert "exit 3: two shops of three" in ran.stdout


def test_what_cannot_be_filled_in_is_told_before_anything_runs(project: Path) -> None:
    ran = backfill(project, "execute", *SPAN, "--yes")
    assert ran.returncode == 2
    what = 'processor "ranks" names the environment variable SCORING_URL, which is not set. Set it; nothing was run'
    assert ran.stderr.replace("\n  ", " ").strip().endswith(what)
    assert "plugins/all.py:" in ran.stderr
    assert not (project / ".backfill" / "logs").exists()
    plugins = project / "plugins" / "all.py"
    plugins.write_text(PLUGINS.replace('"{date_to}"', '"{date_till}"'), encoding="utf-8")
    ran = backfill(project, "plan", *SPAN)
    assert ran.returncode == 2
    assert 'processor "sums" names {date_till} in the argument "{date_till}", which no call has.' in ran.stderr
    assert 'Did you mean "date_to"?' in ran.stderr
    line = 1 + PLUGINS[: PLUGINS.index('Processor("sums"')].count("\n")
    assert f"plugins/all.py:{line}: " in ran.stderr


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in ("Z", "X")
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool]) -> bool:
    end = monotonic() + 30
    while monotonic() < end:
        if condition():
            return True
        os.sched_yield()
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_a_run_that_is_stopped_twice_leaves_no_program_behind(project: Path) -> None:
    (project / "tools" / "sums.py").write_text(STAYS, encoding="utf-8")
    command = [sys.executable, "-m", "backfill_core", "execute", "--through", "sums", "--to", "2024-05-01", *SPAN[2:], "--yes"]
    run = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert until((project / "pids").exists)
    pids = [int(word) for word in (project / "pids").read_text(encoding="utf-8").split()]
    run.send_signal(signal.SIGINT)
    assert run.stdout is not None
    assert any("in flight" in line for line in run.stdout)
    assert not any(map(gone, pids)), "the first one waits for what is in flight"
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert until(lambda: all(map(gone, pids)))
