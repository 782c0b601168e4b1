"""Steering and watching a run from another terminal, with real processes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from projects import backfill, on_a_screen
from slow_shop import BEGUN, SPAN, ask, asked, begin, begin_slow, end_all, execute, finish, make_slow_shop, wait_for

ME = re.escape(f"@{os.uname().nodename}")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = make_slow_shop(tmp_path / "shop")
    monkeypatch.chdir(made)
    yield made
    end_all()


def release(project: Path) -> None:
    (project / "slow").unlink()


def test_a_paused_run_starts_nothing_until_it_is_continued(project: Path) -> None:
    running = begin_slow(project, "--concurrency", "2")
    paused = backfill(project, "pause", "r1")
    assert paused.returncode == 0, paused.stderr
    line, flying, then = paused.stdout.splitlines()
    assert re.fullmatch(rf"run r1 paused by \w+{ME} at \d\d:\d\d UTC: nothing new leaves", line)
    assert (flying, then) == ("2 units in flight come home", "next: backfill continue r1")
    release(project)
    shown = wait_for(project, r"in flight 0 ")
    assert re.search(r"run r1  PAUSED .*ETA none while paused", shown, re.DOTALL)
    assert re.search(r"orders +2 +10 ", shown), "what was in flight came home, and is verified"
    assert "paused by" in ask(project, "report", "r1").stdout
    assert "continued by" in ask(project, "continue", "r1").stdout
    said = finish(running)
    assert running.returncode == 0, said
    assert "To go on: backfill continue r1" in " ".join(said.split())
    assert asked(project, "plan", *SPAN)["totals"]["units"] == 0


def test_a_cancelled_run_drains_and_says_by_whom(project: Path) -> None:
    running = begin_slow(project, "--concurrency", "2")
    assert "2 units in flight come home" in ask(project, "cancel").stdout
    assert "PAUSED" not in wait_for(project, "DRAINING")
    release(project)
    said = finish(running)
    assert running.returncode == 130, said
    assert re.search(rf"exit 130: cancelled by \w+{ME} with 18 units to go", said)
    assert said.endswith("next: backfill resume r1\n")
    report = asked(project, "report")
    assert (report["exit_code"], report["left"]) == (130, 18)
    again = backfill(project, "resume", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.startswith("resume r1  ")
    assert asked(project, "plan", *SPAN)["totals"]["units"] == 0


def test_a_paused_run_can_be_cancelled(project: Path) -> None:
    running = begin_slow(project)
    ask(project, "pause")
    release(project)
    wait_for(project, r"in flight 0 ")
    assert ask(project, "cancel", "r1").returncode == 0
    finish(running)
    assert running.returncode == 130


def test_a_throttled_run_has_so_many_calls_in_flight(project: Path) -> None:
    running = begin_slow(project, "--concurrency", "1")
    told = ask(project, "throttle", "r1", "--concurrency", "8", "--service", "orders=6")
    assert re.search(rf"throttled by \w+{ME}: 8 calls in flight at most, orders 6", told.stdout)
    shown = wait_for(project, "in flight 6 ")
    assert "throttled: 8 calls in flight at most, orders 6" in shown
    wrong = ask(project, "throttle", "r1", "--service", "ordrs=1")
    assert (wrong.returncode, 'nothing here is called "ordrs". Did you mean "orders"?' in wrong.stderr) == (2, True)
    release(project)
    assert "exit 0" in finish(running)


def test_nobody_hears_what_is_asked_of_a_run_that_is_over(project: Path) -> None:
    assert "no run yet" in ask(project, "pause").stderr
    execute(project, "--dates", "2024-05-01")
    for words in (["pause", "r1"], ["continue"], ["cancel", "r1"], ["throttle", "--concurrency", "2"]):
        came = ask(project, *words)
        assert (came.returncode, came.stderr) == (
            2,
            "error: run r1 is not under way, so that nobody would hear it. Look: backfill status r1\n",
        )
    for words, told in {
        ("throttle", "r1"): "say how far",
        ("throttle", "r1", "--service", "orders"): "Type NAME=CALLS",
        ("throttle", "--concurrency", "0"): "--concurrency",
        ("cancel", "r7"): "no run",
        ("retry", "r1"): "nothing failed in run r1",
        ("resume",): "every run has finished",
    }.items():
        came = ask(project, *words)
        assert (came.returncode, told in came.stderr) == (2, True), came.stderr


def test_resume_keeps_the_selection_and_the_time_of_force(project: Path) -> None:
    execute(project)
    running = begin_slow(project, "--force", "--dates", "2024-05-02..2024-05-06", "--processor", "orders", "--concurrency", "1")
    assert ask(project, "cancel").returncode == 0
    release(project)
    finish(running)
    first = asked(project, "report")
    again = ask(project, "resume", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    (orders,) = asked(project, "report")["processors"]
    assert orders["name"] == "orders"
    (done,) = first["processors"][0]["words"]["done"]
    assert orders["words"]["done"] == ["2024-05-03..2024-05-06"], f"{done} was rewritten already"


def test_retry_carries_out_just_what_failed_for_that_cause(project: Path) -> None:
    for day, why in {"03": "", "05": "", "08": "bad answer"}.items():
        (project / f"broken-2024-05-{day}").write_text(why, encoding="utf-8")
    failed = execute(project)
    assert failed.returncode == 1
    assert "failed 2  HTTP 503 for DATE  orders" in failed.stdout
    assert "failed 1  bad answer  orders 2024-05-08" in failed.stdout
    assert failed.stdout.endswith("next: backfill explain orders 2024-05-03 --today 2024-05-20\n")
    assert "Causes: HTTP 503 for DATE; bad answer" in ask(project, "retry", "r1", "--cause", "HTTP 404").stderr
    for broken in project.glob("broken-*"):
        broken.unlink()
    execute(project, "--dates", "2024-05-03", "--processor", "orders")
    again = ask(project, "retry", "r1", "--cause", "http 503", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "orders: 1 unit no longer lacking: 2024-05-03" in again.stdout
    (orders,) = asked(project, "report")["processors"]
    assert (orders["name"], orders["words"]["done"]) == ("orders", ["2024-05-05"])
    assert ask(project, "retry", "r1", "--failed", "--yes").returncode == 0
    (orders,) = asked(project, "report")["processors"]
    assert orders["words"]["done"] == ["2024-05-08"]
    assert ask(project, "resume", "r1", "--yes").returncode == 0
    assert asked(project, "plan", *SPAN)["totals"]["units"] == 0


def test_what_remains_for_the_same_cause_is_one_line(project: Path) -> None:
    for day in ("03", "07"):
        (project / f"broken-2024-05-{day}").touch()
    told = " ".join(execute(project).stdout.split("remaining:", 1)[1].split())
    told_as = "failed: HTTP 503 for"
    line = f"orders 2024-05-03, 2024-05-07: missing: {told_as} DATE, such as 2024-05-03: {told_as} 2024-05-03"
    assert told.startswith(line), told


def test_what_was_done_on_less_than_all_it_wanted_is_told_at_the_end_and_later(project: Path) -> None:
    plugins = project / "plugins" / "all.py"
    plugins.write_text(
        plugins.read_text(encoding="utf-8").replace("window=days(2))", "window=days(2), soft=True)"), encoding="utf-8"
    )
    (project / "broken-2024-05-03").touch()
    line = "degraded 2  done on less than all it wanted  sums 2024-05-04..2024-05-05"
    assert line in execute(project).stdout
    assert line in ask(project, "status").stdout
    assert line in ask(project, "report").stdout
    assert asked(project, "status")["degraded"] == {"sums": ["2024-05-04..2024-05-05"]}


def test_whoever_reads_may_leave_and_a_run_goes_on_and_ends_as_it_ends(project: Path) -> None:
    (project / "broken-2024-05-03").touch()
    for words, code in ((("plan", *SPAN), 0), (("execute", *SPAN, "--yes"), 1), (("report", "r1"), 0)):
        read, write = os.pipe()
        os.close(read)
        command = [sys.executable, "-m", "backfill_core", *words]
        came = subprocess.run(command, cwd=project, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, check=False)
        os.close(write)
        assert (came.returncode, b"rror" in came.stderr) == (code, False), came.stderr
    assert asked(project, "status")["exit_reason"] == "1 failed, 3 blocked"


def test_a_terminal_may_be_closed_and_the_run_goes_on_and_ends_as_it_ends(project: Path) -> None:
    (project / "broken-2024-05-03").touch()
    (project / "slow").touch()
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "backfill_core", "execute", *SPAN, "--yes"]
    running = subprocess.Popen(command, cwd=project, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    BEGUN.append(running)
    os.close(slave)
    wait_for(project, r"in flight [1-9]")
    os.close(master)
    release(project)
    assert running.wait(60) == 1
    assert asked(project, "status")["exit_reason"] == "1 failed, 3 blocked"


def test_waiting_for_a_held_warehouse_says_for_whom(project: Path) -> None:
    first = begin_slow(project)
    refused = execute(project)
    assert (refused.returncode, f"refused: run r1 (pid {first.pid}" in refused.stderr) == (2, True)
    assert refused.stderr.endswith("Look: backfill status r1\n")
    looked = ask(project, "coverage", *SPAN)
    assert (looked.returncode, looked.stderr.endswith("Or, by what it last saw: --last-observed\n")) == (2, True)
    second = begin(project, "execute", *SPAN, "--yes", "--wait")
    assert second.stdout is not None
    line = second.stdout.readline()
    assert line.startswith(f"waiting for run r1 (pid {first.pid}, since ")
    release(project)
    finish(first)
    said = finish(second)
    assert (first.returncode, second.returncode) == (0, 0), said
    assert "nothing to do" in said


def test_what_a_run_last_observed_can_be_read_while_it_holds_the_warehouse(project: Path) -> None:
    read = (*SPAN, "--last-observed")
    nothing = ask(project, "coverage", *read)
    assert (nothing.returncode, "no run observed" in nothing.stderr) == (2, True)
    running = begin_slow(project)
    assert ask(project, "coverage", *SPAN).returncode == 2
    at_first = ask(project, "coverage", *read).stdout
    assert "as last observed: run r1 at 2" in at_first and "L2 0 of 10 dates" in at_first
    assert asked(project, "plan", *read)["totals"]["units"] == 20
    release(project)
    finish(running)
    for command in ("plan", "coverage", "validate"):
        told = ask(project, command, *read).stdout.splitlines()
        (note,) = (line for line in told if line.startswith("as last observed: run r1"))
        told.remove(note)
        assert told == ask(project, command, *SPAN).stdout.splitlines(), "what it remembers is what there is"
    beyond = ask(project, "plan", *read, "--from", "2024-04-01", "--to", "2024-05-12")
    assert (beyond.returncode, "Ask for dates that need no others" in beyond.stderr) == (2, True)
    both = ask(project, "plan", *read, "--observe", "partitions")
    assert (both.returncode, "contradict" in both.stderr) == (2, True)
    (project / "plugins" / "more.py").write_text(
        "from backfill_core import Processor, Rows, SOURCE, Files\n"
        'MORE = Processor("more", layer="raw", calendar="daily", writes=Files("m/{date}"), complete_when=Rows(), run=SOURCE)\n',
        encoding="utf-8",
    )
    changed = ask(project, "plan", *read)
    assert (changed.returncode, "layers or plugins changed since run r1" in changed.stderr) == (2, True)


def test_of_two_executes_at_once_one_runs(project: Path) -> None:
    (project / "slow").touch()
    racing = [begin(project, "execute", *SPAN, "--yes") for _ in range(2)]
    deadline = time.monotonic() + 60
    while all(each.poll() is None for each in racing):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    release(project)
    said = {each.returncode: text for each, text in [(each, finish(each)) for each in racing]}
    assert sorted(said) == [0, 2], said
    assert "refused: " in said[2]
    assert [run["run"] for run in asked(project, "runs")["runs"]] == ["r1"]


def test_status_counts_what_is_in_flight_and_ends_with_what_to_type(project: Path) -> None:
    running = begin_slow(project, "--concurrency", "3")
    status = asked(project, "status")
    assert (status["schema"], status["state"], status["in_flight"], status["left"]) == ("backfill.status/1", "running", 3, 20)
    shown = ask(project, "status").stdout.splitlines()
    assert re.match(rf"run r1  RUNNING \d+ s  pid {running.pid}  local  plan [0-9a-f]{{8}}  alive \d+ s ago", shown[0])
    assert shown[-1] == "next: backfill status r1 --watch"
    hand_off = ask(project, "report").stdout
    assert re.search(
        rf"- who: \w+, pid {running.pid}\n- where:\s+{os.uname().nodename}:{project}\n- command: `backfill exec", hand_off
    )
    assert "- running after" in hand_off
    assert "- in flight 3   to go 20" in hand_off
    assert "- `backfill pause r1`" in hand_off
    release(project)
    finish(running)


def test_watching_ends_with_the_run_and_ctrl_c_leaves_quietly(project: Path) -> None:
    running = begin_slow(project)
    watching, leaving = (begin(project, "status", "--watch", "--every", "0.2") for _ in range(2))
    for each in (leaving, watching):  # both look before the run ends
        assert each.stdout is not None
        assert each.stdout.readline().startswith("run r1  RUNNING")
    leaving.send_signal(signal.SIGINT)
    said = finish(leaving)
    assert (leaving.returncode, "Traceback" in said, "Aborted" in said) == (0, False, False)
    release(project)
    shown = finish(watching)
    assert watching.returncode == 0
    assert re.search(r"run r1  ENDED.*\norders +10 +10 .*\nsums +10 +10 ", shown, re.DOTALL), "what was new at each look adds up"
    finish(running)
    assert running.returncode == 0


def on_a_terminal(project: Path, *words: str, code: int = 0) -> str:
    """What a command draws on a terminal of 80 columns."""
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
    running = subprocess.Popen(
        [sys.executable, "-m", "backfill_core", *words], cwd=project, stdin=child, stdout=child, stderr=child, env=environment
    )
    os.close(child)
    drawn = b""
    while True:
        try:
            drawn += os.read(parent, 65536)
        except OSError:  # nobody has the other end any more
            break
    os.close(parent)
    running.wait(timeout=60)
    assert running.returncode == code, drawn
    return drawn.decode()


def plain(drawn: str) -> list[str]:
    """The lines without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "\n").split("\n")


