"""The main job on a real season, from an empty warehouse: what follows from the holes in its data."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import duckdb
import pytest

from projects import ROOT, answer, backfill, copy_of_reference

SEASON = ROOT.parent / "shared" / "data" / "nba_2023_24"
PLAY_IN = ["2024-04-16..2024-04-17", "2024-04-19"]

pytestmark = pytest.mark.skipif(not SEASON.is_dir(), reason=f"no real season in {SEASON.parent.name}")


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """(the project after the run, the run's report)."""
    project = copy_of_reference(tmp_path_factory.mktemp("season"), "2023-10-01")
    spec = importlib.util.spec_from_file_location("load", ROOT / "examples" / "real_season" / "load.py")
    assert spec is not None and spec.loader is not None
    load = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(load)
    load.write_landing(SEASON, project / "landing")
    came = backfill(project, "execute", "--from", "2023-10-01", "--to", "2024-06-17", "--yes")
    assert came.returncode == 3, came.stderr
    return project, answer(project, "report")


def test_box_scores_fill_l1_and_l3_whole(season: tuple[Path, Any]) -> None:
    after = {layer["layer"]: layer for layer in season[1]["after"]["layers"]}
    assert after["raw"]["now"] == after["analytics"]["now"] == 1318


def test_every_gate_is_judged_and_closes_the_play_in_alone(season: tuple[Path, Any]) -> None:
    gates = {gate["gate"]: gate for gate in season[1]["gates"]}
    assert gates["l3-games"]["failed"] == gates["l4-games"]["failed"] == PLAY_IN
    assert not gates["l3-games"]["closes_layer"]
    assert len(gates["l4-games"]["blocked"]) > 0


def test_play_in_lines_without_turnovers_leave_usage_unknown(season: tuple[Path, Any]) -> None:
    endings = {(e["processor"], e["word"]): e for e in season[1]["endings"]}
    assert endings["player_game_summary", "failed"]["dates"] == PLAY_IN
    assert "usage_rate not null" in endings["player_game_summary", "failed"]["why"]
    assert endings["ml_feature_store_v2", "withheld"]["dates"] == PLAY_IN


def test_missing_shots_block_defence_and_then_its_windows(season: tuple[Path, Any]) -> None:
    blocked = {(b["processor"], b["because"][0]["processor"]): b["units"] for b in season[1]["blocked"]}
    assert blocked["nbac_gamebook_player_stats", "landing_gamebook"] == 207
    assert blocked["team_defense_game_summary", "landing_shots"] == 47
    assert blocked["team_defense_zone_analysis", "landing_shots"] == 37


def test_every_remaining_gap_has_a_reason(season: tuple[Path, Any]) -> None:
    report = season[1]
    told: dict[str, set[str]] = {}
    for entry in (*report["endings"], *report["blocked"]):
        told.setdefault(entry["processor"], set()).update(_days(entry["dates"]))
    assert report["remaining"]
    for gap in report["remaining"]:
        assert gap["why"] not in ("", "not asked for", "not reached"), gap
        if not gap["processor"].startswith("landing_"):
            assert set(_days(gap["dates"])) <= told[gap["processor"]], gap


def test_player_points_add_up_to_team_scores(season: tuple[Path, Any]) -> None:
    with duckdb.connect(str(season[0] / "w.duckdb"), read_only=True) as connection:
        teams, wrong = connection.execute(
            """
            WITH summed AS (
                SELECT game_id, team_abbr, SUM(points) AS points
                FROM nba_analytics.player_game_summary GROUP BY 1, 2
            )
            SELECT COUNT(*), COUNT(*) FILTER (points <> CASE WHEN team_abbr = home_team_abbr THEN home_score ELSE away_score END)
            FROM summed JOIN nba_raw.nbac_schedule USING (game_id)
            """
        ).fetchall()[0]
    assert (teams, wrong) == (2 * 1318, 0)


def _days(ranges: list[str]) -> list[str]:
    from backfill_core.dates import DateSet

    return [str(day) for day in DateSet.from_json(ranges)]
