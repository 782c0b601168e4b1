"""What is known of the NBA seasons 2024-25 and 2025-26 (the latter up to 2026-01-02), as data.

Dates, off-days, totals, openers, Cup knock-out games, Christmas games, play-in and playoff series are the
real ones. Who meets on all other days is drawn by `calendar_facts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

PRESEASON, REGULAR, ALL_STAR, PLAYOFFS, PLAY_IN, CUP_FINAL = "001", "002", "003", "004", "005", "006"

#: The game types that leave box scores, gamebooks and shots; preseason and All-Star games leave none.
TYPES_WITH_BOX_SCORES = frozenset({REGULAR, PLAYOFFS, PLAY_IN, CUP_FINAL})

EASTERN_DIVISIONS = (
    ("BKN", "BOS", "NYK", "PHI", "TOR"),
    ("CHI", "CLE", "DET", "IND", "MIL"),
    ("ATL", "CHA", "MIA", "ORL", "WAS"),
)
WESTERN_DIVISIONS = (
    ("DEN", "MIN", "OKC", "POR", "UTA"),
    ("GSW", "LAC", "LAL", "PHX", "SAC"),
    ("DAL", "HOU", "MEM", "NOP", "SAS"),
)
TEAMS = tuple(sorted(team for division in EASTERN_DIVISIONS + WESTERN_DIVISIONS for team in division))


class Matchup(NamedTuple):
    """Two teams on a date; the winner only where a later round depends on it."""

    away: str
    home: str
    winner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeasonFacts:
    """One season as the league published it."""

    #: Like "2024-25".
    label: str
    #: First and last date of the regular season (of the part known).
    first: date
    last: date
    #: Dates inside it without any regular game.
    off_days: frozenset[date]
    #: Regular games in all, and in the first 14 days.
    games: int
    opening_games: int
    #: Dates whose number of games is known, beside those of `matchups`.
    counts: Mapping[date, int]
    #: Dates whose every regular game is known.
    matchups: Mapping[date, tuple[Matchup, ...]]
    #: Games of the other types: game type -> date -> games.
    extra: Mapping[str, Mapping[date, tuple[Matchup, ...]]]
    #: First date of the preseason and its games a day.
    preseason_first: date
    preseason_counts: tuple[int, ...]

    @property
    def code(self) -> str:
        """The two digits of a game id that name the season."""
        return self.label[2:4]

    def regular_dates(self) -> tuple[date, ...]:
        """Every date with regular games, in order."""
        span = (self.last - self.first).days + 1
        dates = (self.first + timedelta(days=n) for n in range(span))
        return tuple(day for day in dates if day not in self.off_days)

    def preseason_dates(self) -> tuple[date, ...]:
        """Every date with preseason games, in order."""
        return tuple(self.preseason_first + timedelta(days=n) for n in range(len(self.preseason_counts)))


def _matchups(text: str) -> tuple[Matchup, ...]:
    """Read "ORL@MIL+ DAL@OKC": away@home, a plus after the winner."""
    found = []
    for game in text.split():
        away, home = game.split("@")
        winner = next((side[:-1] for side in (away, home) if side.endswith("+")), None)
        found.append(Matchup(away.rstrip("+"), home.rstrip("+"), winner))
    return tuple(found)


def _by_date(table: Mapping[str, str]) -> dict[date, tuple[Matchup, ...]]:
    return {date.fromisoformat(day): _matchups(games) for day, games in table.items()}


def _days(*texts: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(text) for text in texts)


#: Higher seed, lower seed, results as the higher seed saw them, dates in 2025.
_SERIES_2025 = (
    ("CLE", "MIA", "WWWW", "04-20 04-23 04-26 04-28"),
    ("BOS", "ORL", "WWLWW", "04-20 04-23 04-25 04-27 04-29"),
    ("NYK", "DET", "WLWWLW", "04-19 04-21 04-24 04-27 04-29 05-01"),
    ("IND", "MIL", "WWLWW", "04-19 04-22 04-25 04-27 04-29"),
    ("OKC", "MEM", "WWWW", "04-20 04-22 04-24 04-26"),
    ("HOU", "GSW", "LWLLWWL", "04-20 04-23 04-26 04-28 04-30 05-02 05-04"),
    ("LAL", "MIN", "LWLLL", "04-19 04-22 04-25 04-27 04-30"),
    ("DEN", "LAC", "WLLWWLW", "04-19 04-21 04-24 04-26 04-29 05-01 05-03"),
    ("CLE", "IND", "LLWLL", "05-04 05-06 05-09 05-11 05-13"),
    ("BOS", "NYK", "LLWLWL", "05-05 05-07 05-10 05-12 05-14 05-16"),
    ("OKC", "DEN", "LWLWWLW", "05-05 05-07 05-09 05-11 05-13 05-15 05-18"),
    ("MIN", "GSW", "LWWWW", "05-06 05-08 05-10 05-12 05-14"),
    ("NYK", "IND", "LLWLWL", "05-21 05-23 05-25 05-27 05-29 05-31"),
    ("OKC", "MIN", "WWLWW", "05-20 05-22 05-24 05-26 05-28"),
    ("OKC", "IND", "LWLWWLW", "06-05 06-08 06-11 06-13 06-16 06-19 06-22"),
)

#: The higher seed hosts games 1, 2, 5 and 7.
_HOSTED_BY_HIGHER = (True, True, False, False, True, False, True)


def _playoffs_2025() -> dict[date, tuple[Matchup, ...]]:
    games: dict[date, tuple[Matchup, ...]] = {}
    for higher, lower, results, dates in _SERIES_2025:
        for hosted, result, day in zip(_HOSTED_BY_HIGHER, results, dates.split(), strict=False):
            away, home = (lower, higher) if hosted else (higher, lower)
            game = Matchup(away, home, higher if result == "W" else lower)
            on = date.fromisoformat(f"2025-{day}")
            games[on] = (*games.get(on, ()), game)
    return games


SEASON_2024_25 = SeasonFacts(
    label="2024-25",
    first=date(2024, 10, 22),
    last=date(2025, 4, 13),
    # Election Day, Thanksgiving, the Cup final and the day after, Christmas Eve, the All-Star break,
    # the day before the last.
    off_days=_days(
        "2024-11-05",
        "2024-11-28",
        "2024-12-17",
        "2024-12-18",
        "2024-12-24",
        "2025-02-14",
        "2025-02-15",
        "2025-02-16",
        "2025-02-17",
        "2025-02-18",
        "2025-04-12",
    ),
    games=1230,
    opening_games=106,
    counts={
        date(2024, 11, 4): 15,
        date(2025, 1, 11): 8,
        date(2025, 3, 5): 8,
        date(2025, 3, 7): 8,
        date(2025, 4, 13): 15,
    },
    matchups=_by_date(
        {
            "2024-10-22": "NYK@BOS MIN@LAL",
            "2024-12-10": "ORL@MIL+ DAL@OKC+",
            "2024-12-11": "ATL+@NYK GSW@HOU+",
            "2024-12-14": "ATL@MIL+ HOU@OKC+",
            "2024-12-25": "SAS@NYK MIN@DAL PHI@BOS LAL@GSW DEN@PHX",
        }
    ),
    extra={
        # The final of the four-team All-Star tournament; its teams are none of the thirty.
        ALL_STAR: _by_date({"2025-02-16": "CHK@SHQ"}),
        PLAYOFFS: _playoffs_2025(),
        PLAY_IN: _by_date(
            {
                "2025-04-15": "ATL@ORL+ MEM@GSW+",
                "2025-04-16": "MIA+@CHI DAL+@SAC",
                "2025-04-18": "MIA+@ATL DAL@MEM+",
            }
        ),
        CUP_FINAL: _by_date({"2024-12-17": "MIL+@OKC"}),
    },
    preseason_first=date(2024, 10, 4),
    preseason_counts=(1, 3, 6, 7, 5, 4, 6, 5, 4, 4, 5, 6, 7, 6, 4),
)

SEASON_2025_26 = SeasonFacts(
    label="2025-26",
    first=date(2025, 10, 21),
    last=date(2026, 1, 2),
    # Thanksgiving, the Cup final, Christmas Eve.
    off_days=_days("2025-11-27", "2025-12-16", "2025-12-24"),
    games=511,
    opening_games=105,
    counts={},
    matchups=_by_date(
        {
            "2025-10-21": "HOU@OKC GSW@LAL",
            "2025-12-09": "MIA@ORL+ NYK+@TOR",
            "2025-12-10": "PHX@OKC+ SAS+@LAL",
            "2025-12-13": "NYK+@ORL SAS+@OKC",
            "2025-12-25": "CLE@NYK SAS@OKC DAL@GSW HOU@LAL MIN@DEN",
        }
    ),
    extra={CUP_FINAL: _by_date({"2025-12-16": "SAS@NYK+"})},
    preseason_first=date(2025, 10, 2),
    preseason_counts=(1, 2, 4, 5, 6, 5, 5, 6, 3, 6, 5, 5, 4, 5, 6, 5),
)

SEASONS = (SEASON_2024_25, SEASON_2025_26)
