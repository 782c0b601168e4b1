"""L3: team and player summaries of each game, and the context each went into the next with."""

from backfill_core import (
    CalendarKeys,
    Http,
    KeysOf,
    Need,
    NotNull,
    Offending,
    Positive,
    Processor,
    Sql,
    Table,
    UniqueKey,
    any_of,
    days,
)

from .schemas import create_table
from .services import L3

_LINES = any_of("nbac_gamebook_player_stats", "bdl_player_boxscores")


def _table(name: str, key: str) -> Table:
    path = f"nba_analytics.{name}"
    ddl = create_table(path, "game_date")
    return Table(path, date="game_date", key=("game_date", key), updated="processed_at", ddl=ddl)


def _run(name: str, known_as: str) -> dict[str, Sql | Http]:
    return {"local": Sql(f"sql/{name}.sql", max_dates=60), "gcp": L3(known_as)}


TOGS = Processor(
    "team_offense_game_summary",
    layer="analytics",
    calendar="nba",
    writes=_table("team_offense_game_summary", "team_abbr"),
    needs=(_LINES,),
    complete_when=CalendarKeys("game_id", exactly=2),
    rules=(UniqueKey(),),
    run=_run("team_offense_game_summary", "TeamOffenseGameSummaryProcessor"),
)

TDGS = Processor(
    "team_defense_game_summary",
    layer="analytics",
    calendar="nba",
    writes=_table("team_defense_game_summary", "defending_team_abbr"),
    needs=(_LINES, Need("player_shots")),
    complete_when=CalendarKeys("game_id", exactly=2),
    rules=(UniqueKey(), Positive("opp_paint_attempts")),
    run=_run("team_defense_game_summary", "TeamDefenseGameSummaryProcessor"),
)

PGS = Processor(
    "player_game_summary",
    layer="analytics",
    calendar="nba",
    writes=_table("player_game_summary", "player_lookup"),
    needs=(_LINES, Need("team_offense_game_summary"), Need("player_shots", soft=True)),
    complete_when=CalendarKeys("game_id", share=0.9, at_least=14),
    rules=(
        UniqueKey(),
        NotNull("minutes", share=0.99, among="is_active"),
        NotNull("usage_rate", share=0.95, among="is_active"),
        Offending("points add up to the score", sql="sql/rules/points_match_score.sql", reads=("nbac_schedule",)),
    ),
    run=_run("player_game_summary", "PlayerGameSummaryProcessor"),
)

UPGC = Processor(
    "upcoming_player_game_context",
    layer="analytics",
    calendar="nba",
    writes=_table("upcoming_player_game_context", "player_lookup"),
    needs=(Need("nbac_schedule"), _LINES, Need("player_game_summary", window=days(30))),
    complete_when=KeysOf("player_game_summary", share=0.55),
    rules=(UniqueKey(),),
    run=_run("upcoming_player_game_context", "UpcomingPlayerGameContextProcessor"),
)

UTGC = Processor(
    "upcoming_team_game_context",
    layer="analytics",
    calendar="nba",
    writes=_table("upcoming_team_game_context", "team_abbr"),
    needs=(Need("nbac_schedule"),),
    complete_when=CalendarKeys("game_id", exactly=2, share=0.55),
    rules=(UniqueKey(),),
    run=_run("upcoming_team_game_context", "UpcomingTeamGameContextProcessor"),
)
