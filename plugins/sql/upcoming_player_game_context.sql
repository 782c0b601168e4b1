-- One row a player and game: how rested and in what form he comes to it.
-- Who plays is read from the lines of that date (gamebook where a game has any, else bdl), against whom from the
-- schedule; the history is the games he played in the 30 days before the date, in the same season.
WITH gamebook_lines AS (
  SELECT game_date, game_id, player_lookup, team_abbr
  FROM {nbac_gamebook_player_stats}
  WHERE game_date BETWEEN @date_from AND @date_to
),

lines AS (
  SELECT game_date, game_id, player_lookup, team_abbr
  FROM gamebook_lines
  UNION ALL
  SELECT b.game_date, b.game_id, b.player_lookup, b.team_abbr
  FROM {bdl_player_boxscores} AS b
  WHERE b.game_date BETWEEN @date_from AND @date_to
    AND NOT EXISTS (SELECT 1 FROM gamebook_lines AS g WHERE g.game_date = b.game_date AND g.game_id = b.game_id)
),

slate AS (
  SELECT
    l.game_date,
    l.game_id,
    l.player_lookup,
    l.team_abbr,
    IF(l.team_abbr = g.home_team_abbr, g.away_team_abbr, g.home_team_abbr) AS opponent_abbr,
    l.team_abbr = g.home_team_abbr AS is_home,
    g.season
  FROM lines AS l
  INNER JOIN {nbac_schedule} AS g ON g.game_date = l.game_date AND g.game_id = l.game_id
  WHERE g.game_date BETWEEN @date_from AND @date_to
),

played_games AS (
  SELECT game_date, season, player_lookup, minutes, points
  FROM {player_game_summary}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 30 DAY) AND DATE_SUB(@date_to, INTERVAL 1 DAY)
    AND is_active
),

player_form AS (
  SELECT
    s.game_date,
    s.player_lookup,
    MAX(h.game_date) AS last_played,
    COUNT(IF(h.game_date >= DATE_SUB(s.game_date, INTERVAL 7 DAY), 1, NULL)) AS games_last_7_days,
    COUNT(IF(h.game_date >= DATE_SUB(s.game_date, INTERVAL 14 DAY), 1, NULL)) AS games_last_14_days,
    AVG(h.minutes) AS minutes_avg_last_30_days,
    AVG(h.points) AS points_avg_last_30_days
  FROM slate AS s
  INNER JOIN played_games AS h
    ON h.player_lookup = s.player_lookup
    AND h.season = s.season
    AND h.game_date < s.game_date
    AND h.game_date >= DATE_SUB(s.game_date, INTERVAL 30 DAY)
  GROUP BY s.game_date, s.player_lookup
)

SELECT
  s.game_date,
  s.game_id,
  s.player_lookup,
  s.team_abbr,
  s.opponent_abbr,
  s.is_home,
  -- Days off since he last played: 0 on the second night of a back-to-back, NULL when that is over 30 days ago.
  DATE_DIFF(s.game_date, f.last_played, DAY) - 1 AS days_rest,
  COALESCE(DATE_DIFF(s.game_date, f.last_played, DAY) = 1, FALSE) AS is_back_to_back,
  COALESCE(f.games_last_7_days, 0) AS games_last_7_days,
  COALESCE(f.games_last_14_days, 0) AS games_last_14_days,
  -- Rounded beyond the noise of adding fractions up, so that a date's row is the same in every batch.
  ROUND(f.minutes_avg_last_30_days, 6) AS minutes_avg_last_30_days,
  f.points_avg_last_30_days,
  CURRENT_TIMESTAMP() AS processed_at
FROM slate AS s
LEFT JOIN player_form AS f ON f.game_date = s.game_date AND f.player_lookup = s.player_lookup
