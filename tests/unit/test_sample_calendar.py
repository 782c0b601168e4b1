"""The made sample: its calendar holds the real dates and totals, its games add up."""

import csv
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import pytest

# The sample is a folder of scripts, not a package: its modules find each other as siblings.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "nba_season"))

from box_scores import PlayedGame, TeamBox, play_games
from calendar_facts import Game, schedule
from landing import write_landing
from rosters import make_league, player_lookup
from season_facts import SEASONS, TEAMS

SEEDS = (7, 1, 2)

OFF_DAYS = [
    "2024-11-05", "2024-11-28", "2024-12-17", "2024-12-18", "2024-12-24", "2025-02-14", "2025-02-15",
    "2025-02-16", "2025-02-17", "2025-02-18", "2025-04-12", "2025-11-27", "2025-12-16", "2025-12-24",
]  # fmt: skip

PLAYOFF_GAMES = {
    "2025-04": {19: 4, 20: 4, 21: 2, 22: 3, 23: 3, 24: 3, 25: 3, 26: 4, 27: 4, 28: 2, 29: 4, 30: 2},
    "2025-05": {
        1: 2, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 2, 8: 1, 9: 2, 10: 2, 11: 2, 12: 2, 13: 2, 14: 2, 15: 1,
        16: 1, 18: 1, **dict.fromkeys(range(20, 30), 1), 31: 1,
    },
    "2025-06": dict.fromkeys((5, 8, 11, 13, 16, 19, 22), 1),
}  # fmt: skip


def days(*texts: str) -> set[date]:
    return {date.fromisoformat(text) for text in texts}


def between(first: date, last: date) -> set[date]:
    return {first + timedelta(days=n) for n in range((last - first).days + 1)}


def a_date(games: Iterable[Game]) -> Counter[date]:
    return Counter(game.game_date for game in games)


def of(games: Iterable[Game], season: str, *types: str) -> list[Game]:
    return [game for game in games if game.season == season and game.game_type in types]


@pytest.fixture(scope="module", params=SEEDS)
def games(request: pytest.FixtureRequest) -> list[Game]:
    return schedule(request.param)


@pytest.fixture(scope="module")
def played() -> list[PlayedGame]:
    """Past the opening fortnight: enough for line-ups to rotate and for an overtime or two."""
    return list(islice(play_games(schedule(7), 7), 300))


def test_the_regular_season_of_2024_25_has_82_games_a_team_on_163_dates(games: list[Game]) -> None:
    regular = of(games, "2024-25", "002")
    season = between(date(2024, 10, 22), date(2025, 4, 13))
    assert set(a_date(regular)) == season - days(*OFF_DAYS)
    assert (len(regular), len(a_date(regular))) == (1230, 163)
    assert Counter(team for game in regular for team in (game.home, game.away)) == dict.fromkeys(TEAMS, 82)
    assert len(TEAMS) == 30


def test_the_postseason_of_2025_is_the_real_one(games: list[Game]) -> None:
    play_in, playoffs = a_date(of(games, "2024-25", "005")), a_date(of(games, "2024-25", "004"))
    assert play_in == dict.fromkeys(days("2025-04-15", "2025-04-16", "2025-04-18"), 2)
    assert playoffs == {
        date.fromisoformat(f"{month}-{day:02d}"): count
        for month, counts in PLAYOFF_GAMES.items()
        for day, count in counts.items()
    }
    assert (playoffs.total(), len(playoffs)) == (84, 47)
    assert all(game.winner in (game.home, game.away) for game in of(games, "2024-25", "004", "005"))


def test_2024_25_has_1320_games_on_213_dates(games: list[Game]) -> None:
    counted = a_date(of(games, "2024-25", "002", "004", "005"))
    assert (counted.total(), len(counted)) == (1320, 213)


def test_2025_26_has_511_regular_games_on_71_dates(games: list[Game]) -> None:
    regular = a_date(of(games, "2025-26", "002"))
    assert set(regular) == between(date(2025, 10, 21), date(2026, 1, 2)) - days(*OFF_DAYS)
    assert (regular.total(), len(regular)) == (511, 71)
    assert max(game.game_date for game in games) == date(2026, 1, 2)


@pytest.mark.parametrize(("day", "game_id"), [("2024-12-17", "0062400001"), ("2025-12-16", "0062500001")])
def test_a_cup_final_is_the_only_game_of_its_day(games: list[Game], day: str, game_id: str) -> None:
    final = [game for game in games if game.game_date == date.fromisoformat(day)]
    assert [(game.game_id, game.game_type) for game in final] == [(game_id, "006")]


