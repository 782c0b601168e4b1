"""When a unit that failed is tried again."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

#: Seconds between two attempts at most, before chance is added.
LONGEST = 300.0
_GROWTH = 4.0


class Tries(NamedTuple):
    """What a unit has behind it. Units that go into one call have the same behind them."""

    #: Calls that left with it.
    calls: int = 0
    #: Of these, how many failed in passing.
    strikes: int = 0
    #: Of these, how many may or may not have done their work.
    doubts: int = 0


#: A unit's first call is still to come.
UNTRIED = Tries()


def back_off(first: float, strikes: int, seed: str) -> float:
    """Seconds until a unit may be called again after so many failures in passing, 1 or more.

    Each wait is four times the one before it, give or take a half, so that what failed together does not come back together.
    The same seed gives the same wait.
    """
    full = min(LONGEST, first * _GROWTH ** (strikes - 1))
    return full * (0.5 + Random(seed).random())
