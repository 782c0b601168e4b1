-- One row a team and date: how the team defends each zone, over its last 15 games before the date.
-- Only games of the season that the date falls in, however old; a team with fewer than 15 of them has no row.
-- Every day of the range is answered, a date without games too: nothing here depends on who plays.
WITH defended_games AS (
  SELECT
    season, defending_team_abbr AS team_abbr, game_date, game_id, opp_paint_attempts, opp_paint_makes,
    opp_mid_range_attempts, opp_mid_range_makes, opp_three_attempts, opp_three_makes, defensive_rating
  FROM {team_defense_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 300 DAY) AND @date_to
),

season_starts AS (
  SELECT season, MIN(game_date) AS first_date
  FROM defended_games
  GROUP BY season
),

-- A date belongs to the latest season that has begun, so that opening night does not look back on last June.
analysis_dates AS (
  SELECT analysis_date, MAX(s.season) AS season
  FROM UNNEST(GENERATE_DATE_ARRAY(@date_from, @date_to)) AS analysis_date
  INNER JOIN season_starts AS s ON s.first_date <= analysis_date
  GROUP BY analysis_date
),

-- A team's last 15 games as they stand after each of its games, and the date of its next one.
form_after_game AS (
  SELECT
    season,
    team_abbr,
    game_date,
    LEAD(game_date) OVER team_season AS next_game_date,
    COUNT(*) OVER last_15 AS games_in_sample,
    AVG(opp_paint_attempts) OVER last_15 AS paint_attempts_allowed,
    SAFE_DIVIDE(SUM(opp_paint_makes) OVER last_15, SUM(opp_paint_attempts) OVER last_15) AS paint_pct_allowed,
    AVG(opp_mid_range_attempts) OVER last_15 AS mid_range_attempts_allowed,
    SAFE_DIVIDE(SUM(opp_mid_range_makes) OVER last_15, SUM(opp_mid_range_attempts) OVER last_15)
      AS mid_range_pct_allowed,
    AVG(opp_three_attempts) OVER last_15 AS three_attempts_allowed,
    SAFE_DIVIDE(SUM(opp_three_makes) OVER last_15, SUM(opp_three_attempts) OVER last_15) AS three_pct_allowed,
    AVG(defensive_rating) OVER last_15 AS defensive_rating
  FROM defended_games
  WINDOW
    team_season AS (PARTITION BY season, team_abbr ORDER BY game_date, game_id),
    last_15 AS (team_season ROWS BETWEEN 14 PRECEDING AND CURRENT ROW)
)

SELECT
  a.analysis_date,
  f.team_abbr,
  f.games_in_sample,
  f.paint_attempts_allowed AS paint_attempts_allowed_per_game,
  f.paint_pct_allowed,
  f.mid_range_attempts_allowed AS mid_range_attempts_allowed_per_game,
  f.mid_range_pct_allowed,
  f.three_attempts_allowed AS three_attempts_allowed_per_game,
  f.three_pct_allowed,
  -- Rounded beyond the noise of adding fractions up, so that a date's row is the same in every batch.
  ROUND(f.defensive_rating, 6) AS defensive_rating_last_15,
  CURRENT_TIMESTAMP() AS processed_at
FROM analysis_dates AS a
INNER JOIN form_after_game AS f
  ON f.season = a.season
  AND f.game_date < a.analysis_date
  -- The team's latest game before the date: its next one is not before the date.
  AND (f.next_game_date IS NULL OR f.next_game_date >= a.analysis_date)
WHERE f.games_in_sample >= 15
