-- One row a player and game, dnp lines too: his line of that same date, his usage, his shots by zone.
-- The gamebook's lines are taken where a game has any, else those of bdl.
-- The zone columns are NULL where the game has no shots; 0 is a player who took none from there.
WITH gamebook_lines AS (
  SELECT g.*, g.player_status = 'active' AS is_active, 'gamebook' AS source
  FROM {nbac_gamebook_player_stats} AS g
  WHERE g.game_date BETWEEN @date_from AND @date_to
),

lines AS (
  SELECT
    game_date, game_id, player_lookup, player_name, team_abbr, opponent_abbr, is_home, is_active, minutes, points,
    rebounds, assists, steals, blocks, turnovers, field_goals_made, field_goals_attempted, three_pointers_made,
    three_pointers_attempted, free_throws_made, free_throws_attempted, source
  FROM gamebook_lines
  UNION ALL
  SELECT
    b.game_date, b.game_id, b.player_lookup, b.player_name, b.team_abbr, b.opponent_abbr, b.is_home,
    TRUE AS is_active, b.minutes, b.points, b.rebounds, b.assists, b.steals, b.blocks, b.turnovers,
    b.field_goals_made, b.field_goals_attempted, b.three_pointers_made, b.three_pointers_attempted,
    b.free_throws_made, b.free_throws_attempted, 'bdl' AS source
  FROM {bdl_player_boxscores} AS b
  WHERE b.game_date BETWEEN @date_from AND @date_to
    AND NOT EXISTS (SELECT 1 FROM gamebook_lines AS g WHERE g.game_date = b.game_date AND g.game_id = b.game_id)
),

player_games AS (
  SELECT
    l.* EXCEPT (minutes),
    -- "34:12" is 34.2 minutes.
    SAFE_CAST(REGEXP_EXTRACT(minutes, r'^(\d+):') AS FLOAT64)
      + SAFE_CAST(REGEXP_EXTRACT(minutes, r':(\d+)$') AS FLOAT64) / 60 AS minutes,
    SAFE_CAST(SUBSTR(game_id, 4, 2) AS INT64) AS season_year
  FROM lines AS l
),

team_games AS (
  SELECT
    game_date,
    game_id,
    team_abbr,
    minutes AS team_minutes,
    field_goals_attempted + 0.44 * free_throws_attempted + turnovers AS team_plays
  FROM {team_offense_game_summary}
  WHERE game_date BETWEEN @date_from AND @date_to
),

player_zones AS (
  SELECT
    game_date,
    game_id,
    player_lookup,
    -- Every attempt is one of the three; a three is what counted three, wherever the zone was measured to be.
    COUNT(IF(points_value = 2 AND zone IN ('ra', 'paint'), 1, NULL)) AS paint_attempts,
    COUNT(IF(points_value = 2 AND zone IN ('ra', 'paint') AND made, 1, NULL)) AS paint_makes,
    COUNT(IF(points_value = 2 AND zone NOT IN ('ra', 'paint'), 1, NULL)) AS mid_range_attempts,
    COUNT(IF(points_value = 2 AND zone NOT IN ('ra', 'paint') AND made, 1, NULL)) AS mid_range_makes,
    COUNT(IF(points_value = 3, 1, NULL)) AS three_attempts,
    COUNT(IF(points_value = 3 AND made, 1, NULL)) AS three_makes
  FROM {player_shots}
  WHERE game_date BETWEEN @date_from AND @date_to
  GROUP BY game_date, game_id, player_lookup
),

games_with_shots AS (
  SELECT DISTINCT game_date, game_id
  FROM player_zones
)

SELECT
  p.game_date,
  p.game_id,
  CONCAT(CAST(2000 + p.season_year AS STRING), '-', LPAD(CAST(MOD(p.season_year + 1, 100) AS STRING), 2, '0'))
    AS season,
  p.player_lookup,
  p.player_name,
  p.team_abbr,
  p.opponent_abbr,
  p.is_home,
  p.is_active,
  p.minutes,
  p.points,
  p.rebounds,
  p.assists,
  p.steals,
  p.blocks,
  p.turnovers,
  p.field_goals_made,
  p.field_goals_attempted,
  p.three_pointers_made,
  p.three_pointers_attempted,
  p.free_throws_made,
  p.free_throws_attempted,
  -- Usage as Basketball Reference defines it, in percent: the share of the team's plays (FGA + 0.44 FTA + TOV)
  -- that a player ended while he was on the floor. Unknown without minutes, turnovers or team totals.
  CAST(
    ROUND(
      100 * SAFE_DIVIDE(
        (p.field_goals_attempted + 0.44 * p.free_throws_attempted + p.turnovers) * t.team_minutes / 5,
        p.minutes * t.team_plays
      ),
      2
    ) AS FLOAT64
  ) AS usage_rate,
  IF(g.game_id IS NULL, NULL, COALESCE(z.paint_attempts, 0)) AS paint_attempts,
  IF(g.game_id IS NULL, NULL, COALESCE(z.paint_makes, 0)) AS paint_makes,
  IF(g.game_id IS NULL, NULL, COALESCE(z.mid_range_attempts, 0)) AS mid_range_attempts,
  IF(g.game_id IS NULL, NULL, COALESCE(z.mid_range_makes, 0)) AS mid_range_makes,
  IF(g.game_id IS NULL, NULL, COALESCE(z.three_attempts, 0)) AS three_attempts,
  IF(g.game_id IS NULL, NULL, COALESCE(z.three_makes, 0)) AS three_makes,
  p.source,
  CURRENT_TIMESTAMP() AS processed_at
FROM player_games AS p
LEFT JOIN team_games AS t
  ON t.game_date = p.game_date AND t.game_id = p.game_id AND t.team_abbr = p.team_abbr
LEFT JOIN games_with_shots AS g
  ON g.game_date = p.game_date AND g.game_id = p.game_id
LEFT JOIN player_zones AS z
  ON z.game_date = p.game_date AND z.game_id = p.game_id AND z.player_lookup = p.player_lookup
