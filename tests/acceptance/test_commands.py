"""The real command on a small project: what a person types, sees and gets as exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from projects import answer, apart, backfill, on_a_screen

DAYS = [f"2024-05-{day:02}" for day in range(1, 11)]
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
from backfill_core import EveryDay, Gate, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
RAW = Layer("raw", aliases=("L1",))
SUMS = Layer("sums", aliases=("L2",), after=("raw",))
"""
PLUGINS = """
import time
from pathlib import Path
from backfill_core import KeysOf, Need, Processor, Python, Rows, Sql, Table, UniqueKey, days

def load(dates, ctx):
    while Path("slow").exists():
        time.sleep(0.02)
    return [{"day": day, "shop": shop, "amount": day.day * 10 + n} for day in dates for n, shop in enumerate("abc")]

ORDERS = Processor("orders", layer="raw", calendar="daily", writes=Table("shop.orders", date="day", key=("shop",)),
    complete_when=Rows(at_least=3), rules=(UniqueKey(),), run={"local": Python(load, max_dates=2)})
SUMS = Processor("sums", layer="sums", calendar="daily", writes=Table("shop.sums", date="day", key=("shop",)),
    needs=(Need("orders"), Need("orders", window=days(2))), complete_when=KeysOf("orders"),
    run={"local": Sql("sums.sql")})
"""
SQL = "SELECT day, shop, SUM(amount) AS amount FROM {orders} WHERE day BETWEEN @date_from AND @date_to GROUP BY day, shop"


