"""L4: what was known before each game."""

from backfill_core import Gate, Layer

PRECOMPUTE = Layer(
    "precompute",
    aliases=("L4", "phase4"),
    after=("analytics",),
    measured_by=("player_composite_factors", "game_id"),
    gates=(Gate("l4-games", measure="player_composite_factors", key="game_id", at_least=0.80),),
)