def test_a_terminal_shows_a_bar_a_layer(project: Path) -> None:
    drawn = on_a_terminal(project, "execute", *SPAN, "--yes")
    lines = plain(drawn)
    assert any(re.match(r"raw +━+ +\d+/10", line) for line in lines), drawn
    assert any(re.match(r"sums +━+ +\d+/10", line) for line in lines)
    assert any("verified work only" in line for line in lines)
    assert all(len(line) <= 80 or line.startswith("next: ") for line in lines)
    assert "done orders" not in drawn, "bars tell it"
    assert [line for line in lines if line][-1] == "next: backfill report r1"
    watched = on_a_terminal(project, "status", "--watch")
    assert "run r1  ENDED" in watched


def test_on_a_terminal_lines_end_where_it_does_and_elsewhere_where_they_end(project: Path) -> None:
    words = ("explain", "orders", "2024-05-01", *SPAN, "--from", "2024-05-01", "--season", "2024-25")
    told = backfill(project, *words).stderr
    assert told.count("\n") == 1 and len(told) > 80
    for shown, code in (((words), 2), (("config",), 0), (("plan", *SPAN), 0)):
        lines = [line for line in plain(on_a_terminal(project, *shown, code=code)) if line]
        assert all(len(line) <= 80 for line in lines), lines
    assert " ".join(" ".join(plain(on_a_terminal(project, *words, code=2))).split()) == " ".join(told.split())


