"""The reference pipeline's SQL: good GoogleSQL, the same columns on DuckDB, and values worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

SQL = Path(__file__).parents[2] / "plugins" / "sql"
TYPES = {"S": "STRING", "I": "INT64", "F": "FLOAT64", "B": "BOOL", "D": "DATE", "T": "TIMESTAMP"}
DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}
STATS = (
    "points rebounds offensive_rebounds assists steals blocks turnovers personal_fouls field_goals_made"
    " field_goals_attempted three_pointers_made three_pointers_attempted free_throws_made free_throws_attempted"
    " plus_minus"
)
LINE = "S:game_id D:game_date S:team_abbr,opponent_abbr B:is_home S:player_lookup,player_name,minutes I:" + (
    STATS.replace(" ", ",")
)
#: Every table: the letter of a type, then its columns, in the order of the table; processed_at ends each of them.
TABLES = {
    "nba_raw.nbac_schedule": "S:game_id D:game_date S:season,game_type,home_team_abbr,away_team_abbr I:home_score,away_score",
    "nba_raw.bdl_player_boxscores": LINE,
    "nba_raw.nbac_gamebook_player_stats": LINE + " S:player_status",
    "nba_raw.player_shots": "S:game_id D:game_date I:shot_number,period,clock_seconds"
    " S:player_lookup,team_abbr,opponent_abbr I:points_value B:made S:zone I:distance_feet",
    "nba_analytics.team_offense_game_summary": "D:game_date S:game_id,season,team_abbr,opponent_abbr B:is_home"
    " I:points,field_goals_made,field_goals_attempted,three_pointers_made,three_pointers_attempted,free_throws_made,"
    "free_throws_attempted,offensive_rebounds,rebounds,assists,turnovers F:minutes,possessions,offensive_rating"
    " S:source",
    "nba_analytics.team_defense_game_summary": "D:game_date S:game_id,season,defending_team_abbr,opponent_abbr"
    " B:is_home I:points_allowed,opp_field_goals_made,opp_field_goals_attempted,opp_turnovers,opp_paint_attempts,"
    "opp_paint_makes,opp_mid_range_attempts,opp_mid_range_makes,opp_three_attempts,opp_three_makes"
    " F:defensive_rating S:source",
    "nba_analytics.player_game_summary": "D:game_date S:game_id,season,player_lookup,player_name,team_abbr,"
    "opponent_abbr B:is_home,is_active F:minutes I:points,rebounds,assists,steals,blocks,turnovers,field_goals_made,"
    "field_goals_attempted,three_pointers_made,three_pointers_attempted,free_throws_made,free_throws_attempted"
    " F:usage_rate I:paint_attempts,paint_makes,mid_range_attempts,mid_range_makes,three_attempts,three_makes"
    " S:source",
    "nba_analytics.upcoming_player_game_context": "D:game_date S:game_id,player_lookup,team_abbr,opponent_abbr"
    " B:is_home I:days_rest B:is_back_to_back I:games_last_7_days,games_last_14_days"
    " F:minutes_avg_last_30_days,points_avg_last_30_days",
    "nba_analytics.upcoming_team_game_context": "D:game_date S:game_id,team_abbr,opponent_abbr B:is_home I:days_rest"
    " B:is_back_to_back I:games_last_7_days",
    "nba_precompute.team_defense_zone_analysis": "D:analysis_date S:team_abbr I:games_in_sample"
    " F:paint_attempts_allowed_per_game,paint_pct_allowed,mid_range_attempts_allowed_per_game,mid_range_pct_allowed,"
    "three_attempts_allowed_per_game,three_pct_allowed,defensive_rating_last_15",
    "nba_precompute.player_shot_zone_analysis": "D:analysis_date S:player_lookup I:games_in_sample_10,"
    "games_in_sample_20 F:paint_rate_last_10,mid_range_rate_last_10,three_rate_last_10,paint_pct_last_10,"
    "paint_rate_last_20,mid_range_rate_last_20,three_rate_last_20,paint_pct_last_20",
    "nba_precompute.player_daily_cache": "D:cache_date S:player_lookup,team_abbr I:games_played_season"
    " F:points_avg_season,points_avg_last_5,points_avg_last_10,minutes_avg_last_10,usage_rate_last_10,"
    "team_possessions_last_10,team_offensive_rating_last_10 I:days_rest F:paint_rate_last_10",
    "nba_precompute.player_composite_factors": "D:game_date S:game_id,player_lookup,team_abbr,opponent_team"
    " F:fatigue_score,shot_zone_mismatch_score,usage_score,pace_score,opponent_strength_score S:data_quality"
    " F:quality_score",
    "nba_predictions.ml_feature_store_v2": "D:game_date S:game_id,player_lookup,team_abbr,opponent_team"
    " B:is_placeholder F:feature_quality,points_avg_last_5,points_avg_last_10,points_avg_season,points_std_last_10,"
    "minutes_avg_last_10,usage_rate_last_10,days_rest,fatigue_score,shot_zone_mismatch_score,"
    "opponent_strength_score,paint_rate_last_10,three_rate_last_10,opponent_defensive_rating,games_last_60_days",
    "nba_predictions.player_prop_predictions": "D:game_date S:game_id,player_lookup,system_id"
    " F:predicted_points,confidence_score",
    "nba_predictions.prediction_accuracy": "D:game_date S:game_id,player_lookup,system_id F:predicted_points"
    " I:actual_points F:signed_error,absolute_error B:is_within_3",
}
PATHS = {path.partition(".")[2]: path for path in TABLES}
POINTS_MATCH = "rules/points_match_score"
QUERIES = sorted(path.relative_to(SQL).with_suffix("").as_posix() for path in SQL.rglob("*.sql"))

Row = dict[str, Any]


def columns_of(table: str) -> list[tuple[str, str]]:
    """The declared columns of a table with their GoogleSQL types, in order."""
    groups = (group.split(":") for group in f"{TABLES[table]} T:processed_at".split())
    return [(name, TYPES[letter]) for letter, names in groups for name in names.split(",")]


def expected_columns(query: str) -> list[tuple[str, str]]:
    """The columns a query must return: its table's, or those a rule shows of an offending row."""
    if query == POINTS_MATCH:
        strings, numbers = ("game_id", "team_abbr"), ("points", "score")
        return [("game_date", "DATE"), *((c, "STRING") for c in strings), *((c, "INT64") for c in numbers)]
    return columns_of(PATHS[query])


