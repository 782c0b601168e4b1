"""Made-up games: box-score lines, who did not play, and every shot, all of one piece.

A game is played shot by shot and its lines are counted from the shots, so points, field goals and the final
score agree by construction.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from calendar_facts import Game
from rosters import League, Player, Zone, make_league
from rotation import Rotation
from season_facts import TYPES_WITH_BOX_SCORES
from shooting import OVERTIME_SECONDS, REGULATION_SECONDS, Court, Shot, Side

#: A player's most, as a share of his team's 240 minutes: 43 of them.
_LONGEST_SHARE = 43 / 240

_FOULED_OUT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one player who appeared did in one game."""

    player: Player
    seconds: int
    points: int
    rebounds: int
    offensive_rebounds: int
    assists: int
    steals: int
    blocks: int
    turnovers: int
    personal_fouls: int
    field_goals_made: int
    field_goals_attempted: int
    three_pointers_made: int
    three_pointers_attempted: int
    free_throws_made: int
    free_throws_attempted: int
    plus_minus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamBox:
    """One team's half of a box score."""

    team: str
    opponent: str
    is_home: bool
    lines: tuple[Line, ...]
    #: On the gamebook's list without having played.
    dnp: tuple[Player, ...]

    @property
    def score(self) -> int:
        return sum(line.points for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedGame:
    """A game of the calendar with all that happened in it."""

    game: Game
    home: TeamBox
    away: TeamBox
    #: Of both teams, in the order they were taken.
    shots: tuple[Shot, ...]


def play_games(games: Iterable[Game], seed: int) -> Iterator[PlayedGame]:
    """Play, in the order given, the games that leave box scores; the others are passed over.

    A game's outcome depends on the games before it: line-ups rotate.
    """
    league = make_league(seed)
    rng = random.Random(f"{seed}/games")
    court = Court(league, rng)
    rotation = Rotation()
    for game in games:
        if game.game_type in TYPES_WITH_BOX_SCORES:
            yield _play(game, league, court, rotation, rng)


def _play(game: Game, league: League, court: Court, rotation: Rotation, rng: random.Random) -> PlayedGame:
    home_players, home_dnp = rotation.pick(league.rosters[game.home], rng)
    away_players, away_dnp = rotation.pick(league.rosters[game.away], rng)
    while True:
        home = _side(game.home, game.away, home_players, rng, at_home=True)
        away = _side(game.away, game.home, away_players, rng, at_home=False)
        length = _shoot_it_out(home, away, league, court, rng)
        # Where the bracket names the winner, the game is played until he wins.
        if game.winner in (None, game.home if home.score() > away.score() else game.away):
            break
    home_tally, away_tally = _team_tallies(home, away, league, rng)
    shots = [shot for side in (home, away) for taken in side.shots for shot in taken]
    return PlayedGame(
        game=game,
        home=_box(home, home_tally, home.score() - away.score(), length, home_dnp, rng),
        away=_box(away, away_tally, away.score() - home.score(), length, away_dnp, rng),
        shots=tuple(sorted(shots, key=lambda shot: shot.elapsed)),
    )


def _side(team: str, opponent: str, players: Sequence[Player], rng: random.Random, *, at_home: bool) -> Side:
    shares = _minutes_shares(players, rng)
    return Side(
        team=team,
        opponent=opponent,
        at_home=at_home,
        players=players,
        minutes_shares=shares,
        shot_weights=[share * player.usage * rng.uniform(0.75, 1.25) for player, share in zip(players, shares, strict=True)],
    )


def _minutes_shares(players: Sequence[Player], rng: random.Random) -> list[float]:
    """Shares of the team's minutes, those of the absent shared out, nobody beyond the longest."""
    wanted = [player.minutes * rng.uniform(0.8, 1.2) for player in players]
    shares = [minutes / sum(wanted) for minutes in wanted]
    while max(shares) > _LONGEST_SHARE:
        capped = [share >= _LONGEST_SHARE for share in shares]
        free = sum(share for share, cap in zip(shares, capped, strict=True) if not cap)
        scale = (1 - _LONGEST_SHARE * sum(capped)) / free
        shares = [_LONGEST_SHARE if cap else share * scale for share, cap in zip(shares, capped, strict=True)]
    return shares


def _shoot_it_out(home: Side, away: Side, league: League, court: Court, rng: random.Random) -> int:
    """Play regulation and as many overtimes as it takes; the seconds played."""
    pace = league.styles[home.team].pace + league.styles[away.team].pace + rng.gauss(0, 3)
    for side in (home, away):
        court.shoot(side, round(88.7 + pace + rng.gauss(0, 2.5)), 0, REGULATION_SECONDS)
        court.shoot_free_throws(side, max(3, round(rng.gauss(11.4, 2.3))))
    length = REGULATION_SECONDS
    while home.score() == away.score():
        for side in (home, away):
            court.shoot(side, round(rng.gauss(9.3, 1.2)), length, OVERTIME_SECONDS)
            court.shoot_free_throws(side, rng.choice((0, 1, 2, 3)))
        length += OVERTIME_SECONDS
    return length


class _Tally(NamedTuple):
    """What is counted for a team and shared out among its players; the fields of `Habits`, in its order."""

    offensive_rebounds: int
    defensive_rebounds: int
    assists: int
    steals: int
    blocks: int
    turnovers: int
    fouls: int


class _Own(NamedTuple):
    """What a team does by itself; the other's counts follow from it."""

    offensive_rebounds: int
    turnovers: int


def _team_tallies(home: Side, away: Side, league: League, rng: random.Random) -> tuple[_Tally, _Tally]:
    """Totals of both teams; what one loses or misses is what the other can steal, block and rebound."""
    home_own, away_own = (_draw_own(side, league, rng) for side in (home, away))
    return _team_tally(home, home_own, away, away_own, rng), _team_tally(away, away_own, home, home_own, rng)


def _draw_own(side: Side, league: League, rng: random.Random) -> _Own:
    style, against = league.styles[side.team], league.styles[side.opponent]
    missed = sum(not shot.made for taken in side.shots for shot in taken)
    caught = round(rng.gauss(0.23, 0.04) * missed * style.offensive_rebounding)
    lost = round(rng.gauss(13.0, 3.3) * style.turnovers * against.turnovers_forced)
    return _Own(offensive_rebounds=min(missed, max(2, caught)), turnovers=max(4, lost))


def _team_tally(side: Side, own: _Own, other_side: Side, other: _Own, rng: random.Random) -> _Tally:
    made = sum(shot.made for taken in side.shots for shot in taken)
    they_missed = [shot for taken in other_side.shots for shot in taken if not shot.made]
    missed_twos = sum(shot.zone < Zone.LC3 for shot in they_missed)
    return _Tally(
        offensive_rebounds=own.offensive_rebounds,
        # The share left over goes out of bounds: a team's rebound, nobody's.
        defensive_rebounds=round((len(they_missed) - other.offensive_rebounds) * rng.uniform(0.88, 0.96)),
        assists=min(made, round(made * rng.gauss(0.64, 0.06))),
        steals=round(other.turnovers * rng.uniform(0.42, 0.74)),
        blocks=round(missed_twos * rng.uniform(0.10, 0.33)),
        turnovers=own.turnovers,
        # Two free throws come of one foul; the rest are offensive and common ones.
        fouls=round(sum(other_side.free_throws_attempted) / 2) + rng.randint(5, 11),
    )


def _box(side: Side, tally: _Tally, margin: int, length: int, dnp: tuple[Player, ...], rng: random.Random) -> TeamBox:
    seconds = _whole_seconds(side.minutes_shares, 5 * length)
    plus_minus = _plus_minus(seconds, margin, length, rng)
    own_tallies = _share_out(tally, side, rng)
    lines = tuple(_line(side, n, own_tallies[n], seconds[n], plus_minus[n]) for n in range(len(seconds)))
    return TeamBox(team=side.team, opponent=side.opponent, is_home=side.at_home, lines=lines, dnp=dnp)


def _share_out(tally: _Tally, side: Side, rng: random.Random) -> list[_Tally]:
    """A tally for each player that appears, together the team's."""
    numbers = range(len(side.players))
    by_habit = []
    for total, weights in zip(tally, zip(*(player.habits for player in side.players), strict=True), strict=True):
        due = [share * weight for share, weight in zip(side.minutes_shares, weights, strict=True)]
        drawn = rng.choices(numbers, due, k=total)
        by_habit.append([drawn.count(n) for n in numbers])
    return [_Tally(*counts) for counts in zip(*by_habit, strict=True)]


def _line(side: Side, n: int, tally: _Tally, seconds: int, plus_minus: int) -> Line:
    taken = side.shots[n]
    made = sum(shot.made for shot in taken)
    threes = [shot for shot in taken if shot.zone >= Zone.LC3]
    threes_made = sum(shot.made for shot in threes)
    return Line(
        player=side.players[n],
        seconds=seconds,
        points=2 * made + threes_made + side.free_throws_made[n],
        rebounds=tally.offensive_rebounds + tally.defensive_rebounds,
        offensive_rebounds=tally.offensive_rebounds,
        assists=tally.assists,
        steals=tally.steals,
        blocks=tally.blocks,
        turnovers=tally.turnovers,
        personal_fouls=min(_FOULED_OUT, tally.fouls),
        field_goals_made=made,
        field_goals_attempted=len(taken),
        three_pointers_made=threes_made,
        three_pointers_attempted=len(threes),
        free_throws_made=side.free_throws_made[n],
        free_throws_attempted=side.free_throws_attempted[n],
        plus_minus=plus_minus,
    )


def _whole_seconds(shares: Sequence[float], total: int) -> list[int]:
    """Whole seconds that sum to the total; the last player, who plays least, gets what rounding left."""
    seconds = [int(share * total) for share in shares]
    seconds[-1] += total - sum(seconds)
    return seconds


def _plus_minus(seconds: Sequence[int], margin: int, length: int, rng: random.Random) -> list[int]:
    """The margin while each was on the floor; five are on it, so it sums to five margins."""
    drawn = [round(margin * played / length + rng.gauss(0, 6)) for played in seconds]
    left = 5 * margin - sum(drawn)
    step = 1 if left > 0 else -1
    for n in range(abs(left)):
        drawn[n % len(drawn)] += step
    return drawn
