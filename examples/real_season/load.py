"""Turn the public records of the season 2023-24 into landing files: python load.py SOURCE LANDING."""

from __future__ import annotations

import csv
import gzip
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

SEASON = "2023-24"

SCHEDULE_COLUMNS = (
    "game_id",
    "game_date",
    "season",
    "game_type",
    "home_team_abbr",
    "away_team_abbr",
    "home_score",
    "away_score",
)
#: The columns of a box-score line that are only renamed: landing name to source name.
STAT_COLUMNS = {
    "points": "pts",
    "rebounds": "reb",
    "offensive_rebounds": "oreb",
    "assists": "ast",
    "steals": "stl",
    "blocks": "blk",
    "turnovers": "tov",
    "personal_fouls": "pf",
    "field_goals_made": "fgm",
    "field_goals_attempted": "fga",
    "three_pointers_made": "fg3m",
    "three_pointers_attempted": "fg3a",
    "free_throws_made": "ftm",
    "free_throws_attempted": "fta",
    "plus_minus": "plus_minus",
}
BOX_SCORE_COLUMNS = (
    "game_id",
    "game_date",
    "team_abbr",
    "opponent_abbr",
    "is_home",
    "player_lookup",
    "player_name",
    "minutes",
    *STAT_COLUMNS,
)
SHOT_COLUMNS = (
    "game_id",
    "game_date",
    "shot_number",
    "period",
    "clock_seconds",
    "player_lookup",
    "team_abbr",
    "opponent_abbr",
    "points_value",
    "made",
    "zone",
    "distance_feet",
)

Row = Sequence[str | int]


def write_landing(source: Path, landing: Path) -> None:
    """Write the schedule, box scores and shots of `source` (see its README) as landing files below `landing`.

    The box scores serve as bdl's; the gamebook gets no files. A date without lines or shots gets none either.
    """
    games = {game["game_id"]: game for game in _records(source / "games.csv.gz")}
    lookups = _player_lookups(source / "player_boxscores.csv.gz")
    _write(landing / "nbac_schedule" / f"{SEASON}.csv", SCHEDULE_COLUMNS, map(_schedule_row, games.values()))
    lines = (_box_score_row(line, lookups) for line in _records(source / "player_boxscores.csv.gz"))
    _write_by_date(landing / "bdl_player_boxscores", BOX_SCORE_COLUMNS, lines)
    _write_by_date(landing / "player_shots", SHOT_COLUMNS, _shot_rows(source / "shots.csv.gz", games, lookups))


def player_lookup(name: str) -> str:
    """The name as the feeds key it: lower-case ASCII letters and digits, accents dropped."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return "".join(character for character in plain.lower() if character.isalnum())


def clock_minutes(line: Mapping[str, str]) -> str:
    """Minutes played as "MM:SS"; the exact ones where the line has them, else whole ones, else empty."""
    minutes = line["min_exact"] or line["min"]
    if not minutes:
        return ""
    whole, seconds = divmod(round(float(minutes) * 60), 60)
    return f"{whole:02d}:{seconds:02d}"


def _player_lookups(box_scores: Path) -> dict[str, str]:
    """Player id to lookup; namesakes carry their id, all of them, so that none depends on who came first."""
    names = {line["player_id"]: player_lookup(line["player_name"]) for line in _records(box_scores)}
    bearers: defaultdict[str, int] = defaultdict(int)
    for name in names.values():
        bearers[name] += 1
    return {player: name if bearers[name] == 1 else f"{name}{player}" for player, name in names.items()}


def _schedule_row(game: Mapping[str, str]) -> Row:
    game_id = game["game_id"]
    teams = (game["home"], game["away"])
    return (game_id, game["game_date"], SEASON, game_id[:3], *teams, game["home_pts"], game["away_pts"])


def _box_score_row(line: Mapping[str, str], lookups: Mapping[str, str]) -> Row:
    return (
        line["game_id"],
        line["game_date"],
        line["team"],
        line["opp"],
        _flag(line["is_home"]),
        lookups[line["player_id"]],
        line["player_name"],
        clock_minutes(line),
        *(line[column] for column in STAT_COLUMNS.values()),
    )


def _shot_rows(shots: Path, games: Mapping[str, Mapping[str, str]], lookups: Mapping[str, str]) -> Iterator[Row]:
    shots_so_far: defaultdict[str, int] = defaultdict(int)
    for shot in _records(shots):
        game = games[shot["game_id"]]
        shots_so_far[shot["game_id"]] += 1
        yield (
            shot["game_id"],
            shot["game_date"],
            shots_so_far[shot["game_id"]],
            shot["period"],
            shot["clock"],
            lookups[shot["player_id"]],
            shot["team"],
            game["away"] if shot["team"] == game["home"] else game["home"],
            shot["pts_value"],
            _flag(shot["made"]),
            shot["zone"],
            shot["dist_ft"],
        )


def _flag(value: str) -> str:
    return "true" if value == "1" else "false"


def _records(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        rows = csv.reader(text)
        header = next(rows)
        for row in rows:
            yield dict(zip(header, row, strict=True))


def _write_by_date(folder: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """One file a date; `rows` come ordered by date, so that one file is open at a time."""
    date = columns.index("game_date")
    for day, rows_of_day in groupby(rows, key=lambda row: row[date]):
        _write(folder / f"{day}.csv", columns, rows_of_day)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; 2 when it is not understood."""
    if len(arguments) != 2:
        print("Usage: python load.py SOURCE LANDING", file=sys.stderr)
        return 2
    write_landing(Path(arguments[0]), Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