def google_sql(query: str) -> str:
    """The text of a query with its braces resolved."""
    text = (SQL / f"{query}.sql").read_text(encoding="utf-8")
    for name, path in PATHS.items():
        text = text.replace(f"{{{name}}}", f"`{path}`")
    return text


@cache
def duckdb_sql(query: str) -> str:
    """The same query for DuckDB."""
    return sqlglot.transpile(google_sql(query), read="bigquery", write="duckdb")[0]


class Warehouse:
    """The reference tables in an embedded DuckDB, empty at first; a column not given is NULL."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1})
        for table in TABLES:
            columns = ", ".join(f"{name} {DUCKDB_TYPES[kind]}" for name, kind in columns_of(table))
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
            self._connection.execute(f"CREATE TABLE {table} ({columns})")

    def close(self) -> None:
        self._connection.close()

    def add(self, name: str, *rows: Row) -> None:
        for row in rows:
            marks = ", ".join("?" for _ in row)
            self._connection.execute(f"INSERT INTO {PATHS[name]} ({', '.join(row)}) VALUES ({marks})", list(row.values()))

    def describe(self, query: str) -> list[tuple[str, str]]:
        """Names and types of what a query returns."""
        result = self._connection.sql(duckdb_sql(query), params=_span(date(2024, 10, 22), None))
        return [(name, str(kind)) for name, kind in zip(result.columns, result.types, strict=True)]

    def run(self, query: str, first: date, last: date | None = None) -> list[Row]:
        """The rows of a query over a span of dates (of one, if no last is given), sorted, without processed_at."""
        names = [name for name, _ in expected_columns(query) if name != "processed_at"]
        text = f"SELECT {', '.join(names)} FROM ({duckdb_sql(query)}) ORDER BY ALL"
        rows = self._connection.execute(text, _span(first, last)).fetchall()
        return [dict(zip(names, values, strict=True)) for values in rows]

    def fill(self, name: str, first: date, last: date | None = None) -> None:
        """Run a processor and keep its rows, as the framework would."""
        self.add(name, *self.run(name, first, last))


def _span(first: date, last: date | None) -> dict[str, date]:
    return {"date_from": first, "date_to": last or first}


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    made = Warehouse()
    yield made
    made.close()


def test_every_table_but_the_raw_and_predictions_has_a_query() -> None:
    computed = {PATHS[name].partition(".")[2] for name in PATHS if not PATHS[name].startswith("nba_raw.")}
    assert set(QUERIES) == computed - {"player_prop_predictions"} | {POINTS_MATCH}, "predictions are a function's, or a service's"


@pytest.mark.parametrize("query", QUERIES)
def test_is_one_select_of_the_declared_columns(query: str) -> None:
    (statement,) = sqlglot.parse(google_sql(query), read="bigquery")
    assert isinstance(statement, exp.Select)
    assert statement.named_selects == [name for name, _ in expected_columns(query)]
    assert {p.name for p in statement.find_all(exp.Parameter)} == {"date_from", "date_to"}


@pytest.mark.parametrize("query", QUERIES)
def test_duckdb_returns_the_declared_columns(query: str, warehouse: Warehouse) -> None:
    expected = [(name, DUCKDB_TYPES[kind]) for name, kind in expected_columns(query)]
    if query == POINTS_MATCH:  # its rows are shown, never written; DuckDB sums whole numbers to wider ones
        expected[3] = ("points", "HUGEINT")
    assert warehouse.describe(query) == expected
    assert warehouse.run(query, OPENING) == []


OPENING = date(2024, 10, 22)
GAME = "0022400061"


def days(count: int, first: date = OPENING) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


def line(player: str, **stats: Any) -> Row:
    """A box-score line of BOS, at home against NYK on opening night."""
    place = {
        "game_id": GAME,
        "game_date": OPENING,
        "team_abbr": "BOS",
        "opponent_abbr": "NYK",
        "is_home": True,
    }
    return {**place, "player_lookup": player, "player_name": player.title(), **stats}


#: Two lines make the team: 35 field goals and 15 free throws attempted, 7 turnovers, 8 offensive rebounds, 50 points.
STAR = line(
    "star",
    minutes="36:00",
    points=30,
    field_goals_attempted=20,
    free_throws_attempted=10,
    turnovers=5,
    offensive_rebounds=3,
)
BENCH = line(
    "bench",
    minutes="12:00",
    points=20,
    field_goals_attempted=15,
    free_throws_attempted=5,
    turnovers=2,
    offensive_rebounds=5,
)


def player_game(day: date, player: str = "star", **values: Any) -> Row:
    """A PGS row of a game that was played."""
    place = {"game_date": day, "game_id": f"g{day:%m%d}", "season": "2024-25", "player_lookup": player}
    return {**place, "team_abbr": "BOS", "opponent_abbr": "NYK", "is_active": True, **values}


def test_possessions_and_rating_of_a_team(warehouse: Warehouse) -> None:
    warehouse.add("bdl_player_boxscores", STAR, BENCH)
    (team,) = warehouse.run("team_offense_game_summary", OPENING)
    # 35 + 0.44 * 15 - 8 + 7 = 40.6; 100 * 50 / 40.6 = 123.15
    assert (team["possessions"], team["offensive_rating"]) == (40.6, 123.15)
    assert (team["season"], team["minutes"], team["points"], team["source"]) == ("2024-25", 48.0, 50, "bdl")
    (defence,) = warehouse.run("team_defense_game_summary", OPENING)
    assert (defence["defending_team_abbr"], defence["opponent_abbr"], defence["is_home"]) == (
        "NYK",
        "BOS",
        False,
    )
    assert (defence["points_allowed"], defence["defensive_rating"]) == (50, 123.15)
    assert defence["opp_paint_attempts"] is None


@pytest.mark.parametrize(
    ("missing", "possessions"),
    [("offensive_rebounds", 48.6), ("turnovers", None), ("field_goals_attempted", None)],
)
def test_possessions_where_lines_have_holes(missing: str, possessions: float | None, warehouse: Warehouse) -> None:
    warehouse.add("bdl_player_boxscores", STAR | {missing: None}, BENCH | {missing: None})
    (team,) = warehouse.run("team_offense_game_summary", OPENING)
    assert (team["possessions"], team[missing]) == (possessions, None)


def test_usage_rate_is_the_share_of_the_teams_plays(warehouse: Warehouse) -> None:
    warehouse.add("bdl_player_boxscores", STAR, BENCH)
    warehouse.fill("team_offense_game_summary", OPENING)
    bench, star = warehouse.run("player_game_summary", OPENING)
    # Plays: 20 + 4.4 + 5 = 29.4 and 15 + 2.2 + 2 = 19.2 of 48.6; a fifth of the team's minutes is 9.6.
    # 100 * 29.4 * 9.6 / (36 * 48.6) = 16.13; 100 * 19.2 * 9.6 / (12 * 48.6) = 31.60
    assert (star["usage_rate"], bench["usage_rate"]) == (16.13, 31.6)


def test_usage_is_unknown_without_turnovers(warehouse: Warehouse) -> None:
    warehouse.add("bdl_player_boxscores", STAR | {"turnovers": None}, BENCH | {"turnovers": None})
    warehouse.fill("team_offense_game_summary", OPENING)
    assert [row["usage_rate"] for row in warehouse.run("player_game_summary", OPENING)] == [None, None]


def test_the_gamebook_wins_where_a_game_has_it(warehouse: Warehouse) -> None:
    elsewhere = {"game_id": "0022400062", "team_abbr": "LAL", "opponent_abbr": "MIN"}
    warehouse.add("bdl_player_boxscores", STAR | {"points": 1}, line("guard", minutes="12:30") | elsewhere)
    sitting = line("sitting", player_status="dnp")
    warehouse.add("nbac_gamebook_player_stats", STAR | {"player_status": "active"}, sitting)
    rows = warehouse.run("player_game_summary", OPENING)
    seen = [(r["player_lookup"], r["source"], r["is_active"], r["minutes"], r["points"]) for r in rows]
    assert seen == [
        ("sitting", "gamebook", False, None, None),
        ("star", "gamebook", True, 36.0, 30),
        ("guard", "bdl", True, 12.5, None),
    ]


def test_shots_are_counted_by_zone_and_zero_is_not_null(warehouse: Warehouse) -> None:
    warehouse.add("bdl_player_boxscores", STAR, BENCH, line("guard") | {"game_id": "0022400062"})
    place = {"game_id": GAME, "game_date": OPENING, "team_abbr": "BOS", "opponent_abbr": "NYK"}
    shots = [("ra", 2, True), ("paint", 2, False), ("mid", 2, True), ("lc3", 3, False), ("bc", 3, True)]
    for zone, value, made in shots:
        warehouse.add(
            "player_shots",
            {**place, "player_lookup": "star", "zone": zone, "points_value": value, "made": made},
        )
    zones = (
        "paint_attempts",
        "paint_makes",
        "mid_range_attempts",
        "mid_range_makes",
        "three_attempts",
        "three_makes",
    )
    rows = warehouse.run("player_game_summary", OPENING)
    counts = {row["player_lookup"]: tuple(row[zone] for zone in zones) for row in rows}
    assert counts == {"star": (2, 1, 1, 1, 2, 1), "bench": (0,) * 6, "guard": (None,) * 6}
    (defence,) = (r for r in warehouse.run("team_defense_game_summary", OPENING) if r["game_id"] == GAME)
    assert tuple(defence[f"opp_{zone}"] for zone in zones) == (2, 1, 1, 1, 2, 1)


def test_rest_counts_the_days_off_of_the_same_season(warehouse: Warehouse) -> None:
    def game(day: date, kind: str, season: str = "2024-25") -> Row:
        teams = {"home_team_abbr": "BOS", "away_team_abbr": "NYK"}
        return {"game_id": f"{kind}{day}", "game_date": day, "season": season, "game_type": kind, **teams}

    before = [game(date(2024, 6, 17), "004", "2023-24"), game(date(2024, 10, 18), "001")]
    nights = [game(OPENING + timedelta(days=n), "002") for n in (0, 1, 4, 8)]
    warehouse.add("nbac_schedule", *before, *nights)
    rows = warehouse.run("upcoming_team_game_context", OPENING, OPENING + timedelta(days=8))
    boston = [row for row in rows if row["team_abbr"] == "BOS"]
    assert [row["days_rest"] for row in boston] == [None, 0, 2, 3]
    assert [row["is_back_to_back"] for row in boston] == [False, True, False, False]
    # Seven days before the fourth game is the second: the first is out.
    assert [row["games_last_7_days"] for row in boston] == [0, 1, 2, 2]


def test_a_players_context_ends_the_day_before(warehouse: Warehouse) -> None:
    night = OPENING + timedelta(days=9)
    warehouse.add("bdl_player_boxscores", STAR | {"game_date": night})
    teams = {"home_team_abbr": "BOS", "away_team_abbr": "NYK", "season": "2024-25", "game_type": "002"}
    warehouse.add("nbac_schedule", {"game_id": GAME, "game_date": night, **teams})
    played = [(0, 10, 20.0), (7, 20, 30.0), (9, 99, 48.0)]
    for after, points, minutes in played:
        warehouse.add(
            "player_game_summary",
            player_game(OPENING + timedelta(days=after), points=points, minutes=minutes),
        )
    dnp = player_game(night - timedelta(days=1), is_active=False)
    last_season = player_game(OPENING - timedelta(days=1), season="2023-24", points=50, minutes=40.0)
    warehouse.add("player_game_summary", dnp, last_season)
    (row,) = warehouse.run("upcoming_player_game_context", night, night + timedelta(days=1))
    assert (row["opponent_abbr"], row["is_home"]) == ("NYK", True)
    assert (row["days_rest"], row["is_back_to_back"]) == (1, False)
    assert (row["games_last_7_days"], row["games_last_14_days"]) == (1, 2)
    assert (row["points_avg_last_30_days"], row["minutes_avg_last_30_days"]) == (15.0, 25.0)


def defended(day: date, number: int, season: str = "2024-25") -> Row:
    """A TDGS row of BOS whose every value tells the number of the game."""
    shots = {"opp_paint_attempts": 2 * number, "opp_paint_makes": number, "defensive_rating": 100.0 + number}
    return {"game_date": day, "game_id": f"g{day}", "season": season, "defending_team_abbr": "BOS", **shots}


def test_a_defence_is_judged_by_its_last_15_games_before_the_date(warehouse: Warehouse) -> None:
    nights = days(16)
    games = (defended(day, number) for number, day in enumerate(nights, start=1))
    warehouse.add("team_defense_game_summary", *games)
    assert warehouse.run("team_defense_zone_analysis", nights[14]) == []
    # On the night of the 16th game: games 1..15, whose mean is 8. A day later: games 2..16, whose mean is 9.
    (before,) = warehouse.run("team_defense_zone_analysis", nights[15])
    (after,) = warehouse.run("team_defense_zone_analysis", nights[15] + timedelta(days=1))
    assert (before["paint_attempts_allowed_per_game"], before["defensive_rating_last_15"]) == (16.0, 108.0)
    assert (after["paint_attempts_allowed_per_game"], after["defensive_rating_last_15"]) == (18.0, 109.0)
    assert (before["games_in_sample"], before["paint_pct_allowed"]) == (15, 0.5)
    assert before["three_pct_allowed"] is None


def test_no_season_looks_back_on_the_last_one(warehouse: Warehouse) -> None:
    spring = days(15, date(2024, 4, 1))
    warehouse.add("team_defense_game_summary", *(defended(day, 1, "2023-24") for day in spring))
    for day in spring:
        warehouse.add("player_game_summary", player_game(day, season="2023-24", points=40, paint_attempts=1))
    warehouse.add("team_defense_game_summary", defended(OPENING, 1))
    warehouse.add("player_game_summary", *(player_game(day, points=10) for day in days(4)))
    fourth = OPENING + timedelta(days=3)
    assert warehouse.run("team_defense_zone_analysis", OPENING, fourth) == []
    assert warehouse.run("player_shot_zone_analysis", OPENING, fourth) == []
    (row,) = warehouse.run("player_daily_cache", OPENING, fourth)
    assert (row["cache_date"], row["games_played_season"], row["points_avg_season"]) == (fourth, 3, 10.0)


def test_zone_shares_start_with_the_tenth_line(warehouse: Warehouse) -> None:
    nights = days(12)
    for number, day in enumerate(nights, start=1):
        # The first game has threes only, the third was not played, the fourth has no shot data.
        attempts: Row = {"paint_attempts": 3, "paint_makes": 2, "mid_range_attempts": 1, "three_attempts": 0}
        if number == 1:
            attempts = {"paint_attempts": 0, "paint_makes": 0, "mid_range_attempts": 0, "three_attempts": 4}
        if number == 4:
            attempts = {}
        warehouse.add("player_game_summary", player_game(day, is_active=number != 3, **attempts))
    assert warehouse.run("player_shot_zone_analysis", nights[9]) == []
    first, second, third = warehouse.run("player_shot_zone_analysis", nights[10], nights[11] + timedelta(days=1))
    # Ten lines, eight of them with shots: 21 of 32 attempts in the paint, 14 of them made.
    assert (first["analysis_date"], first["games_in_sample_10"]) == (nights[10], 8)
    assert (first["paint_rate_last_10"], first["paint_pct_last_10"]) == (21 / 32, 14 / 21)
    assert (first["mid_range_rate_last_10"], first["three_rate_last_10"]) == (7 / 32, 4 / 32)
    assert (second["games_in_sample_10"], third["games_in_sample_10"]) == (9, 10)


def test_the_daily_cache_averages_games_played_before_the_date(warehouse: Warehouse) -> None:
    nights = days(13)
    for number, day in enumerate(nights, start=1):
        sat_out = number == 6
        stats: Row = {} if sat_out else {"points": number, "minutes": 20.0 + number}
        warehouse.add("player_game_summary", player_game(day, is_active=not sat_out, **stats))
        team = {"game_date": day, "game_id": f"g{day}", "season": "2024-25", "team_abbr": "BOS"}
        warehouse.add("team_offense_game_summary", team | {"possessions": 90.0 + number})
    rows = warehouse.run("player_daily_cache", nights[0], nights[12])
    assert [row["cache_date"] for row in rows] == nights[3:]
    # Before the 13th: 1..5 and 7..12 were played, so 8..12 are the last five and 2..5 with 7..12 the last ten.
    last = rows[-1]
    averages = tuple(last[f"points_avg_{window}"] for window in ("season", "last_5", "last_10"))
    assert (last["games_played_season"], *averages) == (11, 72 / 11, 10.0, 7.1)
    assert (last["minutes_avg_last_10"], last["team_possessions_last_10"]) == (27.1, 97.5)
    assert (last["days_rest"], last["paint_rate_last_10"]) == (None, None)


def defence(team: str, rating: float, paint_pct: float) -> Row:
    """A TDZA row of opening night."""
    shares = {"paint_pct_allowed": paint_pct, "mid_range_pct_allowed": 0.4, "three_pct_allowed": 0.35}
    return {"analysis_date": OPENING, "team_abbr": team, "defensive_rating_last_15": rating, **shares}


def test_factors_compare_the_opponent_with_the_league(warehouse: Warehouse) -> None:
    warehouse.add("player_game_summary", player_game(OPENING), player_game(OPENING, "guest", opponent_abbr="LAL"))
    warehouse.add("team_defense_zone_analysis", defence("NYK", 120.0, 0.62), defence("MIN", 100.0, 0.58))
    shares = {"paint_rate_last_10": 0.5, "mid_range_rate_last_10": 0.25, "three_rate_last_10": 0.25}
    warehouse.add("player_shot_zone_analysis", {"analysis_date": OPENING, "player_lookup": "star", **shares})
    guest, star = warehouse.run("player_composite_factors", OPENING)
    # The league's mean is 110: 100 * 110 / 120. The paint is 0.02 above its mean: 100 * 2 * 0.5 * 0.02.
    assert star["opponent_strength_score"] == 91.666667
    assert star["shot_zone_mismatch_score"] == 2.0
    assert (star["data_quality"], star["quality_score"]) == ("synthetic_context", 70.0)
    assert (guest["data_quality"], guest["quality_score"]) == ("no_zone_data", 40.0)
    scores = ("opponent_strength_score", "shot_zone_mismatch_score", "pace_score", "usage_score")
    assert [guest[score] for score in scores] == [None] * 4


def test_fatigue_is_what_rest_and_minutes_leave_of_100(warehouse: Warehouse) -> None:
    warehouse.add("player_game_summary", player_game(OPENING))
    form = {"minutes_avg_last_30_days": 36.0, "points_avg_last_30_days": 17.1}
    rest = {"days_rest": 0, "games_last_7_days": 4}
    context = {"game_date": OPENING, "player_lookup": "star", **rest, **form}
    warehouse.add("upcoming_player_game_context", context)
    (star,) = warehouse.run("player_composite_factors", OPENING)
    # 20 for the back-to-back, 5 for the fourth game, 12 for six minutes above 30; 17.1 / 36 is 0.475 a minute.
    assert (star["fatigue_score"], star["usage_score"]) == (63.0, 0.0)


def test_a_player_without_cache_and_factors_gets_a_placeholder(warehouse: Warehouse) -> None:
    warehouse.add("player_game_summary", *(player_game(day, points=10 * n) for n, day in enumerate(days(4))))
    night = days(4)[3]
    warehouse.add("team_defense_zone_analysis", defence("NYK", 110.0, 0.6) | {"analysis_date": night})
    (empty,) = warehouse.run("ml_feature_store_v2", night)
    features = list(empty)[list(empty).index("points_avg_last_5") :]
    assert (empty["is_placeholder"], empty["feature_quality"]) == (True, 0.0)
    assert len(features) == 14
    assert {empty[feature] for feature in features} == {None}
    warehouse.add("player_composite_factors", {"game_date": night, "player_lookup": "star", "fatigue_score": 90.0})
    (row,) = warehouse.run("ml_feature_store_v2", night)
    # 0, 10 and 20 points before the date deviate by 10; four of the fourteen features are known.
    assert (row["is_placeholder"], row["points_std_last_10"], row["games_last_60_days"]) == (False, 10.0, 3.0)
    assert (row["opponent_defensive_rating"], row["feature_quality"]) == (110.0, 28.57)


def test_grading_keeps_whoever_did_not_play(warehouse: Warehouse) -> None:
    warehouse.add(
        "player_game_summary",
        player_game(OPENING, "exact", points=17),
        player_game(OPENING, "far", points=24),
        player_game(OPENING, "sitting", is_active=False),
    )
    for player in ("absent", "exact", "far", "sitting"):
        key = {"game_date": OPENING, "player_lookup": player, "system_id": "moving_average_v1"}
        warehouse.add("player_prop_predictions", key | {"predicted_points": 20.0})
    rows = warehouse.run("prediction_accuracy", OPENING)
    seen = [(r["player_lookup"], r["signed_error"], r["absolute_error"], r["is_within_3"]) for r in rows]
    assert sorted(seen) == [
        ("exact", 3.0, 3.0, True),
        ("far", -4.0, 4.0, False),
        ("sitting", None, None, None),
    ]


def test_points_that_miss_the_score_are_found(warehouse: Warehouse) -> None:
    def game(game_id: str, home: str, away: str, *scores: int | None) -> Row:
        teams = {"home_team_abbr": home, "away_team_abbr": away}
        return {
            "game_id": game_id,
            "game_date": OPENING,
            **teams,
            "home_score": scores[0],
            "away_score": scores[1],
        }

    warehouse.add(
        "nbac_schedule",
        game("wrong", "BOS", "NYK", 50, 40),
        game("half", "LAL", "MIN", 30, 20),
        game("unplayed", "DEN", "PHX", None, None),
        game("no lines", "MIA", "ORL", 90, 80),
    )
    scorers = [("wrong", "BOS", 30), ("wrong", "BOS", 20), ("wrong", "NYK", 39), ("half", "LAL", 30)]
    for number, (game_id, team, points) in enumerate([*scorers, ("unplayed", "DEN", 7)]):
        warehouse.add(
            "player_game_summary",
            player_game(OPENING, f"player{number}", game_id=game_id, team_abbr=team, points=points),
        )
    rows = warehouse.run(POINTS_MATCH, OPENING)
    assert [tuple(row.values()) for row in rows] == [
        (OPENING, "half", "MIN", None, 20),
        (OPENING, "wrong", "NYK", 39, 40),
    ]


def test_a_span_gives_each_date_the_rows_it_has_alone(warehouse: Warehouse) -> None:
    nights = days(30)
    for number, day in enumerate(nights, start=1):
        stats: Row = {"points": number % 7, "minutes": 20 + number / 3, "usage_rate": 20.11 + number}
        zones: Row = {"paint_attempts": number % 5, "mid_range_attempts": number % 3, "three_attempts": 2}
        warehouse.add("player_game_summary", player_game(day, is_active=number % 4 != 0, **stats, **zones))
        warehouse.add("team_defense_game_summary", defended(day, number))
    for name in ("team_defense_zone_analysis", "player_shot_zone_analysis", "player_daily_cache"):
        alone = [row for day in nights for row in warehouse.run(name, day)]
        assert alone
        assert warehouse.run(name, nights[0], nights[-1]) == alone
        for day in nights:
            warehouse.fill(name, day)
    for name in ("player_composite_factors", "ml_feature_store_v2"):
        assert warehouse.run(name, nights[0], nights[-1]) == [r for day in nights for r in warehouse.run(name, day)]
        warehouse.fill(name, nights[0], nights[-1])
