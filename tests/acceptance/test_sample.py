"""The main job on the made sample, from wounds to documented answers."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import demo
from projects import ROOT, answer, backfill, copy_of_reference


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
    shown = backfill(sample, "plan", "--season", "2024-25").stdout.splitlines()
    assert len(shown) <= 40
    assert max(map(len, shown)) <= 80


def test_the_demo_finds_its_answers_and_a_plan_after_it_is_empty(sample: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.show(sample, time.monotonic()) == 0, capfd.readouterr().out
    shown = capfd.readouterr().out
    assert "what remains is exactly what the answers say" in shown
    assert "L4 games 275 (15.0 %) -> 1,613 (88.0 %)" in shown
    plan = answer(sample, "plan")
    assert plan["totals"] == {"units": 0, "blocked": 11}
    assert {cause["why"] for blocked in plan["blocked"] for cause in blocked["because"]} == {"no landing file"}
    assert {blocked["dates"][0] for blocked in plan["blocked"]} == {"2025-03-05"}
    assert backfill(sample, "validate").returncode == 3, "2025-03-05 stays below the gate"


def test_the_commands_of_the_readme_do_what_it_says(sample: Path) -> None:
    words = re.findall(r"^\.venv/bin/backfill ([^#\n]*[^# \n])", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [line for line in words if "--target gcp" not in line]  # test_gcp.py does those
    assert [line.split()[0] for line in words] == ["coverage", "plan", "explain", "execute", "report"]
    shown = {line.split()[0]: backfill(sample, *line.split()) for line in words}
    codes = {name: came.returncode for name, came in shown.items()}
    assert codes == {"coverage": 0, "plan": 0, "explain": 0, "execute": 1, "report": 0}, (
        "9 units stay blocked, and execute says so"
    )
    assert "L4 1,613 of 1,832 games, 88.0 %, ceiling 88.5 %" in shown["coverage"].stdout
    assert "no landing file -> blocks 9 units of 9 processors" in re.sub(r"\s+", " ", shown["execute"].stdout)


def test_the_answer_would_be_missed_if_anything_else_remained() -> None:
    assert demo.differences("after", {"a": ["2025-03-05"]}, {"a": ["2025-03-05", "2025-03-06"]})
    assert not demo.differences("after", {"a": ["2025-03-05"]}, {"a": ["2025-03-05"]})
