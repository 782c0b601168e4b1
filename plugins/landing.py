"""Sources: the files that scrapers leave. They are observed, never run."""

from backfill_core import SOURCE, Files, Processor, Rows


def _feed(name: str, pattern: str) -> Processor:
    return Processor(name, layer="landing", calendar="nba", writes=Files(pattern), complete_when=Rows(), run=SOURCE)


FEEDS = (
    _feed("landing_bdl", "bdl_player_boxscores/{date}.csv"),
    _feed("landing_gamebook", "nbac_gamebook_player_stats/{date}.csv"),
    _feed("landing_shots", "player_shots/{date}.csv"),
    _feed("landing_schedule", "nbac_schedule/{season}.csv"),
)
