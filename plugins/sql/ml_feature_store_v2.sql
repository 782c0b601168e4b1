-- One row a player of the date's slate: the features a model may see, all of them known before the date.
-- A player whom neither the daily cache nor the composite factors hold (the warm-up) gets a placeholder row, every
-- feature of it NULL: his place is taken, and nobody can mistake it for a feature.
WITH daily_cache AS (
  SELECT *
  FROM {player_daily_cache}
  WHERE cache_date BETWEEN @date_from AND @date_to
),

composite_factors AS (
  SELECT *
  FROM {player_composite_factors}
  WHERE game_date BETWEEN @date_from AND @date_to
),

shot_zones AS (
  SELECT analysis_date, player_lookup, paint_rate_last_10, three_rate_last_10
  FROM {player_shot_zone_analysis}
  WHERE analysis_date BETWEEN @date_from AND @date_to
),

defences AS (
  SELECT analysis_date, team_abbr, defensive_rating_last_15
  FROM {team_defense_zone_analysis}
  WHERE analysis_date BETWEEN @date_from AND @date_to
),

player_games AS (
  SELECT season, game_date, game_id, player_lookup, team_abbr, opponent_abbr, is_active, points
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 60 DAY) AND @date_to
),

slate AS (
  SELECT *
  FROM player_games
  WHERE game_date BETWEEN @date_from AND @date_to
),

-- The games each player of a slate played in the 60 days before it, the latest first.
recent_games AS (
  SELECT
    s.game_date AS slate_date,
    s.player_lookup,
    h.points,
    ROW_NUMBER() OVER (PARTITION BY s.game_date, s.player_lookup ORDER BY h.game_date DESC, h.game_id DESC) AS games_ago
  FROM slate AS s
  INNER JOIN player_games AS h
    ON h.player_lookup = s.player_lookup
    AND h.season = s.season
    AND h.game_date < s.game_date
    AND h.game_date >= DATE_SUB(s.game_date, INTERVAL 60 DAY)
  WHERE h.is_active
),

recent_form AS (
  SELECT
    slate_date,
    player_lookup,
    STDDEV_SAMP(IF(games_ago <= 10, points, NULL)) AS points_std_last_10,
    COUNT(*) AS games_last_60_days
  FROM recent_games
  GROUP BY slate_date, player_lookup
),

features AS (
  SELECT
    s.game_date,
    s.game_id,
    s.player_lookup,
    s.team_abbr,
    s.opponent_abbr AS opponent_team,
    c.player_lookup IS NULL AND f.player_lookup IS NULL AS is_placeholder,
    c.points_avg_last_5,
    c.points_avg_last_10,
    c.points_avg_season,
    r.points_std_last_10,
    c.minutes_avg_last_10,
    c.usage_rate_last_10,
    c.days_rest,
    f.fatigue_score,
    f.shot_zone_mismatch_score,
    f.opponent_strength_score,
    z.paint_rate_last_10,
    z.three_rate_last_10,
    d.defensive_rating_last_15,
    COALESCE(r.games_last_60_days, 0) AS games_last_60_days
  FROM slate AS s
  LEFT JOIN daily_cache AS c ON c.cache_date = s.game_date AND c.player_lookup = s.player_lookup
  LEFT JOIN composite_factors AS f ON f.game_date = s.game_date AND f.player_lookup = s.player_lookup
  LEFT JOIN shot_zones AS z ON z.analysis_date = s.game_date AND z.player_lookup = s.player_lookup
  LEFT JOIN defences AS d ON d.analysis_date = s.game_date AND d.team_abbr = s.opponent_abbr
  LEFT JOIN recent_form AS r ON r.slate_date = s.game_date AND r.player_lookup = s.player_lookup
)

SELECT
  game_date,
  game_id,
  player_lookup,
  team_abbr,
  opponent_team,
  is_placeholder,
  -- The share of the fourteen features that are known, in percent.
  CAST(
    IF(
      is_placeholder,
      0,
      ROUND(
        (
          IF(points_avg_last_5 IS NULL, 0, 1)
          + IF(points_avg_last_10 IS NULL, 0, 1)
          + IF(points_avg_season IS NULL, 0, 1)
          + IF(points_std_last_10 IS NULL, 0, 1)
          + IF(minutes_avg_last_10 IS NULL, 0, 1)
          + IF(usage_rate_last_10 IS NULL, 0, 1)
          + IF(days_rest IS NULL, 0, 1)
          + IF(fatigue_score IS NULL, 0, 1)
          + IF(shot_zone_mismatch_score IS NULL, 0, 1)
          + IF(opponent_strength_score IS NULL, 0, 1)
          + IF(paint_rate_last_10 IS NULL, 0, 1)
          + IF(three_rate_last_10 IS NULL, 0, 1)
          + IF(defensive_rating_last_15 IS NULL, 0, 1)
          + 1
        ) * 100 / 14,
        2
      )
    ) AS FLOAT64
  ) AS feature_quality,
  points_avg_last_5,
  points_avg_last_10,
  points_avg_season,
  IF(is_placeholder, NULL, ROUND(points_std_last_10, 6)) AS points_std_last_10,
  minutes_avg_last_10,
  usage_rate_last_10,
  CAST(days_rest AS FLOAT64) AS days_rest,
  fatigue_score,
  shot_zone_mismatch_score,
  opponent_strength_score,
  IF(is_placeholder, NULL, paint_rate_last_10) AS paint_rate_last_10,
  IF(is_placeholder, NULL, three_rate_last_10) AS three_rate_last_10,
  IF(is_placeholder, NULL, defensive_rating_last_15) AS opponent_defensive_rating,
  CAST(IF(is_placeholder, NULL, games_last_60_days) AS FLOAT64) AS games_last_60_days,
  CURRENT_TIMESTAMP() AS processed_at
FROM features
