"""The sample's calendar: the facts of two seasons, filled up with drawn matchups to exact totals.

`schedule(seed)` gives every game; whatever the seed, dates and totals are the real ones.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from season_facts import (
    EASTERN_DIVISIONS,
    PRESEASON,
    REGULAR,
    SEASONS,
    TEAMS,
    WESTERN_DIVISIONS,
    Matchup,
    SeasonFacts,
)

#: Mean games by weekday, Monday first; Thursdays are left to national television.
_WEEKDAY_GAMES = (8.0, 6.0, 10.0, 4.0, 9.5, 8.0, 7.5)
_FEWEST, _MOST = 2, 14

#: The first days of a season, when nothing is precomputed yet; their number of games is a fact of its own.
_OPENING_DAYS = 14

#: From here to the end only games played decide who plays, so that every team ends on the same number.
_LEVELLING_DATES = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """One game of the calendar, of any type."""

    #: Game type, season and number: "0022400088".
    game_id: str
    game_date: date
    #: Like "2024-25".
    season: str
    #: 001 preseason, 002 regular, 003 All-Star, 004 playoffs, 005 play-in, 006 Cup final.
    game_type: str
    home: str
    away: str
    #: Only where the bracket fixes it.
    winner: str | None = None


def schedule(seed: int) -> list[Game]:
    """Every game of both seasons, by date and game id."""
    games: list[Game] = []
    for facts in SEASONS:
        games += season_schedule(facts, seed)
    return sorted(games, key=lambda game: (game.game_date, game.game_id))


def season_schedule(facts: SeasonFacts, seed: int) -> list[Game]:
    """Every game of one season; numbers ascend by date within a game type."""
    rng = random.Random(f"{seed}/calendar/{facts.label}")
    by_type = {PRESEASON: _preseason(facts, rng), REGULAR: _regular(facts, rng), **facts.extra}
    games = []
    for game_type, dates in sorted(by_type.items()):
        number = 0
        for day, matchups in sorted(dates.items()):
            for matchup in sorted(matchups, key=lambda m: m.home):
                number += 1
                games.append(
                    Game(
                        game_id=f"{game_type}{facts.code}{number:05d}",
                        game_date=day,
                        season=facts.label,
                        game_type=game_type,
                        home=matchup.home,
                        away=matchup.away,
                        winner=matchup.winner,
                    )
                )
    return games


def _preseason(facts: SeasonFacts, rng: random.Random) -> dict[date, tuple[Matchup, ...]]:
    ledger = _Ledger()
    return {
        day: _draw_day(day, count, ledger, rng, levelling=False)
        for day, count in zip(facts.preseason_dates(), facts.preseason_counts, strict=True)
    }


def _regular(facts: SeasonFacts, rng: random.Random) -> dict[date, tuple[Matchup, ...]]:
    counts = _day_counts(facts, rng)
    levelling_from = sorted(counts)[-_LEVELLING_DATES]
    ledger = _Ledger()
    drawn: dict[date, tuple[Matchup, ...]] = {}
    for day, count in sorted(counts.items()):
        if day in facts.matchups:
            drawn[day] = facts.matchups[day]
            ledger.enter(day, drawn[day])
        else:
            drawn[day] = _draw_day(day, count, ledger, rng, levelling=day >= levelling_from)
    return drawn


def _day_counts(facts: SeasonFacts, rng: random.Random) -> dict[date, int]:
    known = {**facts.counts, **{day: len(games) for day, games in facts.matchups.items()}}
    dates = facts.regular_dates()
    rest = facts.first + timedelta(days=_OPENING_DAYS)
    opening = [day for day in dates if day < rest]
    later = [day for day in dates if day >= rest]
    counts = dict(known)
    for part, total in ((opening, facts.opening_games), (later, facts.games - facts.opening_games)):
        fixed = sum(known.get(day, 0) for day in part)
        counts |= _spread([day for day in part if day not in known], total - fixed, rng)
    return counts


def _spread(days: Sequence[date], total: int, rng: random.Random) -> dict[date, int]:
    """Share a total out over days by weekday, each within the usual bounds."""
    wanted = {day: _WEEKDAY_GAMES[day.weekday()] * rng.uniform(0.65, 1.35) for day in days}
    scale = total / sum(wanted.values())
    counts = {day: min(_MOST, max(_FEWEST, round(games * scale))) for day, games in wanted.items()}
    while (missing := total - sum(counts.values())) != 0:
        day = rng.choice(days)
        step = 1 if missing > 0 else -1
        if _FEWEST <= counts[day] + step <= _MOST:
            counts[day] += step
    return counts


@dataclass(slots=True)
class _Ledger:
    """Who has played, whom and when, so far in a season."""

    played: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TEAMS, 0))
    hosted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TEAMS, 0))
    met: dict[tuple[str, str], int] = field(default_factory=dict)
    on: dict[date, frozenset[str]] = field(default_factory=dict)

    def enter(self, day: date, matchups: Sequence[Matchup]) -> None:
        self.on[day] = frozenset(team for game in matchups for team in (game.away, game.home))
        for game in matchups:
            self.hosted[game.home] += 1
            for pair in ((game.away, game.home), (game.home, game.away)):
                self.played[pair[0]] += 1
                self.met[pair] = self.met.get(pair, 0) + 1

    def days_in_a_row(self, team: str, day: date) -> int:
        """Games on the one or two days just before."""
        if team not in self.on.get(day - timedelta(days=1), ()):
            return 0
        return 2 if team in self.on.get(day - timedelta(days=2), ()) else 1

    def price(self, team: str, other: str) -> float:
        """How unwelcome one more meeting is: those so far against those the league plans."""
        meetings = self.met.get((team, other), 0) + 1
        return (meetings / _MEETINGS[team, other]) ** 2


def _planned_meetings() -> Iterator[tuple[tuple[str, str], float]]:
    for conference in (EASTERN_DIVISIONS, WESTERN_DIVISIONS):
        members = frozenset(team for division in conference for team in division)
        for division in conference:
            for team in division:
                for other in TEAMS:
                    same_conference = 4.0 if other in division else 3.6
                    yield (team, other), same_conference if other in members else 2.0


_MEETINGS = dict(_planned_meetings())


def _draw_day(day: date, count: int, ledger: _Ledger, rng: random.Random, *, levelling: bool) -> tuple[Matchup, ...]:
    teams = _pick_teams(day, 2 * count, ledger, rng, levelling=levelling)
    matchups = tuple(_with_host(pair, ledger, rng) for pair in _pair_up(teams, ledger, rng))
    ledger.enter(day, matchups)
    return matchups


def _pick_teams(day: date, count: int, ledger: _Ledger, rng: random.Random, *, levelling: bool) -> list[str]:
    """The teams that are behind and rested, seldom on a third day in a row.

    When levelling, rest only decides between teams with as many games.
    """

    def order(team: str) -> tuple[float, float]:
        tired = (0.0, 2.5, 20.0)[ledger.days_in_a_row(team, day)]
        played, luck = ledger.played[team], rng.random()
        return (played, tired + luck) if levelling else (played + tired + 5.0 * luck, 0.0)

    return sorted(TEAMS, key=order)[:count]


def _pair_up(teams: Sequence[str], ledger: _Ledger, rng: random.Random) -> list[tuple[str, str]]:
    """Pairs that have met least for what the league plans: greedy, then improved by swapping partners."""
    left = rng.sample(teams, len(teams))
    pairs = []
    while left:
        team = left.pop()
        other = min(left, key=lambda rival: ledger.price(team, rival))
        left.remove(other)
        pairs.append((team, other))
    for i in range(len(pairs)):
        for j in range(i):
            (a, b), (c, d) = pairs[i], pairs[j]
            if ledger.price(a, d) + ledger.price(c, b) < ledger.price(a, b) + ledger.price(c, d):
                pairs[i], pairs[j] = (a, d), (c, b)
    return pairs


def _with_host(pair: tuple[str, str], ledger: _Ledger, rng: random.Random) -> Matchup:
    away, home = sorted(pair, key=lambda team: (2 * ledger.hosted[team] - ledger.played[team], rng.random()), reverse=True)
    return Matchup(away, home)
