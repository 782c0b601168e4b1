-- One row a team and game: how rested the team comes to it, from the schedule up to the day before.
-- Games that count (regular season, playoffs, play-in, Cup final); only those of the same season.
WITH scheduled_games AS (
  SELECT game_date, game_id, season, home_team_abbr, away_team_abbr
  FROM {nbac_schedule}
  WHERE game_date BETWEEN DATE_SUB(@date_from, INTERVAL 300 DAY) AND @date_to
    AND game_type IN ('002', '004', '005', '006')
),

team_games AS (
  SELECT
    game_date, game_id, season, home_team_abbr AS team_abbr, away_team_abbr AS opponent_abbr, TRUE AS is_home
  FROM scheduled_games
  UNION ALL
  SELECT
    game_date, game_id, season, away_team_abbr AS team_abbr, home_team_abbr AS opponent_abbr, FALSE AS is_home
  FROM scheduled_games
),

rested_teams AS (
  SELECT
    t.*,
    -- Days off since the last game: 0 on the second night of a back-to-back, NULL before the season's first game.
    DATE_DIFF(
      game_date, LAG(game_date) OVER (PARTITION BY season, team_abbr ORDER BY game_date, game_id), DAY
    ) - 1 AS days_rest,
    COUNT(*) OVER (
      PARTITION BY season, team_abbr ORDER BY UNIX_DATE(game_date) RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING
    ) AS games_last_7_days
  FROM team_games AS t
)

SELECT
  game_date,
  game_id,
  team_abbr,
  opponent_abbr,
  is_home,
  days_rest,
  COALESCE(days_rest = 0, FALSE) AS is_back_to_back,
  games_last_7_days,
  CURRENT_TIMESTAMP() AS processed_at
FROM rested_teams
WHERE game_date BETWEEN @date_from AND @date_to