def test_ctrl_c_while_the_commands_load_leaves_in_a_line(tmp_path: Path) -> None:
    """A library that it loads sends the signal: no moment of a process that is about to begin is easier to meet."""
    # Whoever starts these tests in the background lets the signal be ignored.
    heard = "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    at_once = heard + "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"
    (tmp_path / "click.py").write_text(at_once, encoding="utf-8")
    for begun in (["-m", "backfill_core"], ["-c", "from backfill_core.__main__ import main; main()"]):
        came = subprocess.run(
            [sys.executable, *begun], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)}
        )
        assert (came.returncode, came.stdout, came.stderr) == (130, "", "\nnothing was run\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "pyproject.toml": SETTINGS,
        "layers/all.py": LAYERS,
        "plugins/all.py": PLUGINS,
        "plugins/sums.sql": SQL,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


SPAN = ("--to", "2024-05-10", "--today", "2024-05-20")


def execute(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return backfill(project, "execute", *SPAN, "--yes", *words)


def spoil(project: Path, *statements: str) -> None:
    with duckdb.connect(str(project / "w.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


def test_plan_execute_plan(project: Path) -> None:
    first = apart(project, "plan", *SPAN, "--format", "json")
    assert first.stdout == apart(project, "plan", *SPAN, "--format", "json").stdout
    assert not (project / ".backfill").exists()
    assert not (project / "w.duckdb").exists()
    assert json.loads(first.stdout)["totals"] == {"units": 20, "blocked": 0}
    done = execute(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "remaining: nothing" in done.stdout
    assert answer(project, "plan", *SPAN)["totals"]["units"] == 0
    assert "nothing to do" in apart(project, "plan", *SPAN).stdout
    assert "ENDED" in apart(project, "status").stdout
    assert answer(project, "report")["exit_code"] == 0
    assert "# Run r1" in apart(project, "report").stdout
    assert apart(project, "validate", *SPAN).returncode == 0


def test_what_is_spoiled_is_what_the_next_plan_has(project: Path) -> None:
    execute(project)
    spoil(
        project,
        "DELETE FROM shop.orders WHERE day = '2024-05-03'",
        "DELETE FROM shop.orders WHERE day = '2024-05-05' AND shop = 'a'",
        "INSERT INTO shop.orders SELECT * FROM shop.orders WHERE day = '2024-05-07' AND shop = 'b'",
        "DELETE FROM shop.sums WHERE day = '2024-05-09'",
    )
    plan = answer(project, "plan", *SPAN)
    reasons = {p["name"]: {r["reason"]: r["dates"] for r in p["reasons"]} for s in plan["stages"] for p in s["processors"]}
    assert reasons["orders"] == {
        "missing": ["2024-05-03"],
        "partial 2/3": ["2024-05-05"],
        "invalid: unique key": ["2024-05-07"],
    }
    assert reasons["sums"]["missing"] == ["2024-05-09"]
    assert execute(project).returncode == 0
    assert answer(project, "plan", *SPAN)["totals"]["units"] == 0


def test_a_dry_run_writes_nothing(project: Path) -> None:
    before = sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts)
    dry = execute(project, "--dry-run")
    assert (dry.returncode, dry.stdout.splitlines()[-2]) == (0, "dry run: nothing was written")
    assert dry.stdout.splitlines()[-1].startswith("next: backfill execute --to ")
    assert before == sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts)


def test_a_plan_file_is_carried_out_refused_or_drifts(project: Path) -> None:
    assert backfill(project, "plan", *SPAN, "--out", "plan.json").returncode == 0
    execute(project, "--dates", "2024-05-01..2024-05-08")
    dropped = backfill(project, "execute", "--plan", "plan.json", "--yes")
    assert dropped.returncode == 0, dropped.stdout + dropped.stderr
    assert "8 units became complete" in dropped.stdout
    assert backfill(project, "plan", *SPAN, "--out", "plan.json").returncode == 0
    spoil(project, "DELETE FROM shop.orders WHERE day = '2024-05-03'")
    drifted = backfill(project, "execute", "--plan", "plan.json", "--yes")
    assert (drifted.returncode, "Nothing was run" in drifted.stderr) == (4, True)
    assert " was made: orders 2024-05-03: not planned -> missing; sums 2024-05-03" in drifted.stderr
    plugin = project / "plugins" / "all.py"
    plugin.write_text(plugin.read_text().replace("at_least=3", "at_least=2"), encoding="utf-8")
    stale = backfill(project, "execute", "--plan", "plan.json", "--yes")
    assert (stale.returncode, "stale" in stale.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plan", "--through", "L9"], 'no layer "L9". Layers: raw (L1), sums (L2).'),
        (["plan", "--processor", "order"], 'Did you mean "orders"?'),
        (["plan", "--from", "2024-05-09", "--to", "2024-05-01"], "--from 2024-05-09 is after --to 2024-05-01"),
        (["plan", "--dates", ","], "no date was given"),
        (["plan", "--limit", "0"], "'0' will not do. Type a whole number, 1 or more."),
        (["execute", "--concurrency", "x"], "'x' will not do. Type a whole number, 1 to 256."),
        (["doctor", "--from", "2024-13-01"], "'2024-13-01' is no date. Type YYYY-MM-DD."),
        (["plan", "--dates", "2024-05-41"], "Type dates as YYYY-MM-DD"),
        (["plan", "--dates-file", "nowhere.csv"], "No such file"),
        (["plan", "--dates-file", "pyproject.toml"], "cannot read dates from pyproject.toml"),
        (["plan", "--target", "gcp"], 'no target "gcp"'),
        (["execute", "--plan", "pyproject.toml"], "it is no JSON"),
        (["status"], "no run yet"),
        (["plam"], 'Did you mean "plan"?'),
        (["plan", "--form", "json"], "--format"),
        (["plan", "--layer", "L2", "--through", "L1"], "they leave no processor"),
        (["plan", "--season", "2023-24"], 'no season "2023-24"'),
        (["plan", "--season", "2023-24", "--from", "2024-05-01"], "Take --from"),
        (["plan", "--dates", "2024-05-03", "--from", "2024-05-08"], "none of the dates"),
        (["plan", "--today", "2024-05-01"], "is after yesterday, 2024-04-30"),
        (["execute", "--plan", "plan.json", "--layer", "L1"], "Take away: --layer L1"),
    ],
)
def test_wrong_input_is_told_in_a_line_and_changes_nothing(project: Path, words: list[str], told: str) -> None:
    came = backfill(project, *words)
    assert came.returncode == 2
    assert told in came.stderr
    assert "Traceback" not in came.stderr
    assert not (project / ".backfill").exists()


def test_broken_files_are_told_together(project: Path) -> None:
    (project / "plugins" / "broken.py").write_text("x = (\n", encoding="utf-8")
    (project / "layers" / "raises.py").write_text("\nraise ValueError('no')\n", encoding="utf-8")
    came = backfill(project, "plan")
    assert came.returncode == 2
    assert "plugins/broken.py:1: syntax error" in came.stderr
    assert "layers/raises.py:2: ValueError: no" in came.stderr
    (project / "plugins" / "another.py").write_text("from .broken import x\n", encoding="utf-8")
    (project / "plugins" / "nul.py").write_bytes(b"x = 1\ny = '\0'\n")
    (project / "plugins" / "wordless.py").write_text("raise RuntimeError\n", encoding="utf-8")
    told = backfill(project, "plan").stderr.splitlines()
    assert told == [
        "error: layers/raises.py:2: ValueError: no",
        "error: plugins/broken.py:1: syntax error: '(' was never closed",
        "error: plugins/nul.py:2: it holds a NUL byte, and is no Python. Save it as text in UTF-8",
        "error: plugins/wordless.py:1: RuntimeError",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("complete_when=Rows", "complet_when=Rows", 'Processor takes no complet_when=. Did you mean "complete_when"?'),
        ("complete_when=Rows(at_least=3), ", "", "Processor wants complete_when=, and it is not given"),
        ('date="day", key=("shop",)', '"day"', "Table takes name alone without its name. Write the others as name=value: date,"),
        ("import KeysOf", "import KeyOf", 'backfill_core has no "KeyOf". Did you mean "KeysOf"?'),
    ],
)
def test_a_declaration_that_is_written_wrong_is_told_as_its_author_wrote_it(project: Path, old: str, new: str, told: str) -> None:
    plugin = project / "plugins" / "all.py"
    text = plugin.read_text(encoding="utf-8")
    assert old in text
    plugin.write_text(text.replace(old, new, 1), encoding="utf-8")
    came = backfill(project, "plan")
    assert (came.returncode, told in came.stderr) == (2, True), came.stderr


@pytest.mark.parametrize("more", ["", ", process=True"])
def test_a_slip_in_a_function_is_told_with_its_line(project: Path, more: str) -> None:
    plugin = project / "plugins" / "all.py"
    text = plugin.read_text(encoding="utf-8").replace("max_dates=2", f"max_dates=2{more}")
    plugin.write_text(text.replace("    while Path", "    ctx.tables['nope']\n    while Path"), encoding="utf-8")
    said = execute(project, "--layer", "L1", "--dates", "2024-05-01").stdout
    assert "failed: orders 2024-05-01: 'nope' (KeyError, plugins/all.py:7)\n" in said
    plugin.write_text(text.replace("    while Path", "    raise ValueError('nothing came')\n    while Path"), encoding="utf-8")
    assert "failed: orders 2024-05-01: nothing came\n" in execute(project, "--layer", "L1", "--dates", "2024-05-01").stdout


def test_a_broken_file_hides_nothing_of_the_others_but_what_it_may_declare_itself(project: Path) -> None:
    plugin = project / "plugins" / "all.py"
    text = plugin.read_text(encoding="utf-8")
    plugin.write_text(text.replace('Need("orders")', 'Need("orders"), Need("nobody"), Need("orders", share=7)'), encoding="utf-8")
    (project / "plugins" / "broken.py").write_text("x = (\n", encoding="utf-8")
    told = backfill(project, "plan").stderr
    assert "plugins/broken.py:1: syntax error" in told
    assert 'processor "sums"' in told and "Shares go from above 0 to 1" in told
    assert "which nothing declares" not in told
    (project / "plugins" / "broken.py").unlink()
    assert 'names processor "nobody", which nothing declares' in backfill(project, "plan").stderr


def test_layers_that_go_round_hide_no_layer_out_of_order(project: Path) -> None:
    layers = project / "layers" / "all.py"
    text = layers.read_text(encoding="utf-8") + '\nA = Layer("a", after=("b",))\nB = Layer("b", after=("a",))\n'
    layers.write_text(text.replace('after=("raw",), ', "").replace('after=("raw",)', "after=()"), encoding="utf-8")
    told = backfill(project, "graph").stderr
    assert "layers go round: a -> b -> a" in told
    assert 'reads "orders", but layer "raw" does not come before it' in told


def test_all_that_is_wrong_with_a_graph_is_told_at_once(project: Path) -> None:
    text = (project / "plugins" / "all.py").read_text()
    (project / "plugins" / "all.py").write_text(text.replace('Need("orders")', 'Need("ordrs")'), encoding="utf-8")
    text = (project / "layers" / "all.py").read_text()
    (project / "layers" / "all.py").write_text(text.replace('after=("raw",)', 'after=("row",)'), encoding="utf-8")
    came = backfill(project, "graph")
    assert came.returncode == 2
    assert 'plugins/all.py:13: processor "sums" names processor "ordrs"' in came.stderr
    assert 'layers/all.py:6: layer "sums" names layer "row", which nothing declares. Did you mean "raw"?' in came.stderr


def test_a_table_without_its_column(project: Path) -> None:
    spoil(project, "CREATE SCHEMA shop", "CREATE TABLE shop.orders (dai DATE, shop VARCHAR)")
    came = backfill(project, "plan", *SPAN)
    assert (came.returncode, "Traceback" in came.stderr) == (2, False)
    assert "shop.orders cannot be read: it has no column day (it has dai DATE). plugins/all.py:" in came.stderr
    assert 'write date="dai"' in came.stderr


def test_sql_files_are_checked_before_anything_is_planned(project: Path) -> None:
    sql = project / "plugins" / "sums.sql"
    sql.write_text(SQL.replace("{orders}", "{order}"), encoding="utf-8")
    came = backfill(project, "plan", *SPAN)
    assert (came.returncode, came.stderr) == (
        2,
        'error: plugins/sums.sql:1: {order} is nothing that processor "sums" needs or writes. Did you mean "orders"?\n',
    )
    sql.unlink()
    assert 'plugins/all.py:13: processor "sums" names plugins/sums.sql: No such file' in backfill(project, "plan").stderr


def test_sql_that_nobody_can_run_is_told_before_anything_runs(project: Path) -> None:
    (project / "plugins" / "sums.sql").write_text("SELECT day, FROM {orders}\nWHERE (day", encoding="utf-8")
    came = execute(project)
    assert came.returncode == 2
    assert "plugins/sums.sql is no GoogleSQL that can be run here: line 2:" in came.stderr
    assert "Token" not in came.stderr
    assert not (project / ".backfill").exists()


def test_a_plugin_that_leaves_is_told_with_its_line(project: Path) -> None:
    (project / "plugins" / "leaves.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    came = backfill(project, "plan", *SPAN)
    assert (came.returncode, "plugins/leaves.py:2: SystemExit: 3" in came.stderr) == (2, True)


def test_what_to_type_next_repeats_what_was_typed(project: Path) -> None:
    shown = backfill(project, "plan", *SPAN, "--layer", "L1", "--dates", "2024-05-02,2024-05-04..2024-05-05").stdout
    again = f"backfill execute {' '.join(SPAN)} --layer L1 --dates 2024-05-02,2024-05-04..2024-05-05"
    assert shown.splitlines()[-1] == f"next: {again}"
    assert "through raw" in shown
    assert "asked for 3 dates" not in shown, "all of them are to do"


def test_a_selection_takes_what_it_names_and_its_neighbours(project: Path) -> None:
    def names(*words: str) -> list[str]:
        plan = answer(project, "plan", *SPAN, *words)
        return [processor["name"] for stage in plan["stages"] for processor in stage["processors"]]

    assert names("--processor", "+sums") == names() == names("--processor", "orders+") == ["orders", "sums"]
    assert names("--processor", "orders") == names("--exclude", "sums") == names("--layer", "L1") == ["orders"]
    blocked = answer(project, "plan", *SPAN, "--from-layer", "L2")
    assert blocked["totals"] == {"units": 0, "blocked": 10}


def test_a_file_of_dates_may_be_csv_or_json(project: Path) -> None:
    for name, text in {
        "a.csv": "day,why\n2024-05-02,x\n2024-05-04,\n",
        "b.csv": "2024-05-02\n\n2024-05-04..2024-05-04\n",
        "e.csv": "processor,Date\norders,2024-05-02\n,2024-05-04\n",
        "c.json": '["2024-05-02", "2024-05-04..2024-05-04"]',
        "d.json": '[{"processor": "orders", "dates": ["2024-05-02"]}, {"dates": ["2024-05-04"]}]',
    }.items():
        (project / name).write_text(text, encoding="utf-8")
        plan = answer(project, "plan", *SPAN, "--layer", "L1", "--dates-file", name)
        assert plan["stages"][0]["processors"][0]["dates"] == ["2024-05-02", "2024-05-04"], name
    for name, text in {
        "a.csv": "2024-99-99\n2024-05-01\n",
        "b.csv": "day\nx\n",
        "c.json": '{"days": []}',
        "d.csv": "\0\1",
        "e.csv": "processor,date\norders\n",
    }.items():
        (project / name).write_text(text, encoding="utf-8")
        came = backfill(project, "plan", "--dates-file", name)
        assert (came.returncode, f"cannot read dates from {name}" in came.stderr) == (2, True), came.stderr
    for text, told in {
        '["2024-05-02", 5]': "entry 2 has 5",
        '["2024-05-02", null]': "entry 2 has null",
        '["2024-05-2"]': 'entry 1 has "2024-05-2"',
        '[{"dates": ["2024-05-02"]}, {"dates": "2024-05-02"}]': 'entry 2 has no list "dates"',
        '["2024-05-02"': "it is no JSON: Expecting ',' delimiter: line 1 column 14",
    }.items():
        (project / "c.json").write_text(text, encoding="utf-8")
        assert f"cannot read dates from c.json: {told}" in backfill(project, "plan", "--dates-file", "c.json").stderr


def test_a_run_that_nobody_knows_is_told_with_the_latest_and_how_many_more(project: Path) -> None:
    for day in DAYS[:6]:
        assert execute(project, "--layer", "L1", "--dates", day).returncode == 0
    told = backfill(project, "logs", "nope").stderr
    assert told.endswith("Known: r2, r3, r4, r5, r6 and 1 more: backfill runs --limit 6\n")


def test_a_plan_file_changed_by_hand_is_refused(project: Path) -> None:
    backfill(project, "plan", *SPAN, "--out", "plan.json")
    plan = json.loads((project / "plan.json").read_text())
    plan["stages"][0]["processors"][0]["dates"] = ["2024-05-01"]
    (project / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    came = backfill(project, "execute", "--plan", "plan.json", "--yes")
    assert (came.returncode, "changed by hand" in came.stderr) == (2, True)


def test_reading_works_where_nothing_can_be_written_and_leaves_nothing(project: Path) -> None:
    execute(project)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if "__pycache__" not in path.parts}
    for words in (["plan", *SPAN], ["coverage", *SPAN], ["validate", *SPAN], ["status"], ["report"], ["graph"]):
        assert backfill(project, *words).returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in project.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(project: Path) -> None:
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
    project.chmod(0o555)
    try:
        command = [*humble, sys.executable, "-m", "backfill_core", "execute", *SPAN, "--yes"]
        came = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        command = [*humble, sys.executable, "-m", "backfill_core", "doctor", "--from", "2024-05-01"]
        doctor = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    finally:
        project.chmod(0o755)
    assert doctor.returncode == 2, doctor.stdout
    assert f"error: nothing can be filled: folder {project} cannot be written." in doctor.stdout
    assert f"error: no run can be recorded: folder {project} cannot be written." in doctor.stdout
    assert (came.returncode, "cannot be written" in came.stderr) == (2, True), came.stderr
    assert not (project / ".backfill").exists()


def test_status_needs_no_plugins(project: Path) -> None:
    execute(project)
    (project / "plugins" / "all.py").write_text("x = (", encoding="utf-8")
    assert "ENDED" in backfill(project, "status").stdout
    assert backfill(project, "report").returncode == 0


def test_no_line_is_wider_than_a_terminal(project: Path) -> None:
    shown = [backfill(project, *words).stdout for words in (["plan", *SPAN], ["coverage", *SPAN, "--by", "month"], ["graph"])]
    done = execute(project)
    shown += [done.stdout, backfill(project, "status").stdout, backfill(project, "validate", *SPAN).stdout]
    for text in shown:
        assert text
        for line in on_a_screen(text):
            assert len(line) <= 80 or line.startswith("  backfill "), line


def test_a_warehouse_held_by_another_process(project: Path) -> None:
    with duckdb.connect(str(project / "w.duckdb")):
        came = apart(project, "plan", *SPAN)
    assert came.returncode == 2
    assert f"refused: pid {os.getpid()} holds the warehouse" in came.stderr


def start_slow(project: Path) -> subprocess.Popen[str]:
    """An execute whose first calls wait until the file ``slow`` is gone."""
    (project / "slow").touch()
    command = [sys.executable, "-m", "backfill_core", "execute", *SPAN, "--yes"]
    running = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(project, r"in flight [1-9]")
    return running


def wait_for(project: Path, pattern: str) -> None:
    """Waits until ``status`` says so."""
    deadline = time.monotonic() + 60
    while not re.search(pattern, shown := backfill(project, "status").stdout):
        assert time.monotonic() < deadline, f"{pattern} was never seen in: {shown}"
        time.sleep(0.05)


def test_a_killed_run_is_gone_on_with_by_the_same_command(project: Path) -> None:
    running = start_slow(project)
    refused = execute(project)
    assert refused.returncode == 2
    assert f"refused: run r1 (pid {running.pid}" in refused.stderr
    assert f"(pid {running.pid}" in backfill(project, "plan", *SPAN).stderr
    running.kill()
    running.communicate()
    assert "DIED" in backfill(project, "status").stdout
    (project / "slow").unlink()
    done = execute(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert answer(project, "plan", *SPAN)["totals"]["units"] == 0


def test_the_first_ctrl_c_drains(project: Path) -> None:
    running = start_slow(project)
    running.send_signal(signal.SIGINT)
    wait_for(project, "DRAINING")
    (project / "slow").unlink()
    shown, _ = running.communicate(timeout=60)
    assert running.returncode == 130, shown
    assert "stopping:" in shown
    assert "interrupted with" in shown
    assert answer(project, "report")["exit_code"] == 130
    assert execute(project).returncode == 0


def test_the_second_ctrl_c_stops_now_and_is_recorded(project: Path) -> None:
    running = start_slow(project)
    running.send_signal(signal.SIGINT)
    wait_for(project, "DRAINING")
    running.send_signal(signal.SIGINT)
    shown, _ = running.communicate(timeout=60)
    (project / "slow").unlink()
    assert running.returncode == 130, shown
    report = answer(project, "report")
    assert (report["exit_code"], report["state"]) == (130, "ended")
    assert execute(project).returncode == 0


def test_every_command_has_help() -> None:
    from backfill_core.cli import COMMANDS

    for name in COMMANDS:
        came = backfill(Path.cwd(), name, "--help")
        assert came.returncode == 0
        assert came.stdout.startswith("Usage:")
