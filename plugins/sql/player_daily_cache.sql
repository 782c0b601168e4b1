-- One row a player of the date's slate with at least 3 games on the books: his form and his team's before the date.
-- Only games of the same season; averages are over games he played, dnp lines count for the three alone.
WITH season_games AS (
  SELECT
    season,
    player_lookup,
    game_date,
    game_id,
    team_abbr,
    is_active,
    minutes,
    points,
    usage_rate,
    COUNT(*) OVER before_game AS lines_before,
    COUNT(IF(is_active, 1, NULL)) OVER before_game AS games_before
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 300 DAY) AND @date_to
  WINDOW before_game AS (
    PARTITION BY season, player_lookup
    ORDER BY game_date, game_id
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  )
),

slate AS (
  SELECT season, player_lookup, game_date, game_id, team_abbr, games_before
  FROM season_games
  WHERE game_date BETWEEN @date_from AND @date_to
    AND lines_before >= 3
),

-- A player's form as it stands after his n-th game; whoever has played n before the date finds it by that number.
form_after_game AS (
  SELECT
    season,
    player_lookup,
    ROW_NUMBER() OVER player_season AS games_played,
    AVG(points) OVER so_far AS points_avg_season,
    AVG(points) OVER last_5 AS points_avg_last_5,
    AVG(points) OVER last_10 AS points_avg_last_10,
    AVG(minutes) OVER last_10 AS minutes_avg_last_10,
    AVG(usage_rate) OVER last_10 AS usage_rate_last_10
  FROM season_games
  WHERE is_active
  WINDOW
    player_season AS (PARTITION BY season, player_lookup ORDER BY game_date, game_id),
    so_far AS (player_season ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
    last_5 AS (player_season ROWS BETWEEN 4 PRECEDING AND CURRENT ROW),
    last_10 AS (player_season ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)
),

-- A team's form as it stands after each of its games, and the date of its next one.
team_form_after_game AS (
  SELECT
    season,
    team_abbr,
    game_date,
    LEAD(game_date) OVER team_season AS next_game_date,
    AVG(possessions) OVER last_10 AS team_possessions_last_10,
    AVG(offensive_rating) OVER last_10 AS team_offensive_rating_last_10
  FROM {team_offense_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 300 DAY) AND @date_to
  WINDOW
    team_season AS (PARTITION BY season, team_abbr ORDER BY game_date, game_id),
    last_10 AS (team_season ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)
),

player_context AS (
  SELECT game_date, player_lookup, days_rest
  FROM {upcoming_player_game_context}
  WHERE game_date BETWEEN @date_from AND @date_to
),

shot_zones AS (
  SELECT analysis_date, player_lookup, paint_rate_last_10
  FROM {player_shot_zone_analysis}
  WHERE analysis_date BETWEEN @date_from AND @date_to
)

SELECT
  s.game_date AS cache_date,
  s.player_lookup,
  s.team_abbr,
  s.games_before AS games_played_season,
  f.points_avg_season,
  f.points_avg_last_5,
  f.points_avg_last_10,
  -- Rounded beyond the noise of adding fractions up, so that a date's row is the same in every batch.
  ROUND(f.minutes_avg_last_10, 6) AS minutes_avg_last_10,
  ROUND(f.usage_rate_last_10, 6) AS usage_rate_last_10,
  ROUND(t.team_possessions_last_10, 6) AS team_possessions_last_10,
  ROUND(t.team_offensive_rating_last_10, 6) AS team_offensive_rating_last_10,
  c.days_rest,
  z.paint_rate_last_10,
  CURRENT_TIMESTAMP() AS processed_at
FROM slate AS s
LEFT JOIN form_after_game AS f
  ON f.season = s.season AND f.player_lookup = s.player_lookup AND f.games_played = s.games_before
LEFT JOIN team_form_after_game AS t
  ON t.season = s.season
  AND t.team_abbr = s.team_abbr
  AND t.game_date < s.game_date
  -- The team's latest game before the date: its next one is not before the date.
  AND (t.next_game_date IS NULL OR t.next_game_date >= s.game_date)
LEFT JOIN player_context AS c
  ON c.game_date = s.game_date AND c.player_lookup = s.player_lookup
LEFT JOIN shot_zones AS z
  ON z.analysis_date = s.game_date AND z.player_lookup = s.player_lookup