def test_the_window_has_1832_games_on_285_dates(games: list[Game]) -> None:
    counted = [game for game in games if game.game_type in ("002", "004", "005") or game.game_date == date(2025, 12, 16)]
    assert (len(counted), len(a_date(counted))) == (1832, 285)


def test_the_opening_fortnights_have_211_games(games: list[Game]) -> None:
    regular = a_date(game for game in games if game.game_type == "002")
    fortnights = [between(facts.first, facts.first + timedelta(days=13)) for facts in SEASONS]
    assert [len(fortnight & set(regular)) for fortnight in fortnights] == [14, 14]
    assert sum(regular[day] for fortnight in fortnights for day in fortnight) == 211


@pytest.mark.parametrize(
    ("day", "count"),
    [
        ("2024-10-22", 2), ("2025-10-21", 2), ("2024-11-04", 15), ("2025-04-13", 15), ("2024-12-25", 5),
        ("2025-12-25", 5), ("2024-12-10", 2), ("2024-12-11", 2), ("2024-12-14", 2), ("2025-12-09", 2),
        ("2025-12-10", 2), ("2025-12-13", 2), ("2025-01-11", 8), ("2025-03-05", 8), ("2025-03-07", 8),
    ],
)  # fmt: skip
def test_a_known_date_has_its_number_of_games(games: list[Game], day: str, count: int) -> None:
    assert a_date(games)[date.fromisoformat(day)] == count


def test_a_date_has_at_most_15_games_and_a_team_one_of_them(games: list[Game]) -> None:
    assert max(a_date(games).values()) == 15
    appearances = Counter((game.game_date, team) for game in games for team in (game.home, game.away))
    assert set(appearances.values()) == {1}


def test_the_preseason_and_the_all_star_game_lie_where_nothing_is_expected(games: list[Game]) -> None:
    preseason = a_date(of(games, "2024-25", "001"))
    assert set(preseason) == between(date(2024, 10, 4), date(2024, 10, 18))
    assert preseason.total() == 73
    later = a_date(of(games, "2025-26", "001"))
    assert set(later) <= between(date(2025, 10, 2), date(2025, 10, 17))
    assert later
    assert a_date(game for game in games if game.game_type == "003") == {date(2025, 2, 16): 1}


def test_game_ids_tell_type_and_season_and_ascend_by_date(games: list[Game]) -> None:
    assert len({game.game_id for game in games}) == len(games)
    for game in games:
        assert game.game_id[:5] == game.game_type + game.season[2:4]
        assert len(game.game_id) == 10
    for facts in SEASONS:
        for game_type in ("001", "002", "004", "005"):
            numbered = sorted(of(games, facts.label, game_type), key=lambda game: game.game_id)
            dates = [game.game_date for game in numbered]
            assert dates == sorted(dates)


def test_a_seed_gives_one_schedule_and_another_seed_another() -> None:
    assert schedule(7) == schedule(7)
    assert schedule(7) != schedule(8)


def test_the_rosters_have_15_players_each_with_a_lookup_of_his_own() -> None:
    players = [player for roster in make_league(7).rosters.values() for player in roster]
    assert Counter(player.team for player in players) == dict.fromkeys(TEAMS, 15)
    assert len({player.lookup for player in players}) == len(players) == 450
    assert [p.lookup for p in players] == [p.lookup for r in make_league(8).rosters.values() for p in r]
    assert player_lookup("D'Ante Galvaño-Holt 2") == "dantegalvanoholt2"


def boxes(played: Iterable[PlayedGame]) -> list[TeamBox]:
    return [box for one in played for box in (one.home, one.away)]


def test_a_box_score_has_9_to_11_players_a_team_and_2_to_4_who_sat(played: list[PlayedGame]) -> None:
    for box in boxes(played):
        appeared = {line.player.lookup for line in box.lines}
        assert 9 <= len(appeared) <= 11
        assert 2 <= len(box.dnp) <= 4
        assert not appeared & {player.lookup for player in box.dnp}
        assert {player.team for player in box.dnp} == {box.team}


