"""Who of a team appears in a game, who is listed without playing, and who is not listed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from rosters import Player


@dataclass(slots=True)
class Rotation:
    """Who appears: those whose share of games is furthest behind, with luck, so that nobody sits for good."""

    games: dict[str, int] = field(default_factory=dict)
    appearances: dict[str, int] = field(default_factory=dict)

    def pick(self, roster: Sequence[Player], rng: random.Random) -> tuple[tuple[Player, ...], tuple[Player, ...]]:
        """The players who appear and those who are listed but do not play, in roster order."""
        team = roster[0].team
        self.games[team] = self.games.get(team, 0) + 1
        owed = {
            player.lookup: player.availability * self.games[team] - self.appearances.get(player.lookup, 0) + rng.uniform(0, 2.5)
            for player in roster
        }
        ranked = sorted(roster, key=lambda player: -owed[player.lookup])
        count = rng.choice((9, 10, 10, 11, 11, 11))
        sitting = rng.sample(ranked[count:], rng.choice((2, 3, 3, 4)))
        for player in ranked[:count]:
            self.appearances[player.lookup] = self.appearances.get(player.lookup, 0) + 1
        order = roster.index
        return tuple(sorted(ranked[:count], key=order)), tuple(sorted(sitting, key=order))
