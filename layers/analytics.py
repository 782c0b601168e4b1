"""L3: what happened in each game, by team and by player."""

from backfill_core import Gate, Layer

ANALYTICS = Layer(
    "analytics",
    aliases=("L3", "phase3"),
    after=("raw",),
    measured_by=("player_game_summary", "game_id"),
    gates=(Gate("l3-games", measure="player_game_summary", key="game_id", at_least=0.90),),
)