def test_a_teams_lines_add_up(played: list[PlayedGame]) -> None:
    for one in played:
        overtimes = {shot.clock()[0] for shot in one.shots if shot.clock()[0] > 4}
        margin = one.home.score - one.away.score
        assert margin != 0
        for box, own_margin in ((one.home, margin), (one.away, -margin)):
            assert sum(line.seconds for line in box.lines) == (240 + 25 * len(overtimes)) * 60
            assert sum(line.plus_minus for line in box.lines) == 5 * own_margin
            assert sum(line.assists for line in box.lines) <= sum(line.field_goals_made for line in box.lines)
            assert all(line.free_throws_made <= line.free_throws_attempted for line in box.lines)
            assert all(line.offensive_rebounds <= line.rebounds for line in box.lines)


def test_shots_agree_with_the_lines(played: list[PlayedGame]) -> None:
    for one in played:
        counted = Counter(
            (shot.shooter.lookup, shot.points_value, made)
            for shot in one.shots
            for made in ((False, True) if shot.made else (False,))
        )
        for line in (*one.home.lines, *one.away.lines):
            (twos, twos_made), (threes, threes_made) = (
                [counted.pop((line.player.lookup, value, made), 0) for made in (False, True)] for value in (2, 3)
            )
            assert (line.three_pointers_made, line.three_pointers_attempted) == (threes_made, threes)
            assert (line.field_goals_made, line.field_goals_attempted) == (
                twos_made + threes_made,
                twos + threes,
            )
            assert line.points == 2 * twos_made + 3 * threes_made + line.free_throws_made
        assert not counted


def test_shots_come_in_the_order_of_the_clock(played: list[PlayedGame]) -> None:
    for one in played:
        clocks = [shot.clock() for shot in one.shots]
        assert clocks == sorted(clocks, key=lambda clock: (clock[0], -clock[1]))
        assert all(1 <= left <= (720 if period <= 4 else 300) for period, left in clocks)


def test_every_player_appears_in_two_fifths_of_his_teams_games(played: list[PlayedGame]) -> None:
    team_games = Counter(box.team for box in boxes(played))
    appearances = Counter(line.player.lookup for box in boxes(played) for line in box.lines)
    for roster in make_league(7).rosters.values():
        for player in roster:
            assert appearances[player.lookup] >= 0.4 * team_games[player.team]


def test_only_games_with_box_scores_are_played_and_a_named_winner_wins() -> None:
    bracket = [game for game in schedule(7) if game.winner or game.game_type in ("001", "003")]
    played = list(play_games(bracket, 7))
    assert [one.game for one in played] == [game for game in bracket if game.winner]
    for one in played:
        assert one.game.winner == (one.home.team if one.home.score > one.away.score else one.away.team)


def test_a_seed_plays_the_same_games_again(played: list[PlayedGame]) -> None:
    assert list(islice(play_games(schedule(7), 7), 20)) == played[:20]


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    write_landing(folder, 7)
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file))
    return found


@pytest.mark.parametrize("feed", ["bdl_player_boxscores", "nbac_gamebook_player_stats", "player_shots"])
def test_a_feed_has_a_file_for_each_date_that_leaves_box_scores(landing: Path, feed: str) -> None:
    dates = {game.game_date for game in schedule(7) if game.game_type in ("002", "004", "005", "006")}
    assert {path.stem for path in (landing / feed).iterdir()} == {day.isoformat() for day in dates}
    assert len(dates) == 286


def test_the_schedule_files_hold_every_game_with_its_score(landing: Path) -> None:
    listed = rows(landing / "nbac_schedule")
    assert [row["game_id"] for row in listed] == [game.game_id for game in schedule(7)]
    assert all(row["home_score"] != row["away_score"] for row in listed)
    points: Counter[tuple[str, str]] = Counter()
    for line in rows(landing / "bdl_player_boxscores"):
        points[line["game_id"], line["team_abbr"]] += int(line["points"])
    scores = {
        (row["game_id"], row[f"{side}_team_abbr"]): int(row[f"{side}_score"])
        for row in listed
        for side in ("home", "away")
        if row["game_type"] not in ("001", "003")
    }
    assert points == scores


def test_the_gamebook_is_the_box_score_and_those_who_sat(landing: Path) -> None:
    gamebook = rows(landing / "nbac_gamebook_player_stats")
    by_status: dict[str, list[dict[str, str]]] = {"active": [], "dnp": []}
    for row in gamebook:
        by_status[row.pop("player_status")].append(row)
    assert by_status["active"] == rows(landing / "bdl_player_boxscores")
    stats = list(gamebook[0])[7:]
    assert stats[0] == "minutes"
    assert not any(row[stat] for row in by_status["dnp"] for stat in stats)
