"""L4: features computed from what was known before each date."""

from backfill_core import (
    SEASON_TO_DATE,
    AtMost,
    Http,
    KeysOf,
    Need,
    NotNull,
    Positive,
    Processor,
    Sql,
    Table,
    UniqueKey,
    days,
    last_games,
)

from .schemas import create_table
from .services import L4

_WARM_UP = days(14)


def _table(name: str, day: str, key: str, dataset: str = "nba_precompute") -> Table:
    path = f"{dataset}.{name}"
    return Table(path, date=day, key=(key,), updated="processed_at", ddl=create_table(path, day))


def _run(name: str, known_as: str, *, seconds: float) -> dict[str, Sql | Http]:
    """``seconds`` are what a date takes the service."""
    return {"local": Sql(f"sql/{name}.sql", max_dates=40), "gcp": L4(known_as, seconds=seconds)}


TDZA = Processor(
    "team_defense_zone_analysis",
    layer="precompute",
    calendar="nba",
    writes=_table("team_defense_zone_analysis", "analysis_date", "team_abbr"),
    needs=(Need("team_defense_game_summary", window=last_games(15, per="defending_team_abbr", within=53)),),
    complete_when=KeysOf("team_defense_game_summary", at_least=15, window=SEASON_TO_DATE),
    rules=(UniqueKey(), NotNull("paint_pct_allowed", share=0.99)),
    warmup=_WARM_UP,
    run=_run("team_defense_zone_analysis", "TeamDefenseZoneAnalysisProcessor", seconds=29),
)

PSZA = Processor(
    "player_shot_zone_analysis",
    layer="precompute",
    calendar="nba",
    writes=_table("player_shot_zone_analysis", "analysis_date", "player_lookup"),
    needs=(Need("player_game_summary", window=last_games(20, per="player_lookup", within=60)),),
    complete_when=KeysOf("player_game_summary", at_least=10, window=SEASON_TO_DATE),
    rules=(
        UniqueKey(),
        NotNull("paint_rate_last_10", share=0.9),
        NotNull("mid_range_rate_last_10", share=0.9),
        NotNull("three_rate_last_10", share=0.9),
    ),
    warmup=_WARM_UP,
    run=_run("player_shot_zone_analysis", "PlayerShotZoneAnalysisProcessor", seconds=73),
)

PDC = Processor(
    "player_daily_cache",
    layer="precompute",
    calendar="nba",
    writes=_table("player_daily_cache", "cache_date", "player_lookup"),
    needs=(
        Need("player_game_summary", window=SEASON_TO_DATE),
        Need("team_offense_game_summary", window=last_games(10, per="team_abbr", within=40)),
        Need("upcoming_player_game_context", soft=True),
        Need("player_shot_zone_analysis", soft=True),
    ),
    complete_when=KeysOf("player_game_summary", share=0.9, at_least=3),
    rules=(UniqueKey(),),
    warmup=_WARM_UP,
    run=_run("player_daily_cache", "PlayerDailyCacheProcessor", seconds=65),
)

PCF = Processor(
    "player_composite_factors",
    layer="precompute",
    calendar="nba",
    writes=_table("player_composite_factors", "game_date", "player_lookup"),
    needs=(
        Need("player_shot_zone_analysis"),
        Need("team_defense_zone_analysis"),
        Need("upcoming_player_game_context", soft=True),
        Need("upcoming_team_game_context", soft=True),
    ),
    complete_when=KeysOf("player_game_summary", share=0.9),
    rules=(
        UniqueKey(),
        Positive("opponent_strength_score", share=0.99, among="opponent_team in team_defense_zone_analysis"),
    ),
    warmup=_WARM_UP,
    run=_run("player_composite_factors", "PlayerCompositeFactorsProcessor", seconds=47),
)

MLFS = Processor(
    "ml_feature_store_v2",
    layer="precompute",
    calendar="nba",
    writes=_table("ml_feature_store_v2", "game_date", "player_lookup", "nba_predictions"),
    needs=(
        Need("player_daily_cache"),
        Need("player_composite_factors"),
        Need("player_shot_zone_analysis"),
        Need("team_defense_zone_analysis"),
        Need("player_game_summary", window=days(60)),
    ),
    complete_when=(KeysOf("player_game_summary", share=0.9), AtMost(1.1, of="player_composite_factors")),
    rules=(UniqueKey(),),
    warmup=_WARM_UP,
    run=_run("ml_feature_store_v2", "MLFeatureStoreProcessor", seconds=64),
)
