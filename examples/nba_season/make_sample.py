"""Makes the sample anew: landing files, a warehouse filled by the project's own processors, and its wounds.

Run in the project's root. What a user should find afterwards is written in README.md beside this file.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

from backfill_core.dates import DateSet
from backfill_core.execute import Drain
from backfill_core.planning.make_plan import make_plan
from backfill_core.planning.selection import Words
from backfill_core.project.carry_out import carry_out
from backfill_core.project.look import Asking, look
from backfill_core.project.session import Session, open_project
from landing import write_landing

HERE = Path(__file__).parent
FIRST, LAST = date(2024, 10, 1), date(2026, 1, 2)
#: L4 was filled for this many dates with this many games, none after this day, and for no other.
L4_DATES, L4_GAMES, L4_UNTIL = 50, 275, date(2025, 2, 28)
#: The date whose box scores never came.
NO_FILES = date(2025, 3, 5)
#: Statements that spoil a table of the sample, each with what it stands for.
WOUNDS = (
    # One game of eight is left.
    (
        "DELETE FROM nba_analytics.player_game_summary WHERE game_date = DATE '2025-03-07' AND game_id <> ("
        "SELECT MIN(game_id) FROM nba_analytics.player_game_summary WHERE game_date = DATE '2025-03-07')"
    ),
    # Four games were never summarised.
    "DELETE FROM nba_analytics.player_game_summary WHERE game_date = DATE '2025-04-19'",
    # Two teams of sixteen are left: the shape of "Deleted 12 existing rows… Inserting 2 rows".
    (
        "DELETE FROM nba_analytics.team_offense_game_summary WHERE game_date = DATE '2025-03-07' AND game_id <> ("
        "SELECT MIN(game_id) FROM nba_analytics.team_offense_game_summary WHERE game_date = DATE '2025-03-07')"
    ),
    # Every row of a date stands twice.
    (
        "INSERT INTO nba_analytics.team_defense_game_summary "
        "SELECT * FROM nba_analytics.team_defense_game_summary WHERE game_date = DATE '2025-12-28'"
    ),
    # A field was zeroed out by a failed join.
    "UPDATE nba_analytics.player_game_summary SET usage_rate = NULL WHERE game_date = DATE '2025-12-30'",
    # The feature store wrote placeholders in the warm-up.
    (
        "INSERT INTO nba_predictions.ml_feature_store_v2 BY NAME SELECT game_date, game_id, player_lookup, team_abbr, "
        "opponent_abbr AS opponent_team, TRUE AS is_placeholder, processed_at FROM nba_analytics.player_game_summary "
        "WHERE game_date BETWEEN DATE '2024-10-29' AND DATE '2024-10-31'"
    ),
)


def make_sample(project: Path, seed: int) -> None:
    """Writes the landing files and the warehouse of the project's local target, in the place of those that are there."""
    session = open_project(project, "local")
    with session.warehouse(read_only=True):
        pass  # refuses where a run, or another process, holds the file that would be taken away
    shutil.rmtree(session.landing.root, ignore_errors=True)
    for path in session.warehouse_path.parent.glob(session.warehouse_path.name + "*"):
        path.unlink()
    write_landing(session.landing.root, seed)
    for feed in ("bdl_player_boxscores", "nbac_gamebook_player_stats"):
        (session.landing.root / feed / f"{NO_FILES}.csv").unlink()
    with tempfile.TemporaryDirectory() as state:
        quiet = replace(session, state=Path(state))
        fill(quiet, "analytics", None)
        fill(quiet, "precompute", l4_dates(quiet))
    wound(session)


def fill(session: Session, through: str, dates: DateSet | None) -> None:
    """Runs the project's processors up to a layer, on all dates or some."""
    with session.warehouse(read_only=False) as warehouse:
        asking = Asking(first=FIRST, last=LAST, today=LAST, words=Words(through=through), dates=dates)
        looked = look(session, warehouse, asking)
        plan = make_plan(session.pipeline, looked.coverage, looked.request)
        state = carry_out(
            session, warehouse, plan, looked.coverage, command="make sample", concurrency=2, drain=Drain(), allow_blocked=True
        )
    if state.ended is None or state.ended.exit_code:
        sys.exit(f"the sample could not be filled through {through}: {state.ended and state.ended.exit_reason}")


def l4_dates(session: Session) -> DateSet:
    """The dates that L4 holds: those with the fewest games, with some exchanged until the number of games is right."""
    days = session.span(FIRST, LAST, LAST).calendars["nba"]
    open_days = days.expected - days.warming_up(14) - DateSet.of(NO_FILES)
    games = {number: len(days.keys[number]) for number in open_days.numbers()}
    until = DateSet.of(L4_UNTIL).numbers()[0]
    early = sorted((number for number in games if number <= until), key=lambda number: (games[number], number))
    chosen, others = early[:L4_DATES], early[L4_DATES:]
    while (short := L4_GAMES - sum(games[number] for number in chosen)) > 0:
        steps = [(games[to] - games[out], -to, out) for out in chosen for to in others]
        _, negative, out = max(step for step in steps if 0 < step[0] <= short)
        chosen.remove(out)
        others.remove(-negative)
        chosen.append(-negative)
    return DateSet.from_numbers(chosen)


def wound(session: Session) -> None:
    import duckdb

    with duckdb.connect(str(session.warehouse_path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for statement in WOUNDS:
            connection.execute(statement)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=HERE.parents[1])
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    make_sample(chosen.project, chosen.seed)
    print("the sample is made. next: backfill plan --from 2024-10-01")
