-- One row a team and game: what the team allowed, from its opponent's lines and shots of that same date.
-- The gamebook's lines are taken where a game has any, else those of bdl.
-- The zone columns are NULL where the game has no shots; 0 is a zone nobody shot from.
WITH gamebook_lines AS (
  SELECT g.*, 'gamebook' AS source
  FROM {nbac_gamebook_player_stats} AS g
  WHERE g.game_date BETWEEN @date_from AND @date_to
),

lines AS (
  SELECT
    game_date, game_id, team_abbr, opponent_abbr, is_home, points, field_goals_made, field_goals_attempted,
    free_throws_attempted, offensive_rebounds, turnovers, source
  FROM gamebook_lines
  UNION ALL
  SELECT
    b.game_date, b.game_id, b.team_abbr, b.opponent_abbr, b.is_home, b.points, b.field_goals_made,
    b.field_goals_attempted, b.free_throws_attempted, b.offensive_rebounds, b.turnovers, 'bdl' AS source
  FROM {bdl_player_boxscores} AS b
  WHERE b.game_date BETWEEN @date_from AND @date_to
    AND NOT EXISTS (SELECT 1 FROM gamebook_lines AS g WHERE g.game_date = b.game_date AND g.game_id = b.game_id)
),

opponent_totals AS (
  SELECT
    game_date,
    game_id,
    team_abbr,
    opponent_abbr,
    is_home,
    source,
    CAST(SUM(points) AS INT64) AS points,
    CAST(SUM(field_goals_made) AS INT64) AS field_goals_made,
    CAST(SUM(field_goals_attempted) AS INT64) AS field_goals_attempted,
    CAST(SUM(free_throws_attempted) AS INT64) AS free_throws_attempted,
    CAST(SUM(offensive_rebounds) AS INT64) AS offensive_rebounds,
    CAST(SUM(turnovers) AS INT64) AS turnovers
  FROM lines
  GROUP BY game_date, game_id, team_abbr, opponent_abbr, is_home, source
),

-- Seen from the defence: the lines' opponent defends, the lines' team is its opponent.
allowed_games AS (
  SELECT
    game_date,
    game_id,
    SAFE_CAST(SUBSTR(game_id, 4, 2) AS INT64) AS season_year,
    o.opponent_abbr AS defending_team_abbr,
    o.team_abbr AS opponent_abbr,
    NOT o.is_home AS is_home,
    points AS points_allowed,
    field_goals_made AS opp_field_goals_made,
    field_goals_attempted AS opp_field_goals_attempted,
    turnovers AS opp_turnovers,
    -- The opponent's possessions, by the estimate of team_offense_game_summary: FGA + 0.44 FTA - OREB + TOV,
    -- without offensive rebounds where no line holds them, none without FGA or TOV.
    field_goals_attempted + 0.44 * COALESCE(free_throws_attempted, 0) - COALESCE(offensive_rebounds, 0)
      + turnovers AS opp_possessions,
    source
  FROM opponent_totals AS o
),

allowed_shots AS (
  SELECT
    game_date,
    game_id,
    opponent_abbr AS defending_team_abbr,
    -- Every attempt is one of the three; a three is what counted three, wherever the zone was measured to be.
    COUNT(IF(points_value = 2 AND zone IN ('ra', 'paint'), 1, NULL)) AS paint_attempts,
    COUNT(IF(points_value = 2 AND zone IN ('ra', 'paint') AND made, 1, NULL)) AS paint_makes,
    COUNT(IF(points_value = 2 AND zone NOT IN ('ra', 'paint'), 1, NULL)) AS mid_range_attempts,
    COUNT(IF(points_value = 2 AND zone NOT IN ('ra', 'paint') AND made, 1, NULL)) AS mid_range_makes,
    COUNT(IF(points_value = 3, 1, NULL)) AS three_attempts,
    COUNT(IF(points_value = 3 AND made, 1, NULL)) AS three_makes
  FROM {player_shots}
  WHERE game_date BETWEEN @date_from AND @date_to
  GROUP BY game_date, game_id, defending_team_abbr
)

SELECT
  g.game_date,
  g.game_id,
  CONCAT(CAST(2000 + g.season_year AS STRING), '-', LPAD(CAST(MOD(g.season_year + 1, 100) AS STRING), 2, '0'))
    AS season,
  g.defending_team_abbr,
  g.opponent_abbr,
  g.is_home,
  g.points_allowed,
  g.opp_field_goals_made,
  g.opp_field_goals_attempted,
  g.opp_turnovers,
  s.paint_attempts AS opp_paint_attempts,
  s.paint_makes AS opp_paint_makes,
  s.mid_range_attempts AS opp_mid_range_attempts,
  s.mid_range_makes AS opp_mid_range_makes,
  s.three_attempts AS opp_three_attempts,
  s.three_makes AS opp_three_makes,
  -- Points allowed in a hundred possessions of the opponent.
  CAST(ROUND(100 * SAFE_DIVIDE(g.points_allowed, g.opp_possessions), 2) AS FLOAT64) AS defensive_rating,
  g.source,
  CURRENT_TIMESTAMP() AS processed_at
FROM allowed_games AS g
LEFT JOIN allowed_shots AS s
  ON s.game_date = g.game_date AND s.game_id = g.game_id AND s.defending_team_abbr = g.defending_team_abbr
