"""The thirty teams' made-up players and how each of them plays.

Names are the same for every seed, habits and strengths depend on it. Nobody here is a real person.
"""

import random
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from season_facts import TEAMS

ROSTER_SIZE = 15


class Zone(IntEnum):
    """Where a field goal is tried: restricted area, paint, mid-range, corners, above the break, backcourt."""

    RA = 0
    PAINT = 1
    MID = 2
    LC3 = 3
    RC3 = 4
    AB3 = 5
    BC = 6

    @property
    def points(self) -> int:
        return 3 if self >= Zone.LC3 else 2


#: League-wide share of attempts that go in, by zone.
_MADE_SHARE = (0.663, 0.440, 0.419, 0.386, 0.394, 0.360, 0.020)

#: Shares of attempts by zone.
_ZONE_MIX = {
    "guard": (0.205, 0.185, 0.130, 0.045, 0.040, 0.393, 0.0025),
    "wing": (0.260, 0.165, 0.105, 0.080, 0.076, 0.312, 0.0015),
    "big": (0.450, 0.260, 0.100, 0.027, 0.023, 0.139, 0.0005),
}

#: Trips to the free-throw line a minute.
_FREE_THROWS = {"guard": 1.00, "wing": 0.90, "big": 1.15}

#: In the order of `Habits`.
_HABITS = {
    "guard": (0.45, 0.70, 1.75, 1.20, 0.45, 1.20, 0.85),
    "wing": (0.80, 0.95, 0.80, 1.05, 0.80, 0.85, 1.00),
    "big": (2.10, 1.55, 0.60, 0.75, 2.10, 0.95, 1.25),
}

#: By depth: minutes when all are there, shots a minute against the team's, share of games played, position.
_MINUTES = (35, 33, 31, 30, 27, 23, 20, 18, 15, 13, 11, 10, 9, 8, 8)
_USAGE = (1.45, 1.18, 1.05, 0.95, 0.88, 0.95, 0.85, 0.90, 0.82, 0.80, 0.85, 0.80, 0.78, 0.75, 0.75)
_AVAILABILITY = (0.90, 0.88, 0.88, 0.86, 0.84, 0.80, 0.76, 0.72, 0.68, 0.62, 0.56, 0.52, 0.50, 0.48, 0.48)
_POSITIONS = ("guard", "wing", "big", "guard", "wing") * 3


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _words(
    "Abel Andrei Arlo Bastian Bram Calder Corin Dacian Darro D'Ante Eamon Elio Emeric Fabian Finlo Gael "
    "Hadrian Halden Ivo Jaro Jorren Kaspar Keoni Lazlo Leif Ludo Marek Matteus Nael Nevio Odell Oswin Pavlo "
    "Quill Raoul Remy Sandor Soren Tavian Teo Ulric Vito Wendell Xander Yannis Zeno"
)
_LAST_NAMES = _words(
    "Abrandt Averlund Balcombe Bexley-Rowe Brannock Caldrin Carrowell Coldwater Dalmire Devereaux-Quill "
    "Drummore Eddowes Ellingsworth Farraday Fennimark Galvaño Garrowby Hallowmere Harkstone Hexam Ingersby "
    "Ilvarsson Jarrowick Jessamond Kesterby Kirrane Ladbrook Lindqvarn Marchbanke Merriwold Nettlecombe "
    "Norrington O'Brannagh Orlebar Pendrake Petrovane Quarrington Quennell Radcombe Rosewarne Sallowfield "
    "Stellmark Tamblyne Thornquist Umberly Underhay Valtierre Varnholt Wexcombe Winterbourne Yarrowby "
    "Yelvington Zabransky Zellweger-Holt"
)


class Habits(NamedTuple):
    """How much of his team's counts is a player's, a minute, as weights around 1."""

    offensive_rebounds: float
    defensive_rebounds: float
    assists: float
    steals: float
    blocks: float
    turnovers: float
    fouls: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """One player of a roster."""

    #: Name in lower-case letters and digits; the key of a player in every table.
    lookup: str
    name: str
    team: str
    #: Minutes when everybody is there.
    minutes: float
    #: Share of his team's games in which he appears.
    availability: float
    #: Shots a minute against his team's.
    usage: float
    #: Share of attempts and of makes, by zone.
    zone_mix: tuple[float, ...]
    made_share: tuple[float, ...]
    free_throw_share: float
    #: Trips to the line a minute against his team's.
    free_throws: float
    habits: Habits


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a team plays and how well it defends, as factors around 1."""

    #: Attempts more or fewer than the league, of both sides of its games.
    pace: float
    offence: float
    turnovers: float
    offensive_rebounding: float
    #: What it does to its opponents: where they shoot and score, and how often they lose the ball.
    zone_attempts_allowed: tuple[float, ...]
    zone_makes_allowed: tuple[float, ...]
    turnovers_forced: float


@dataclass(frozen=True, slots=True, kw_only=True)
class League:
    """All rosters and styles."""

    rosters: Mapping[str, tuple[Player, ...]]
    styles: Mapping[str, Style]


def make_league(seed: int) -> League:
    """The rosters, the same names for every seed, with habits drawn from it."""
    rng = random.Random(f"{seed}/league")
    names = iter(_names(ROSTER_SIZE * len(TEAMS)))
    rosters = {team: tuple(_player(next(names), team, n, rng) for n in range(ROSTER_SIZE)) for team in TEAMS}
    return League(rosters=rosters, styles={team: _style(rng) for team in TEAMS})


def player_lookup(name: str) -> str:
    """ASCII letters and digits of a name, in lower case."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return "".join(char for char in plain.lower() if char.isalnum())


def _names(count: int) -> list[str]:
    """Distinct names, in an order that depends on nothing but the two lists."""
    every = [f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES]
    return random.Random("names").sample(every, count)


def _player(name: str, team: str, depth: int, rng: random.Random) -> Player:
    position = _POSITIONS[depth]
    mix = [share * rng.lognormvariate(0, 0.35) for share in _ZONE_MIX[position]]
    skill = rng.gauss(1, 0.03)
    return Player(
        lookup=player_lookup(name),
        name=name,
        team=team,
        minutes=_MINUTES[depth],
        availability=_AVAILABILITY[depth],
        usage=_USAGE[depth] * rng.lognormvariate(0, 0.10),
        zone_mix=tuple(share / sum(mix) for share in mix),
        made_share=tuple(share * skill * rng.gauss(1, 0.05) for share in _MADE_SHARE),
        free_throw_share=min(0.93, max(0.55, rng.gauss(0.72 if position == "big" else 0.80, 0.06))),
        free_throws=_FREE_THROWS[position] * _USAGE[depth] * rng.lognormvariate(0, 0.25),
        habits=Habits(*(weight * rng.lognormvariate(0, 0.25) for weight in _HABITS[position])),
    )


def _style(rng: random.Random) -> Style:
    paint, mid, three = (rng.gauss(1, 0.06) for _ in range(3))
    inside, middle, outside = (rng.gauss(1, 0.025) for _ in range(3))
    return Style(
        pace=rng.gauss(0, 1.6),
        offence=rng.gauss(1, 0.018),
        turnovers=rng.gauss(1, 0.06),
        offensive_rebounding=rng.gauss(1, 0.08),
        zone_attempts_allowed=(paint, paint, mid, three, three, three, 1.0),
        zone_makes_allowed=(inside, inside, middle, outside, outside, outside, 1.0),
        turnovers_forced=rng.gauss(1, 0.06),
    )
