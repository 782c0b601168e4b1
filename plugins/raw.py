"""L1: landing files loaded as they are, a row a line."""

from collections.abc import Callable
from datetime import date
from typing import Any

from backfill_core import SOURCE, CalendarKeys, Need, Processor, Python, RunContext, Table, UniqueKey

from .schemas import create_table

_LINE = {
    "game_id": "VARCHAR",
    "game_date": "DATE",
    "team_abbr": "VARCHAR",
    "opponent_abbr": "VARCHAR",
    "is_home": "BOOLEAN",
    "player_lookup": "VARCHAR",
    "player_name": "VARCHAR",
    "minutes": "VARCHAR",
} | dict.fromkeys(
    (
        "points",
        "rebounds",
        "offensive_rebounds",
        "assists",
        "steals",
        "blocks",
        "turnovers",
        "personal_fouls",
        "field_goals_made",
        "field_goals_attempted",
        "three_pointers_made",
        "three_pointers_attempted",
        "free_throws_made",
        "free_throws_attempted",
        "plus_minus",
    ),
    "BIGINT",
)

_SHOT = {
    "game_id": "VARCHAR",
    "game_date": "DATE",
    "shot_number": "BIGINT",
    "period": "BIGINT",
    "clock_seconds": "BIGINT",
    "player_lookup": "VARCHAR",
    "team_abbr": "VARCHAR",
    "opponent_abbr": "VARCHAR",
    "points_value": "BIGINT",
    "made": "BOOLEAN",
    "zone": "VARCHAR",
    "distance_feet": "BIGINT",
}

_GAME = {
    "game_id": "VARCHAR",
    "game_date": "DATE",
    "season": "VARCHAR",
    "game_type": "VARCHAR",
    "home_team_abbr": "VARCHAR",
    "away_team_abbr": "VARCHAR",
    "home_score": "BIGINT",
    "away_score": "BIGINT",
}


def _loads(source: str, columns: dict[str, str]) -> Callable[[list[date], RunContext], Any]:
    """A processor's function that reads the files of ``source``, as DuckDB types."""

    def load(dates: list[date], ctx: RunContext) -> Any:
        paths = sorted({ctx.files[source][day] for day in dates if day in ctx.files[source]})
        if not paths:
            return []
        lines = ctx.cursor.read_csv(paths, header=True, columns=columns)
        return lines.select("*, CURRENT_TIMESTAMP AS processed_at")

    return load


def _raw(name: str, source: str, key: tuple[str, ...], columns: dict[str, str]) -> Processor:
    return Processor(
        name,
        layer="raw",
        calendar="nba",
        writes=Table(
            f"nba_raw.{name}",
            date="game_date",
            key=key,
            updated="processed_at",
            ddl=create_table(f"nba_raw.{name}", "game_date"),
        ),
        needs=(Need(source),),
        complete_when=CalendarKeys("game_id"),
        rules=(UniqueKey(),),
        # On Google Cloud other jobs load them.
        run={"local": Python(_loads(source, columns), max_dates=60), "gcp": SOURCE},
    )


BDL = _raw("bdl_player_boxscores", "landing_bdl", ("game_id", "player_lookup"), _LINE)
GAMEBOOK = _raw(
    "nbac_gamebook_player_stats",
    "landing_gamebook",
    ("game_id", "player_lookup"),
    _LINE | {"player_status": "VARCHAR"},
)
SHOTS = _raw("player_shots", "landing_shots", ("game_id", "shot_number"), _SHOT)
SCHEDULE = _raw("nbac_schedule", "landing_schedule", ("game_id",), _GAME)
