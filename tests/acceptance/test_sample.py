"""The main job on the made sample, from wounds to documented answers."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import duckdb
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

import demo
from backfill_core.dates import DateSet
from backfill_core.project.session import open_project
from backfill_core.testing.local_cloud import LocalCloud
from backfill_core.testing.service_faults import ServiceFault, Trouble
from backfill_core.testing.service_server import ServiceServer
from projects import ROOT, answer, apart, backfill, copy_of_reference, on_a_screen
from query_budget import check_budget, check_pruned


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_of_reference(tmp_path_factory.mktemp("sample"), "2024-10-01")
    demo.make_sample(project, 7)
    return project


def explained(sample: Path, *unit: str) -> Any:
    return answer(sample, "explain", *unit)


def test_each_wound_is_explained_down_to_the_games_and_players_that_lack(sample: Path) -> None:
    teams = explained(sample, "team_offense_game_summary", "2025-03-07")
    (wants,) = teams["expected"]
    assert (teams["state"], wants["there"], wants["wanted"], wants["absent"]) == ("partial", 2, 16, 7)
    assert [one["key"] for one in wants["absent_keys"]][:2] == [["0022400944"], ["0022400945"]]

    players = explained(sample, "player_game_summary", "2025-12-30")
    usage = next(rule for rule in players["rules"] if rule["rule"].startswith("usage_rate"))
    assert (players["state"], usage["good"], usage["judged"], usage["holds"]) == ("invalid", 0, 82, False)

    twice = explained(sample, "team_defense_game_summary", "2025-12-28")
    assert [one["rows"] for one in twice["expected"][0]["excess_keys"]] == [4] * 9

    zones = explained(sample, "team_defense_zone_analysis", "2025-01-10", "--limit", "2")
    (wants,) = zones["expected"]
    assert (wants["absent"], [one["key"] for one in wants["absent_keys"]]) == (30, [["ATL"], ["BKN"]])

    cache = explained(sample, "player_daily_cache", "2025-03-05")
    assert cache["plan"]["standing"] == "blocked"
    assert [(cause["processor"], cause["dates"]) for cause in cache["plan"]["causes"]] == [
        ("landing_bdl", ["2025-03-05"]),
        ("landing_gamebook", ["2025-03-05"]),
    ]
    features = explained(sample, "ml_feature_store_v2", "2024-10-30")
    assert (features["state"], features["detail"], features["held"]["unexpected"]) == ("not expected", "warm-up", True)


def test_a_forecast_knows_the_gates_that_will_close(sample: Path, tmp_path: Path) -> None:
    sample = shutil.copytree(sample, tmp_path / "sample")
    plan = answer(sample, "plan", "--layer", "L4")
    (closure,) = plan["closures"]
    assert (closure["gate"], closure["dates"]) == ("l3-games", ["2025-03-05", "2025-03-07", "2025-04-19", "2025-12-30"])
    assert sum(len(dates) for dates in closure["withheld"].values()) == 6
    forecast = {layer["layer"]: layer["after"] for layer in plan["forecast"]}
    done = backfill(sample, "execute", "--layer", "L4", "--yes")
    assert done.returncode == 3, done.stderr
    assert f"L4 games 275 (15.0 %) -> {forecast['precompute']:,} " in done.stdout
    assert "gate after analytics closed on" in re.sub(r"\s+", " ", done.stdout)


def test_a_season_fits_a_screen(sample: Path) -> None:
    shown = on_a_screen(backfill(sample, "plan", "--season", "2024-25").stdout)
    assert len(shown) <= 40
    assert max(map(len, shown)) <= 80


def test_the_guide_shows_what_explain_says(sample: Path) -> None:
    guide = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")
    shown = guide.partition("```\nplayer_game_summary 2025-03-07: ")[2].partition("\n```")[0].splitlines()[1:]
    said = on_a_screen(backfill(sample, "explain", "player_game_summary", "2025-03-07").stdout)[2:]
    assert [line for line in said if not line.startswith("holds")] == [line for line in shown if not line.startswith("holds")]


def test_of_an_off_day_nothing_is_told_that_is_not_expected_either(sample: Path) -> None:
    off, warm = (backfill(sample, "explain", "player_composite_factors", day).stdout for day in ("2024-11-05", "2024-10-25"))
    assert "not expected: off-day\n" in off and "\nneeds" not in off and "\nreads" not in off
    assert "not expected: warm-up\n" in warm and "upcoming_player_game_context (soft), same date: met\n" in warm


CALENDARS, DATASETS, TABLES = 1, 4, 16
#: A week of March: one date lacks most of L3, all lack L4 and L5.
WEEK = ("2025-03-06", "2025-03-12")


def test_services_that_fail_and_lie_fill_what_local_runners_fill(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shutil.copytree(sample, tmp_path / "sample")
    specs = project / "plugins" / "services.py"
    specs.write_text(specs.read_text(encoding="utf-8").replace("lock=600", "lock=0.5"), encoding="utf-8")
    week = ("--dates", "..".join(WEEK), "--yes")
    with LocalCloud(open_project(project, "gcp"), source=project / "w.duckdb") as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        l3, l4, l5 = (cloud.services[name] for name in ("l3", "l4", "l5"))
        l3.faults.add(ServiceFault(Trouble.RESET, match="PlayerGameSummary"))
        l4.faults.add(
            ServiceFault(Trouble.LOCK_HELD, match="2025-03-08"), ServiceFault(Trouble.NOTHING_WRITTEN, match="2025-03-11")
        )
        l5.faults.add(ServiceFault(Trouble.INCOMPLETE, match="2025-03-10"))
        started = time.monotonic()
        done = backfill(project, "execute", "--target", "gcp", *week)
        took = time.monotonic() - started
        assert "1 declined" in done.stdout and done.returncode == 1, done.stdout + done.stderr
        queries = cloud.bigquery.sent("ask")
        assert f"queries: {len(queries)} asked, 1 verified inside" in done.stdout, done.stdout
        rows = {path: _rows(cloud.bigquery.engine.cursor(), path) for path in SERVED}
        asked = [(*request.body["processors"], request.body["start_date"], request.body["end_date"]) for request in l3.requests]
        lacked = ("TeamOffenseGameSummaryProcessor", "PlayerGameSummaryProcessor")
        assert asked == [(name, "2025-03-07", "2025-03-07") for name in lacked], "what was lost had been done: it was looked at"
        assert len(l4.requests) == 7 + 2, "a call a date, and one more for each that wrote nothing"
        assert all(len(request.body["processors"]) == 5 for request in l4.requests)
        assert cloud.behind("l5").without_date == 0  # type: ignore[attr-defined]
        incomplete = _posted(cloud, l5, "/start", {"game_date": "2025-03-05"})
        assert incomplete == (503, "ml_feature_store_v2 holds nothing on 2025-03-05")
        skipped, _ = _posted(cloud, l4, "/process-date", {"analysis_date": "2024-10-25"})
        last = cloud.behind("l4").done[-5:]
        assert (skipped, {(done.what, str(done.day)) for done in last}) == (200, {("nothing", "2024-10-25")}), "a warm-up date"
        check_budget(queries, plan=CALENDARS + DATASETS + TABLES, gates=2, tables=10, seconds=took)
        check_pruned(cloud.bigquery, queries)
    assert backfill(project, "execute", *week).returncode == 0
    with duckdb.connect(str(project / "w.duckdb"), read_only=True) as connection:
        local = {path: _rows(connection, path) for path in SERVED}
    gone = {row for row in local["nba_predictions.player_prop_predictions"] if str(row[0]) == "2025-03-10"}
    assert gone
    local["nba_predictions.player_prop_predictions"] -= gone
    assert rows == local


#: A table of each layer that services fill, and its date column.
SERVED = {
    "nba_analytics.player_game_summary": "game_date",
    "nba_precompute.team_defense_zone_analysis": "analysis_date",
    "nba_precompute.player_composite_factors": "game_date",
    "nba_predictions.ml_feature_store_v2": "game_date",
    "nba_predictions.player_prop_predictions": "game_date",
}


def _rows(cursor: duckdb.DuckDBPyConnection, path: str) -> set[tuple[Any, ...]]:
    """What a table holds in that week, but for when it was written; the date first."""
    day = SERVED[path]
    what = f"{day}, * EXCLUDE ({day}, processed_at)"
    return set(cursor.execute(f"SELECT {what} FROM {path} WHERE {day} BETWEEN ? AND ?", WEEK).fetchall())


def _posted(cloud: LocalCloud, service: ServiceServer, path: str, body: Any) -> tuple[int, str]:
    """What a service says to somebody whom it knows: status and message."""
    headers = {"Authorization": f"Bearer {cloud.metadata.make_token(service.url)}"}
    request = Request(service.url + path, json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, ""
    except HTTPError as error:
        return error.code, json.load(error)["message"]


#: The incident's questions as anybody would ask them: games in L3 and L4, how many of L3's are in L4, and dates with games of L3
#: that L4 lacks.
ASKED = """
SELECT COUNT(DISTINCT l3.game_id) AS l3, COUNT(DISTINCT l4.game_id) AS carried,
  (SELECT COUNT(DISTINCT game_id) FROM nba_precompute.player_composite_factors WHERE game_date >= '2024-10-01') AS l4,
  ARRAY_AGG(DISTINCT IF(l4.game_id IS NULL, l3.game_date, NULL) IGNORE NULLS) AS gaps
