"""Write the made sample: the files that scrapers would have left for the seasons 2024-25 and 2025-26.

    python landing.py FOLDER [--seed 7]

The same seed writes the same bytes.
"""

import argparse
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from box_scores import Line, PlayedGame, TeamBox, play_games
from calendar_facts import Game, schedule
from season_facts import SEASONS

_SCHEDULE_HEADER = "game_id,game_date,season,game_type,home_team_abbr,away_team_abbr,home_score,away_score"
_STATS = (
    "minutes",
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
)
_BOX_SCORE_HEADER = ",".join(("game_id,game_date,team_abbr,opponent_abbr,is_home,player_lookup,player_name", *_STATS))
_GAMEBOOK_HEADER = f"{_BOX_SCORE_HEADER},player_status"
_SHOTS_HEADER = (
    "game_id,game_date,shot_number,period,clock_seconds,player_lookup,team_abbr,opponent_abbr,"
    "points_value,made,zone,distance_feet"
)


def write_landing(folder: Path, seed: int) -> None:
    """Write every landing file of the sample below a folder, over those already there."""
    games = schedule(seed)
    scores = _exhibition_scores(games, seed)
    for day, played in groupby(play_games(games, seed), key=lambda played: played.game.game_date):
        tonight = list(played)
        scores |= {one.game.game_id: (one.home.score, one.away.score) for one in tonight}
        name = f"{day.isoformat()}.csv"
        _write(folder / "bdl_player_boxscores" / name, _BOX_SCORE_HEADER, _box_score_rows(tonight))
        _write(folder / "nbac_gamebook_player_stats" / name, _GAMEBOOK_HEADER, _gamebook_rows(tonight))
        _write(folder / "player_shots" / name, _SHOTS_HEADER, _shot_rows(tonight))
    for facts in SEASONS:
        season = [game for game in games if game.season == facts.label]
        path = folder / "nbac_schedule" / f"{facts.label}.csv"
        _write(path, _SCHEDULE_HEADER, _schedule_rows(season, scores))


def _exhibition_scores(games: Sequence[Game], seed: int) -> dict[str, tuple[int, int]]:
    """A likely score for every game; those with box scores get their own instead."""
    rng = random.Random(f"{seed}/exhibitions")
    scores = {}
    for game in games:
        home, away = rng.randint(95, 130), rng.randint(95, 130)
        scores[game.game_id] = (home, away if away != home else away + 1)
    return scores


def _write(path: Path, header: str, rows: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows, "")), encoding="utf-8", newline="\n")


def _schedule_rows(games: Iterable[Game], scores: Mapping[str, tuple[int, int]]) -> list[str]:
    rows = []
    for game in games:
        home_score, away_score = scores[game.game_id]
        rows.append(
            f"{game.game_id},{game.game_date},{game.season},{game.game_type},{game.home},{game.away},{home_score},{away_score}"
        )
    return rows


def _box_score_rows(played: Iterable[PlayedGame]) -> list[str]:
    return [_line_row(_team_cells(one, box), line) for one in played for box in (one.home, one.away) for line in box.lines]


def _gamebook_rows(played: Iterable[PlayedGame]) -> list[str]:
    rows = []
    for one in played:
        for box in (one.home, one.away):
            start = _team_cells(one, box)
            rows += [f"{_line_row(start, line)},active" for line in box.lines]
            blank = "," * len(_STATS)
            rows += [f"{start},{player.lookup},{player.name}{blank},dnp" for player in box.dnp]
    return rows


def _team_cells(played: PlayedGame, box: TeamBox) -> str:
    is_home = "true" if box.is_home else "false"
    return f"{played.game.game_id},{played.game.game_date},{box.team},{box.opponent},{is_home}"


def _line_row(start: str, line: Line) -> str:
    return (
        f"{start},{line.player.lookup},{line.player.name},{line.seconds // 60}:{line.seconds % 60:02d},"
        f"{line.points},{line.rebounds},{line.offensive_rebounds},{line.assists},{line.steals},"
        f"{line.blocks},{line.turnovers},{line.personal_fouls},"
        f"{line.field_goals_made},{line.field_goals_attempted},"
        f"{line.three_pointers_made},{line.three_pointers_attempted},"
        f"{line.free_throws_made},{line.free_throws_attempted},{line.plus_minus}"
    )


def _shot_rows(played: Iterable[PlayedGame]) -> list[str]:
    rows = []
    for one in played:
        game = one.game
        defender = {game.home: game.away, game.away: game.home}
        for number, shot in enumerate(one.shots, start=1):
            period, clock = shot.clock()
            team = shot.shooter.team
            rows.append(
                f"{game.game_id},{game.game_date},{number},{period},{clock},"
                f"{shot.shooter.lookup},{team},{defender[team]},{shot.points_value},"
                f"{'true' if shot.made else 'false'},{shot.zone.name.lower()},{shot.distance_feet}"
            )
    return rows


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write the made sample's landing files.")
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--seed", type=int, default=7, help="another seed makes another sample (default: 7)")
    args = parser.parse_args()
    write_landing(args.folder, args.seed)


if __name__ == "__main__":
    _main()
