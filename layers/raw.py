"""L0 and L1: what scrapers leave, and the tables it is loaded into."""

from datetime import date

from backfill_core import Layer, Schedule

NBA = Schedule(
    "nba",
    files="nbac_schedule/*.csv",
    tables={"gcp": "nbac_schedule"},
    date="game_date",
    key="game_id",
    season="season",
    type="game_type",
    expected=("002", "004", "005"),
    labels={"001": "preseason", "003": "All-Star", "006": "Cup final"},
    # The Cup final counts in no standings and is not expected, but that of 2025-12-16 was collected and is kept.
    include=("0062500001",),
    # Nothing is played from the finals of June to the first preseason game: the first file's days before that are off-season.
    since=date(2024, 7, 1),
)

LANDING = Layer("landing", aliases=("L0", "phase1"))

RAW = Layer("raw", aliases=("L1", "phase2"), after=("landing",), measured_by=("bdl_player_boxscores", "game_id"))
