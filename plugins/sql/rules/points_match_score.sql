-- Offending rows: a team whose players' points do not add up to its score, in a game that has players at all.
-- Both teams of such a game are judged, so that one without any players is found too. A game without a score in
-- the schedule is not judged.
WITH scheduled_games AS (
  SELECT game_date, game_id, home_team_abbr, away_team_abbr, home_score, away_score
  FROM {nbac_schedule}
  WHERE game_date BETWEEN @date_from AND @date_to
),

team_scores AS (
  SELECT game_date, game_id, home_team_abbr AS team_abbr, home_score AS score
  FROM scheduled_games
  UNION ALL
  SELECT game_date, game_id, away_team_abbr AS team_abbr, away_score AS score
  FROM scheduled_games
),

team_points AS (
  SELECT game_date, game_id, team_abbr, SUM(points) AS points
  FROM {player_game_summary}
  WHERE game_date BETWEEN @date_from AND @date_to
  GROUP BY game_date, game_id, team_abbr
),

games_with_players AS (
  SELECT DISTINCT game_date, game_id
  FROM team_points
)

SELECT
  s.game_date,
  s.game_id,
  s.team_abbr,
  p.points,
  s.score
FROM team_scores AS s
INNER JOIN games_with_players AS g ON g.game_date = s.game_date AND g.game_id = s.game_id
LEFT JOIN team_points AS p
  ON p.game_date = s.game_date AND p.game_id = s.game_id AND p.team_abbr = s.team_abbr
WHERE s.score IS NOT NULL
  AND (p.points IS NULL OR p.points != s.score)