def test_every_run_has_a_log_of_its_own(project: Path) -> None:
    (project / "broken-2024-05-02").touch()
    execute(project, "--dates", "2024-05-01..2024-05-02", "--processor", "orders")
    lines = (project / ".backfill" / "logs" / "r1.log").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ run r1  2 units  watch: backfill status r1 --watch", lines[0])
    assert any("failed: orders 2024-05-02: HTTP 503 for 2024-05-02" in line for line in lines)
    assert lines[-1].endswith("exit 1: 1 failed")
    execute(project, "--dates", "2024-05-02", "--log-format", "json", "--processor", "orders")
    told = [json.loads(line) for line in (project / ".backfill" / "logs" / "r2.log").read_text().splitlines()]
    assert [line["event"] for line in told] == ["RunStarted", "BatchStarted", "BatchEnded", "UnitsEnded", "RunEnded"]
    assert {line["run"] for line in told} == {"r2"}
    (ended,) = [line for line in told if line["event"] == "UnitsEnded"]
    assert (ended["processor"], ended["dates"], ended["word"]) == ("orders", ["2024-05-02"], "failed")
    assert datetime.fromisoformat(ended["at"]).tzinfo is not None


def test_logs_show_the_calls_of_a_unit_and_what_they_said(project: Path) -> None:
    (project / "broken-2024-05-02").touch()
    execute(project)
    said = project / ".backfill" / "logs" / "r1" / "2.log"
    said.parent.mkdir()
    said.write_text("".join(f"line {number}\n" for number in range(1, 131)), encoding="utf-8")
    shown = ask(project, "logs", "r1", "--processor", "orders", "--date", "2024-05-02").stdout
    assert re.search(r"\n\d\d:\d\d:\d\d called orders 2024-05-02  call 2\n", shown)
    assert re.search(r"\n\d\d:\d\d:\d\d call 2 came home after 0 s\n", shown)
    assert "failed: orders 2024-05-02: HTTP 503 for 2024-05-02" in shown
    assert "2024-05-03" not in shown
    assert ".backfill/logs/r1/2.log:\n  … 30 lines before these\n  line 31\n" in shown
    assert shown.endswith("  line 130\nnext: backfill status r1\n")
    everything = ask(project, "logs").stdout
    assert "done sums" in everything and "line 130" not in everything
    events = [json.loads(line) for line in ask(project, "logs", "--format", "json", "--date", "2024-05-02").stdout.splitlines()]
    assert {event["event"] for event in events} == {"BatchStarted", "BatchEnded", "UnitsEnded"}
    assert [event["dates"] for event in events if event["event"] == "UnitsEnded"] == [["2024-05-02"], ["2024-05-02"]]
    wrong = ask(project, "logs", "--processor", "order")
    assert (wrong.returncode, 'Did you mean "orders"?' in wrong.stderr) == (2, True)


