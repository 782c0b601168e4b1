-- One row a player of the date's slate: what speaks for and against him in this game, as known before it.
-- The slate is who has a line on the date; nothing else is read of that line. Player context and team context are
-- soft: where they are absent a rested player is made up and quality_score says so. Zone data are absent early in
-- a season, before the opponent has 15 games or the player 10; the scores made of them are then NULL.
WITH slate AS (
  SELECT game_date, game_id, player_lookup, team_abbr, opponent_abbr
  FROM {player_game_summary}
  WHERE game_date BETWEEN @date_from AND @date_to
),

player_context AS (
  SELECT game_date, player_lookup, days_rest, games_last_7_days, minutes_avg_last_30_days, points_avg_last_30_days
  FROM {upcoming_player_game_context}
  WHERE game_date BETWEEN @date_from AND @date_to
),

team_context AS (
  SELECT game_date, team_abbr, days_rest, games_last_7_days
  FROM {upcoming_team_game_context}
  WHERE game_date BETWEEN @date_from AND @date_to
),

shot_zones AS (
  SELECT analysis_date, player_lookup, paint_rate_last_10, mid_range_rate_last_10, three_rate_last_10
  FROM {player_shot_zone_analysis}
  WHERE analysis_date BETWEEN @date_from AND @date_to
),

defences AS (
  SELECT
    analysis_date,
    team_abbr,
    paint_pct_allowed,
    mid_range_pct_allowed,
    three_pct_allowed,
    paint_attempts_allowed_per_game + mid_range_attempts_allowed_per_game + three_attempts_allowed_per_game
      AS attempts_allowed,
    defensive_rating_last_15
  FROM {team_defense_zone_analysis}
  WHERE analysis_date BETWEEN @date_from AND @date_to
),

-- A defence against the average of all defences of that date.
relative_defences AS (
  SELECT
    analysis_date,
    team_abbr,
    paint_pct_allowed - AVG(paint_pct_allowed) OVER league AS paint_pct_above,
    mid_range_pct_allowed - AVG(mid_range_pct_allowed) OVER league AS mid_range_pct_above,
    three_pct_allowed - AVG(three_pct_allowed) OVER league AS three_pct_above,
    attempts_allowed - AVG(attempts_allowed) OVER league AS attempts_above,
    SAFE_DIVIDE(AVG(defensive_rating_last_15) OVER league, defensive_rating_last_15) AS strength
  FROM defences
  WINDOW league AS (PARTITION BY analysis_date)
),

factors AS (
  SELECT
    s.*,
    p.player_lookup IS NOT NULL AS has_player_context,
    t.team_abbr IS NOT NULL AS has_team_context,
    d.team_abbr IS NOT NULL AND z.player_lookup IS NOT NULL AS has_zone_data,
    -- His own rest, else his team's, else a day off and three games a week, as most teams have.
    COALESCE(p.days_rest, t.days_rest, 1) AS days_rest,
    COALESCE(p.games_last_7_days, t.games_last_7_days, 3) AS games_last_7_days,
    COALESCE(p.minutes_avg_last_30_days, 0) AS minutes_avg,
    SAFE_DIVIDE(p.points_avg_last_30_days, p.minutes_avg_last_30_days) AS points_per_minute,
    -- Points in a hundred shots that his mix of zones is worth against this defence, above an average one.
    100 * (
      2 * z.paint_rate_last_10 * d.paint_pct_above
      + 2 * z.mid_range_rate_last_10 * d.mid_range_pct_above
      + 3 * z.three_rate_last_10 * d.three_pct_above
    ) AS shot_zone_mismatch,
    d.attempts_above,
    d.strength
  FROM slate AS s
  LEFT JOIN player_context AS p ON p.game_date = s.game_date AND p.player_lookup = s.player_lookup
  LEFT JOIN team_context AS t ON t.game_date = s.game_date AND t.team_abbr = s.team_abbr
  LEFT JOIN shot_zones AS z ON z.analysis_date = s.game_date AND z.player_lookup = s.player_lookup
  LEFT JOIN relative_defences AS d ON d.analysis_date = s.game_date AND d.team_abbr = s.opponent_abbr
)

SELECT
  game_date,
  game_id,
  player_lookup,
  team_abbr,
  opponent_abbr AS opponent_team,
  -- Scores are rounded beyond the noise of averaging, so that a date's row is the same in every batch.
  -- 100 is fresh: 20 off on a back-to-back, 5 off a game above three in a week, 2 off a minute above 30 a game.
  CAST(
    ROUND(
      GREATEST(
        0,
        100
        - IF(days_rest = 0, 20, 0)
        - 5 * GREATEST(0, games_last_7_days - 3)
        - 2 * GREATEST(0, minutes_avg - 30)
      ),
      6
    ) AS FLOAT64
  ) AS fatigue_score,
  ROUND(GREATEST(-10, LEAST(10, shot_zone_mismatch)), 6) AS shot_zone_mismatch_score,
  -- His points a minute against 0.475, which is 114 points of a team in 240 minutes; 0 is an average scorer.
  ROUND(GREATEST(-10, LEAST(10, 10 * (points_per_minute / 0.475 - 1))), 6) AS usage_score,
  -- Shots a game that the opponent allows above the average of all teams: a fast opponent gives him more of them.
  ROUND(GREATEST(-10, LEAST(10, attempts_above)), 6) AS pace_score,
  -- 100 is an average defence, more is a tougher one.
  ROUND(100 * strength, 6) AS opponent_strength_score,
  CASE
    WHEN NOT has_zone_data THEN 'no_zone_data'
    WHEN has_player_context AND has_team_context THEN 'full'
    ELSE 'synthetic_context'
  END AS data_quality,
  CAST(
    100 - IF(has_player_context, 0, 20) - IF(has_team_context, 0, 10) - IF(has_zone_data, 0, 30) AS FLOAT64
  ) AS quality_score,
  CURRENT_TIMESTAMP() AS processed_at
FROM factors
