"""L5: a simple but honest prediction of each player's points, and its grading."""

from datetime import date
from typing import Any

from backfill_core import AtMost, KeysOf, Need, Processor, Python, RunContext, Sql, Table, UniqueKey, days

from .schemas import create_table
from .services import L5

_KEY = ("game_date", "player_lookup", "system_id")


def _table(name: str) -> Table:
    path = f"nba_predictions.{name}"
    return Table(path, date="game_date", key=_KEY, updated="processed_at", ddl=create_table(path, "game_date"))


def predict(dates: list[date], ctx: RunContext) -> Any:
    """Recent form and the season's average, moved by how hard the opponent defends against where the player shoots.

    Confidence falls with the spread of the last ten games and with the quality of the features.
    """
    features = ctx.cursor.table(ctx.tables["ml_feature_store_v2"])
    chosen = features.filter(
        f"NOT is_placeholder AND points_avg_season IS NOT NULL AND game_date BETWEEN DATE '{min(dates)}' AND DATE '{max(dates)}'"
    )
    form = "0.5 * COALESCE(points_avg_last_5, points_avg_season) + 0.3 * COALESCE(points_avg_last_10, points_avg_season)"
    return chosen.select(
        "game_date, game_id, player_lookup, 'moving_average_v1' AS system_id, "
        f"GREATEST(0.0, ({form} + 0.2 * points_avg_season) * (1 + COALESCE(shot_zone_mismatch_score, 0) / 100)) "
        "AS predicted_points, "
        "LEAST(1.0, GREATEST(0.0, feature_quality / 100 * (1 - COALESCE(points_std_last_10, 10) / 25))) "
        "AS confidence_score, CURRENT_TIMESTAMP AS processed_at"
    )


PREDICTIONS = Processor(
    "player_prop_predictions",
    layer="predictions",
    calendar="nba",
    writes=_table("player_prop_predictions"),
    needs=(Need("ml_feature_store_v2"),),
    complete_when=KeysOf("ml_feature_store_v2", share=0.9, column="player_lookup"),
    rules=(UniqueKey(),),
    warmup=days(14),
    run={"local": Python(predict, max_dates=60), "gcp": L5()},
)

GRADING = Processor(
    "prediction_accuracy",
    layer="predictions",
    calendar="nba",
    writes=_table("prediction_accuracy"),
    needs=(Need("player_prop_predictions"), Need("player_game_summary")),
    complete_when=(
        KeysOf("player_prop_predictions", also_in="player_game_summary"),
        AtMost(1.0, of="player_prop_predictions"),
    ),
    rules=(UniqueKey(),),
    warmup=days(14),
    run=Sql("sql/prediction_accuracy.sql", max_dates=60),
)
