-- One row a player and date: where he shoots from, over his last 10 and 20 games with shot data before the date.
-- Only games of the season that the date falls in, however old. A player has a row from his tenth game on the
-- books (dnp lines count as such); a sample may hold fewer games than that, for it takes only games he played in
-- that have shots. Every day of the range is answered, a date without games too.
WITH season_games AS (
  SELECT
    season,
    player_lookup,
    game_date,
    game_id,
    is_active AND paint_attempts IS NOT NULL AS has_shot_data,
    paint_attempts,
    paint_makes,
    mid_range_attempts,
    three_attempts,
    paint_attempts + mid_range_attempts + three_attempts AS attempts
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 300 DAY) AND @date_to
),

season_starts AS (
  SELECT season, MIN(game_date) AS first_date
  FROM season_games
  GROUP BY season
),

-- A date belongs to the latest season that has begun, so that opening night does not look back on last June.
analysis_dates AS (
  SELECT analysis_date, MAX(s.season) AS season
  FROM UNNEST(GENERATE_DATE_ARRAY(@date_from, @date_to)) AS analysis_date
  INNER JOIN season_starts AS s ON s.first_date <= analysis_date
  GROUP BY analysis_date
),

-- Where a player stands after each line of his: how many lines, how many games with shots, when the next line is.
lines_so_far AS (
  SELECT
    season,
    player_lookup,
    game_date,
    LEAD(game_date) OVER player_season AS next_game_date,
    COUNT(*) OVER so_far AS lines,
    COUNT(IF(has_shot_data, 1, NULL)) OVER so_far AS shot_games
  FROM season_games
  WINDOW
    player_season AS (PARTITION BY season, player_lookup ORDER BY game_date, game_id),
    so_far AS (player_season ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

-- His n-th game with shots closes a sample; it is found again by that number.
samples AS (
  SELECT
    season,
    player_lookup,
    ROW_NUMBER() OVER player_season AS shot_games,
    COUNT(*) OVER last_10 AS games_in_sample_10,
    COUNT(*) OVER last_20 AS games_in_sample_20,
    SAFE_DIVIDE(SUM(paint_attempts) OVER last_10, SUM(attempts) OVER last_10) AS paint_rate_last_10,
    SAFE_DIVIDE(SUM(mid_range_attempts) OVER last_10, SUM(attempts) OVER last_10) AS mid_range_rate_last_10,
    SAFE_DIVIDE(SUM(three_attempts) OVER last_10, SUM(attempts) OVER last_10) AS three_rate_last_10,
    SAFE_DIVIDE(SUM(paint_makes) OVER last_10, SUM(paint_attempts) OVER last_10) AS paint_pct_last_10,
    SAFE_DIVIDE(SUM(paint_attempts) OVER last_20, SUM(attempts) OVER last_20) AS paint_rate_last_20,
    SAFE_DIVIDE(SUM(mid_range_attempts) OVER last_20, SUM(attempts) OVER last_20) AS mid_range_rate_last_20,
    SAFE_DIVIDE(SUM(three_attempts) OVER last_20, SUM(attempts) OVER last_20) AS three_rate_last_20,
    SAFE_DIVIDE(SUM(paint_makes) OVER last_20, SUM(paint_attempts) OVER last_20) AS paint_pct_last_20
  FROM season_games
  WHERE has_shot_data
  WINDOW
    player_season AS (PARTITION BY season, player_lookup ORDER BY game_date, game_id),
    last_10 AS (player_season ROWS BETWEEN 9 PRECEDING AND CURRENT ROW),
    last_20 AS (player_season ROWS BETWEEN 19 PRECEDING AND CURRENT ROW)
)

SELECT
  a.analysis_date,
  l.player_lookup,
  COALESCE(s.games_in_sample_10, 0) AS games_in_sample_10,
  COALESCE(s.games_in_sample_20, 0) AS games_in_sample_20,
  s.paint_rate_last_10,
  s.mid_range_rate_last_10,
  s.three_rate_last_10,
  s.paint_pct_last_10,
  s.paint_rate_last_20,
  s.mid_range_rate_last_20,
  s.three_rate_last_20,
  s.paint_pct_last_20,
  CURRENT_TIMESTAMP() AS processed_at
FROM analysis_dates AS a
INNER JOIN lines_so_far AS l
  ON l.season = a.season
  AND l.game_date < a.analysis_date
  -- The player's latest line before the date: his next one is not before the date.
  AND (l.next_game_date IS NULL OR l.next_game_date >= a.analysis_date)
LEFT JOIN samples AS s
  ON s.season = l.season AND s.player_lookup = l.player_lookup AND s.shot_games = l.shot_games
WHERE l.lines >= 10