def test_runs_are_listed_latest_first(project: Path) -> None:
    assert "no run yet" in ask(project, "runs").stdout
    subprocess.run(["git", "init", "-q", "."], cwd=project, check=True)
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run(["git", "add", "layers"], cwd=project, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "x"], cwd=project, check=True)
    execute(project, "--dates", "2024-05-01")
    execute(project, "--dates", "2024-05-02")
    runs = asked(project, "runs")
    assert (runs["schema"], [run["run"] for run in runs["runs"]]) == ("backfill.runs/1", ["r2", "r1"])
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert head.startswith(runs["runs"][0]["commit"]) and len(runs["runs"][0]["commit"]) == 12
    assert runs["runs"][0]["words"]["done"] == 2
    lines = ask(project, "runs", "--limit", "1").stdout.splitlines()
    assert lines[0].split() == ["RUN", "STATE", "STARTED", "UTC", "TOOK", "DONE", "UNITS", "FAILED", "EXIT"]
    assert re.match(r"r2    ENDED    \d\d-\d\d \d\d:\d\d .* 2      2      0  0: all done", lines[1])
    assert lines[2:] == ["next: backfill report r2"]


def test_no_line_of_what_is_read_is_wider_than_a_terminal(project: Path) -> None:
    (project / "broken-2024-05-02").write_text("words without an end " * 20, encoding="utf-8")
    running = begin_slow(project)
    ask(project, "pause")
    texts = [ask(project, *words).stdout for words in (["status"], ["report"], ["runs"], ["logs"])]
    ask(project, "continue")
    release(project)
    texts += [finish(running)]
    texts += [ask(project, *words).stdout for words in (["status"], ["report"], ["runs"], ["logs"])]
    for text in texts:
        assert text
        for line in on_a_screen(text):
            # A command is copied whole, and a path has no place to break.
            assert len(line) <= 80 or line.startswith("  `backfill") or " " not in line.strip(), line
