"""L3: team and player summaries of each game, and the context each went into the next with."""

from backfill_core import (
    CalendarKeys,
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

_LINES = any_of("nbac_gamebook_player_stats", "bdl_player_boxscores")


def _table(name: str, key: str) -> Table:
    path = f"nba_analytics.{name}"
    ddl = create_table(path, "game_date")
    return Table(path, date="game_date", key=("game_date", key), updated="processed_at", ddl=ddl)


def _sql(name: str) -> dict[str, Sql]:
    computed = Sql(f"sql/{name}.sql", max_dates=60)
    return {"local": computed, "gcp": computed}


TOGS = Processor(
    "team_offense_game_summary",
    layer="analytics",
    calendar="nba",
    writes=_table("team_offense_game_summary", "team_abbr"),
    needs=(_LINES,),
    complete_when=CalendarKeys("game_id", exactly=2),
    rules=(UniqueKey(),),
    run=_sql("team_offense_game_summary"),
)

TDGS = Processor(
    "team_defense_game_summary",
    layer="analytics",
    calendar="nba",
    writes=_table("team_defense_game_summary", "defending_team_abbr"),
    needs=(_LINES, Need("player_shots")),
    complete_when=CalendarKeys("game_id", exactly=2),
    rules=(UniqueKey(), Positive("opp_paint_attempts")),
    run=_sql("team_defense_game_summary"),
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
    run=_sql("player_game_summary"),
)

UPGC = Processor(
    "upcoming_player_game_context",
    layer="analytics",
    calendar="nba",
    writes=_table("upcoming_player_game_context", "player_lookup"),
    needs=(Need("nbac_schedule"), _LINES, Need("player_game_summary", window=days(30))),
    complete_when=KeysOf("player_game_summary", share=0.55),
    rules=(UniqueKey(),),
    run=_sql("upcoming_player_game_context"),
)

UTGC = Processor(
    "upcoming_team_game_context",
    layer="analytics",
    calendar="nba",
    writes=_table("upcoming_team_game_context", "team_abbr"),
    needs=(Need("nbac_schedule"),),
    complete_when=CalendarKeys("game_id", exactly=2, share=0.55),
    rules=(UniqueKey(),),
    run=_sql("upcoming_team_game_context"),
)
