-- One row a prediction of the date whose player has a line on it: how far off it was.
-- A player who did not play has a row too, without an actual value or errors: his prediction is graded, not lost.
SELECT
  p.game_date,
  p.game_id,
  p.player_lookup,
  p.system_id,
  p.predicted_points,
  a.points AS actual_points,
  -- Above zero: predicted too much.
  ROUND(p.predicted_points - a.points, 4) AS signed_error,
  ROUND(ABS(p.predicted_points - a.points), 4) AS absolute_error,
  ROUND(ABS(p.predicted_points - a.points), 4) <= 3 AS is_within_3,
  CURRENT_TIMESTAMP() AS processed_at
FROM {player_prop_predictions} AS p
INNER JOIN {player_game_summary} AS a
  ON a.game_date = p.game_date AND a.player_lookup = p.player_lookup
WHERE p.game_date BETWEEN @date_from AND @date_to
  AND a.game_date BETWEEN @date_from AND @date_to
