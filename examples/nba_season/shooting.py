"""Field goals and free throws of one team in one game, shot by shot."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from rosters import League, Player, Zone

REGULATION_SECONDS = 48 * 60
OVERTIME_SECONDS = 5 * 60
_PERIOD_SECONDS = 12 * 60

_ZONES = tuple(Zone)
_POINTS = tuple(zone.points for zone in Zone)

#: Likely feet from the basket by zone, each as often as it is listed.
_DISTANCES = (
    (0, 0, 1, 1, 1, 1, 2, 2, 2, 3),
    (4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 13),
    (8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22),
    (22, 22, 23, 23, 23, 24),
    (22, 22, 23, 23, 23, 24),
    (23, 24, 24, 25, 25, 25, 26, 26, 26, 27, 27, 28, 29, 31),
    (42, 45, 49, 54, 60, 68),
)

#: On the league's shares; a home team makes a little more of its shots.
_HOME_MADE, _AWAY_MADE = 1.020, 1.004


class Shot(NamedTuple):
    """One attempt. A tuple, since a season has three hundred thousand of them."""

    #: Seconds since the start of the game.
    elapsed: float
    shooter: Player
    zone: Zone
    made: bool
    distance_feet: int

    @property
    def points_value(self) -> int:
        return _POINTS[self.zone]

    def clock(self) -> tuple[int, int]:
        """Period from 1 (5 and more are overtime) and seconds left in it."""
        second = int(self.elapsed)
        if second < REGULATION_SECONDS:
            return second // _PERIOD_SECONDS + 1, _PERIOD_SECONDS - second % _PERIOD_SECONDS
        second -= REGULATION_SECONDS
        return second // OVERTIME_SECONDS + 5, OVERTIME_SECONDS - second % OVERTIME_SECONDS


@dataclass(slots=True)
class Side:
    """One team while it plays: who appears, and what he has shot so far."""

    team: str
    opponent: str
    at_home: bool
    players: Sequence[Player]
    #: Of the team's minutes, by player; sums to 1.
    minutes_shares: Sequence[float]
    #: How much each player looks for his shot today.
    shot_weights: Sequence[float]
    shots: list[list[Shot]] = field(init=False)
    free_throws_made: list[int] = field(init=False)
    free_throws_attempted: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.shots = [[] for _ in self.players]
        self.free_throws_made = [0] * len(self.players)
        self.free_throws_attempted = [0] * len(self.players)

    def score(self) -> int:
        from_field = sum(_POINTS[shot.zone] for taken in self.shots for shot in taken if shot.made)
        return from_field + sum(self.free_throws_made)


class _Chances(NamedTuple):
    """Where a player shoots against an opponent, as cumulative weights, and how often he scores there."""

    cumulative: tuple[float, ...]
    made: tuple[float, ...]


class Court:
    """Draws shots; keeps what it worked out about a player against an opponent."""

    def __init__(self, league: League, rng: random.Random) -> None:
        self._league = league
        self._rng = rng
        self._chances: dict[tuple[str, str, bool], _Chances] = {}

    def shoot(self, side: Side, attempts: int, start: float, seconds: float) -> None:
        """Add a team's field-goal attempts over a stretch of the game."""
        rng, uniform = self._rng, self._rng.random
        picks = rng.choices(range(len(side.players)), side.shot_weights, k=attempts)
        for n, player in enumerate(side.players):
            chances = self._chances_of(player, side)
            for zone in rng.choices(_ZONES, cum_weights=chances.cumulative, k=picks.count(n)):
                feet = _DISTANCES[zone]
                side.shots[n].append(
                    Shot(
                        start + uniform() * seconds,
                        player,
                        zone,
                        uniform() < chances.made[zone],
                        feet[int(uniform() * len(feet))],
                    )
                )

    def shoot_free_throws(self, side: Side, trips: int) -> None:
        """Add trips to the line, two free throws each or the one after a made basket."""
        rng = self._rng
        weights = [share * player.free_throws for player, share in zip(side.players, side.minutes_shares, strict=True)]
        for n in rng.choices(range(len(side.players)), weights, k=trips):
            thrown = 1 if rng.random() < 0.1 else 2
            side.free_throws_attempted[n] += thrown
            side.free_throws_made[n] += sum(rng.random() < side.players[n].free_throw_share for _ in range(thrown))

    def _chances_of(self, player: Player, side: Side) -> _Chances:
        key = (player.lookup, side.opponent, side.at_home)
        if key not in self._chances:
            allowed = self._league.styles[side.opponent]
            lift = self._league.styles[side.team].offence * (_HOME_MADE if side.at_home else _AWAY_MADE)
            weights = zip(player.zone_mix, allowed.zone_attempts_allowed, strict=True)
            makes = zip(player.made_share, allowed.zone_makes_allowed, strict=True)
            self._chances[key] = _Chances(
                tuple(accumulate(share * factor for share, factor in weights)),
                tuple(share * factor * lift for share, factor in makes),
            )
        return self._chances[key]