FROM nba_analytics.player_game_summary AS l3
LEFT JOIN nba_precompute.player_composite_factors AS l4 ON l4.game_date = l3.game_date AND l4.game_id = l3.game_id
WHERE l3.game_date >= '2024-10-01'
"""


def test_the_local_cloud_of_the_readme_answers_the_questions_of_the_incident(sample: Path, tmp_path: Path) -> None:
    project = shutil.copytree(sample, tmp_path / "sample")
    ports = _free_ports(6)
    settings = (project / "pyproject.toml").read_text(encoding="utf-8")
    settings = settings.replace('"local-cloud"\nlanding = "landing"', '"local-cloud"\nlanding = "gs://scraped/today"')
    hosts = [f"127.0.0.1:{port}" for port in ports]
    variables = ", ".join(f'L{n}_URL = "http://{host}"' for n, host in zip((3, 4, 5), hosts[2:5], strict=True))
    given = f'storage_endpoint = "http://{hosts[5]}"\n'
    given += f'api_endpoint = "http://{hosts[0]}"\nmetadata_host = "{hosts[1]}"\nvariables = {{ {variables} }}\n'
    (project / "pyproject.toml").write_text(settings + given, encoding="utf-8")
    command = [sys.executable, "-m", "backfill_core.testing.local_cloud"]
    cloud = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert cloud.stdout is not None
        said = [cloud.stdout.readline() for _ in range(7)]
        assert said[0] == f"BigQuery at http://{hosts[0]}: 16 tables, 14 with rows\n"
        assert [line.partition(":")[0] for line in said[1:4]] == [f"l{n} at http" for n in (3, 4, 5)]
        assert said[4] == f"bucket scraped at http://{hosts[5]}: the files of {project / 'landing'}\n"
        assert said[6] == "next: backfill plan --target gcp\n"
        found = answer(project, "coverage", "--target", "gcp")
        account = bigquery.Client("local-cloud", AnonymousCredentials(), client_options={"api_endpoint": f"http://{hosts[0]}"})
        (row,) = account.query_and_wait(ASKED)
        account.close()
    finally:
        cloud.send_signal(signal.SIGTERM)
        cloud.communicate(timeout=20)
    here = answer(project, "coverage")
    assert [layer["layer"] for layer in here["layers"]] == [layer["layer"] for layer in found["layers"]]
    assert [each["states"] for each in here["processors"]] == [each["states"] for each in found["processors"]]
    why = [each["not_expected"] for each in found["processors"]]
    assert why == [each["not_expected"] for each in here["processors"]], "its table says what the schedule's files say"
    layers = {layer["layer"]: layer for layer in found["layers"]}
    states = {each["name"]: each["states"] for each in found["processors"]}
    assert states["landing_bdl"]["missing"] == states["landing_gamebook"]["missing"] == ["2025-03-05"], "files are looked for too"
    over = layers["precompute"]["over"]
    assert (row["l4"], row["l3"], row["carried"]) == (layers["precompute"]["now"], over["held"], over["carried"])
    assert (row["l4"], row["l3"], row["carried"]) == (275, 1813, 275)
    l4, l3 = (states[name] for name in ("player_composite_factors", "player_game_summary"))
    warm = next(each for each in found["processors"] if each["name"] == "player_composite_factors")["not_expected"]["warm-up"]
    gaps = DateSet.from_json(l4["missing"] + l4["partial"]) - DateSet.from_json(l3["missing"])
    assert DateSet.of(*row["gaps"]) - DateSet.from_json(warm) == gaps
    assert len(gaps) == 205


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def test_the_demo_finds_its_answers_and_a_plan_after_it_is_empty(sample: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.show(sample, time.monotonic()) == 0, capfd.readouterr().out
    shown = capfd.readouterr().out
    assert "what remains is exactly what the answers say" in shown
    assert "L4 games 275 (15.0 %) -> 1,613 (88.0 %)" in shown
    plan = answer(sample, "plan")
    assert plan["totals"] == {"units": 0, "blocked": 11}
    assert {cause["why"] for blocked in plan["blocked"] for cause in blocked["because"]} == {"no landing file"}
    assert {blocked["dates"][0] for blocked in plan["blocked"]} == {"2025-03-05"}
    judged = backfill(sample, "validate")
    assert judged.returncode == 3, "2025-03-05 stays below the gate"
    assert "\n  2025-03-05: has 0 of 8, blocked\n" in judged.stdout
    assert "missing: 13 dates of 13 processors with no row that a rule could judge\nblocked:\n  landing_bdl and " in judged.stdout


def test_the_commands_of_the_readme_do_what_it_says(sample: Path) -> None:
    words = re.findall(r"^\.venv/bin/backfill ([^#\n]*[^# \n])", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [line for line in words if "--target gcp" not in line]  # they want a cloud, and have a test of their own
    assert [line.split()[0] for line in words] == ["coverage", "plan", "explain", "execute", "report"]
    shown = {line.split()[0]: apart(sample, *line.split()) for line in words}
    codes = {name: came.returncode for name, came in shown.items()}
    assert codes == {"coverage": 0, "plan": 0, "explain": 0, "execute": 1, "report": 0}, (
        "9 units stay blocked, and execute says so"
    )
    assert "L4 1,613 of 1,832 games, 88.0 %, ceiling 88.5 %; of L3's 1,824: 88.4 %" in shown["coverage"].stdout
    assert "no landing file -> blocks 9 units of 9 processors" in shown["execute"].stdout
    assert shown["execute"].stdout.endswith(
        "exit 1: 9 units blocked when planned\n"
        "nothing to do: what lacks is blocked. next: backfill explain landing_bdl 2025-03-05\n"
    )


def test_the_answer_would_be_missed_if_anything_else_remained() -> None:
    assert demo.differences("after", {"a": ["2025-03-05"]}, {"a": ["2025-03-05", "2025-03-06"]})
    assert not demo.differences("after", {"a": ["2025-03-05"]}, {"a": ["2025-03-05"]})
