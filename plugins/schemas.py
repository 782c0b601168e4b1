"""The columns of the reference pipeline's tables, in GoogleSQL."""

#: Columns and types of each table; every one ends with when the row was written.
COLUMNS = {
    "nba_raw.nbac_schedule": """
        game_id STRING, game_date DATE, season STRING, game_type STRING, home_team_abbr STRING, away_team_abbr
        STRING, home_score INT64, away_score INT64
    """,
    "nba_raw.bdl_player_boxscores": """
        game_id STRING, game_date DATE, team_abbr STRING, opponent_abbr STRING, is_home BOOL, player_lookup
        STRING, player_name STRING, minutes STRING, points INT64, rebounds INT64, offensive_rebounds INT64,
        assists INT64, steals INT64, blocks INT64, turnovers INT64, personal_fouls INT64, field_goals_made
        INT64, field_goals_attempted INT64, three_pointers_made INT64, three_pointers_attempted INT64,
        free_throws_made INT64, free_throws_attempted INT64, plus_minus INT64
    """,
    "nba_raw.nbac_gamebook_player_stats": """
        game_id STRING, game_date DATE, team_abbr STRING, opponent_abbr STRING, is_home BOOL, player_lookup
        STRING, player_name STRING, minutes STRING, points INT64, rebounds INT64, offensive_rebounds INT64,
        assists INT64, steals INT64, blocks INT64, turnovers INT64, personal_fouls INT64, field_goals_made
        INT64, field_goals_attempted INT64, three_pointers_made INT64, three_pointers_attempted INT64,
        free_throws_made INT64, free_throws_attempted INT64, plus_minus INT64, player_status STRING
    """,
    "nba_raw.player_shots": """
        game_id STRING, game_date DATE, shot_number INT64, period INT64, clock_seconds INT64, player_lookup
        STRING, team_abbr STRING, opponent_abbr STRING, points_value INT64, made BOOL, zone STRING,
        distance_feet INT64
    """,
    "nba_analytics.team_offense_game_summary": """
        game_date DATE, game_id STRING, season STRING, team_abbr STRING, opponent_abbr STRING, is_home BOOL,
        points INT64, field_goals_made INT64, field_goals_attempted INT64, three_pointers_made INT64,
        three_pointers_attempted INT64, free_throws_made INT64, free_throws_attempted INT64,
        offensive_rebounds INT64, rebounds INT64, assists INT64, turnovers INT64, minutes FLOAT64, possessions
        FLOAT64, offensive_rating FLOAT64, source STRING
    """,
    "nba_analytics.team_defense_game_summary": """
        game_date DATE, game_id STRING, season STRING, defending_team_abbr STRING, opponent_abbr STRING,
        is_home BOOL, points_allowed INT64, opp_field_goals_made INT64, opp_field_goals_attempted INT64,
        opp_turnovers INT64, opp_paint_attempts INT64, opp_paint_makes INT64, opp_mid_range_attempts INT64,
        opp_mid_range_makes INT64, opp_three_attempts INT64, opp_three_makes INT64, defensive_rating FLOAT64,
        source STRING
    """,
    "nba_analytics.player_game_summary": """
        game_date DATE, game_id STRING, season STRING, player_lookup STRING, player_name STRING, team_abbr
        STRING, opponent_abbr STRING, is_home BOOL, is_active BOOL, minutes FLOAT64, points INT64, rebounds
        INT64, assists INT64, steals INT64, blocks INT64, turnovers INT64, field_goals_made INT64,
        field_goals_attempted INT64, three_pointers_made INT64, three_pointers_attempted INT64,
        free_throws_made INT64, free_throws_attempted INT64, usage_rate FLOAT64, paint_attempts INT64,
        paint_makes INT64, mid_range_attempts INT64, mid_range_makes INT64, three_attempts INT64, three_makes
        INT64, source STRING
    """,
    "nba_analytics.upcoming_player_game_context": """
        game_date DATE, game_id STRING, player_lookup STRING, team_abbr STRING, opponent_abbr STRING, is_home
        BOOL, days_rest INT64, is_back_to_back BOOL, games_last_7_days INT64, games_last_14_days INT64,
        minutes_avg_last_30_days FLOAT64, points_avg_last_30_days FLOAT64
    """,
    "nba_analytics.upcoming_team_game_context": """
        game_date DATE, game_id STRING, team_abbr STRING, opponent_abbr STRING, is_home BOOL, days_rest INT64,
        is_back_to_back BOOL, games_last_7_days INT64
    """,
    "nba_precompute.team_defense_zone_analysis": """
        analysis_date DATE, team_abbr STRING, games_in_sample INT64, paint_attempts_allowed_per_game FLOAT64,
        paint_pct_allowed FLOAT64, mid_range_attempts_allowed_per_game FLOAT64, mid_range_pct_allowed FLOAT64,
        three_attempts_allowed_per_game FLOAT64, three_pct_allowed FLOAT64, defensive_rating_last_15 FLOAT64
    """,
    "nba_precompute.player_shot_zone_analysis": """
        analysis_date DATE, player_lookup STRING, games_in_sample_10 INT64, games_in_sample_20 INT64,
        paint_rate_last_10 FLOAT64, mid_range_rate_last_10 FLOAT64, three_rate_last_10 FLOAT64,
        paint_pct_last_10 FLOAT64, paint_rate_last_20 FLOAT64, mid_range_rate_last_20 FLOAT64,
        three_rate_last_20 FLOAT64, paint_pct_last_20 FLOAT64
    """,
    "nba_precompute.player_daily_cache": """
        cache_date DATE, player_lookup STRING, team_abbr STRING, games_played_season INT64, points_avg_season
        FLOAT64, points_avg_last_5 FLOAT64, points_avg_last_10 FLOAT64, minutes_avg_last_10 FLOAT64,
        usage_rate_last_10 FLOAT64, team_possessions_last_10 FLOAT64, team_offensive_rating_last_10 FLOAT64,
        days_rest INT64, paint_rate_last_10 FLOAT64
    """,
    "nba_precompute.player_composite_factors": """
        game_date DATE, game_id STRING, player_lookup STRING, team_abbr STRING, opponent_team STRING,
        fatigue_score FLOAT64, shot_zone_mismatch_score FLOAT64, usage_score FLOAT64, pace_score FLOAT64,
        opponent_strength_score FLOAT64, data_quality STRING, quality_score FLOAT64
    """,
    "nba_predictions.ml_feature_store_v2": """
        game_date DATE, game_id STRING, player_lookup STRING, team_abbr STRING, opponent_team STRING,
        is_placeholder BOOL, feature_quality FLOAT64, points_avg_last_5 FLOAT64, points_avg_last_10 FLOAT64,
        points_avg_season FLOAT64, points_std_last_10 FLOAT64, minutes_avg_last_10 FLOAT64, usage_rate_last_10
        FLOAT64, days_rest FLOAT64, fatigue_score FLOAT64, shot_zone_mismatch_score FLOAT64,
        opponent_strength_score FLOAT64, paint_rate_last_10 FLOAT64, three_rate_last_10 FLOAT64,
        opponent_defensive_rating FLOAT64, games_last_60_days FLOAT64
    """,
    "nba_predictions.player_prop_predictions": """
        game_date DATE, game_id STRING, player_lookup STRING, system_id STRING, predicted_points FLOAT64,
        confidence_score FLOAT64
    """,
    "nba_predictions.prediction_accuracy": """
        game_date DATE, game_id STRING, player_lookup STRING, system_id STRING, predicted_points FLOAT64,
        actual_points INT64, signed_error FLOAT64, absolute_error FLOAT64, is_within_3 BOOL
    """,
}


#: Tables that refuse a question without a filter on their partitions.
FILTERED = frozenset(
    (
        "nba_raw.bdl_player_boxscores",
        "nba_raw.nbac_schedule",
        "nba_analytics.team_offense_game_summary",
        "nba_predictions.ml_feature_store_v2",
        "nba_predictions.player_prop_predictions",
    )
)


def create_table(name: str, day: str) -> str:
    """The statement that makes a table, partitioned by its date column."""
    columns = " ".join(COLUMNS[name].split())
    options = " OPTIONS (require_partition_filter = TRUE)" if name in FILTERED else ""
    return f"CREATE TABLE IF NOT EXISTS {{table}} ({columns}, processed_at TIMESTAMP) PARTITION BY {day}{options}"
