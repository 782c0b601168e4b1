"""L5: predictions, and how good they were."""

from backfill_core import Layer

PREDICTIONS = Layer(
    "predictions",
    aliases=("L5", "phase5"),
    after=("precompute",),
    measured_by=("player_prop_predictions", "game_id"),
)
