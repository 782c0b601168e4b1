-- Recent form and the season's average, moved by how hard the opponent defends against where the player shoots; as
-- `predict` in ../predictions.py does it.
SELECT
  game_date,
  game_id,
  player_lookup,
  'moving_average_v1' AS system_id,
  GREATEST(
    0.0,
    (
      0.5 * COALESCE(points_avg_last_5, points_avg_season)
      + 0.3 * COALESCE(points_avg_last_10, points_avg_season)
      + 0.2 * points_avg_season
    ) * (1 + COALESCE(shot_zone_mismatch_score, 0) / 100)
  ) AS predicted_points,
  LEAST(1.0, GREATEST(0.0, feature_quality / 100 * (1 - COALESCE(points_std_last_10, 10) / 25))) AS confidence_score,
  CURRENT_TIMESTAMP() AS processed_at
FROM {ml_feature_store_v2}
WHERE game_date BETWEEN @date_from AND @date_to
  AND NOT is_placeholder
  AND points_avg_season IS NOT NULL
