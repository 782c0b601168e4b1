-- One row a team and game: what the team produced, added up from its players' lines of that same date.
-- The gamebook's lines are taken where a game has any, else those of bdl.
-- A total is NULL where no line of the team holds the value (play-in lines lack turnovers): SUM sees to it.
WITH gamebook_lines AS (
  SELECT g.*, 'gamebook' AS source
  FROM {nbac_gamebook_player_stats} AS g
  WHERE g.game_date BETWEEN @date_from AND @date_to
),

lines AS (
  SELECT
    game_date, game_id, team_abbr, opponent_abbr, is_home, minutes, points, field_goals_made, field_goals_attempted,
    three_pointers_made, three_pointers_attempted, free_throws_made, free_throws_attempted, offensive_rebounds,
    rebounds, assists, turnovers, source
  FROM gamebook_lines
  UNION ALL
  SELECT
    b.game_date, b.game_id, b.team_abbr, b.opponent_abbr, b.is_home, b.minutes, b.points, b.field_goals_made,
    b.field_goals_attempted, b.three_pointers_made, b.three_pointers_attempted, b.free_throws_made,
    b.free_throws_attempted, b.offensive_rebounds, b.rebounds, b.assists, b.turnovers, 'bdl' AS source
  FROM {bdl_player_boxscores} AS b
  WHERE b.game_date BETWEEN @date_from AND @date_to
    AND NOT EXISTS (SELECT 1 FROM gamebook_lines AS g WHERE g.game_date = b.game_date AND g.game_id = b.game_id)
),

team_totals AS (
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
    CAST(SUM(three_pointers_made) AS INT64) AS three_pointers_made,
    CAST(SUM(three_pointers_attempted) AS INT64) AS three_pointers_attempted,
    CAST(SUM(free_throws_made) AS INT64) AS free_throws_made,
    CAST(SUM(free_throws_attempted) AS INT64) AS free_throws_attempted,
    CAST(SUM(offensive_rebounds) AS INT64) AS offensive_rebounds,
    CAST(SUM(rebounds) AS INT64) AS rebounds,
    CAST(SUM(assists) AS INT64) AS assists,
    CAST(SUM(turnovers) AS INT64) AS turnovers,
    -- "34:12" is 34.2 minutes.
    ROUND(
      SUM(
        SAFE_CAST(REGEXP_EXTRACT(minutes, r'^(\d+):') AS FLOAT64)
        + SAFE_CAST(REGEXP_EXTRACT(minutes, r':(\d+)$') AS FLOAT64) / 60
      ),
      4
    ) AS minutes
  FROM lines
  GROUP BY game_date, game_id, team_abbr, opponent_abbr, is_home, source
),

team_games AS (
  SELECT
    t.*,
    -- Dean Oliver's estimate of possessions: FGA + 0.44 FTA - OREB + TOV. Lines of the playoffs lack offensive
    -- rebounds; the estimate then goes without them and is some ten possessions too high. Without field goals
    -- attempted or turnovers there is no estimate.
    field_goals_attempted + 0.44 * COALESCE(free_throws_attempted, 0) - COALESCE(offensive_rebounds, 0)
      + turnovers AS possessions,
    SAFE_CAST(SUBSTR(game_id, 4, 2) AS INT64) AS season_year
  FROM team_totals AS t
)

SELECT
  game_date,
  game_id,
  -- 0022400088: three digits of type, two of the year the season starts in.
  CONCAT(CAST(2000 + season_year AS STRING), '-', LPAD(CAST(MOD(season_year + 1, 100) AS STRING), 2, '0')) AS season,
  team_abbr,
  opponent_abbr,
  is_home,
  points,
  field_goals_made,
  field_goals_attempted,
  three_pointers_made,
  three_pointers_attempted,
  free_throws_made,
  free_throws_attempted,
  offensive_rebounds,
  rebounds,
  assists,
  turnovers,
  minutes,
  -- Cast, because DuckDB takes 0.44 for a decimal.
  CAST(ROUND(possessions, 2) AS FLOAT64) AS possessions,
  -- Points in a hundred possessions.
  CAST(ROUND(100 * SAFE_DIVIDE(points, possessions), 2) AS FLOAT64) AS offensive_rating,
  source,
  CURRENT_TIMESTAMP() AS processed_at
FROM team_games
