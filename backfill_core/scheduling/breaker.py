"""A breaker: a service that fails call after call is left alone for a while, then asked once."""

from __future__ import annotations

from enum import StrEnum

#: So many calls in a row that fail in passing open it.
OPENS_AFTER = 5
#: Seconds it stays open at first, and at most: each probe that fails doubles them.
COOL_DOWN = 30.0
LONGEST_COOL_DOWN = 600.0


class Position(StrEnum):
    """Where a breaker stands."""

    #: Calls leave.
    CLOSED = "closed"
    #: None leaves until it has cooled down.
    OPEN = "open"
    #: One call is out to see.
    PROBING = "probing"


class Breaker:
    """The breaker of one service. Times are seconds on the run's clock."""

    def __init__(self) -> None:
        self.position = Position.CLOSED
        #: When a probe may leave, while it is open.
        self.until = 0.0
        self._row = 0
        self._cool_down = COOL_DOWN
        self._probe = 0

    def free_at(self) -> float:
        """From when on a call may leave; infinite while a probe is out."""
        match self.position:
            case Position.CLOSED:
                return 0.0
            case Position.OPEN:
                return self.until
            case Position.PROBING:
                return float("inf")

    def left(self, number: int) -> None:
        """A call left. The first to leave an open breaker is its probe."""
        if self.position is Position.OPEN:
            self.position, self._probe = Position.PROBING, number

    def home(self, number: int, now: float, *, healthy: bool) -> bool:
        """A call came home; returns whether that moved the breaker. Calls that left before it opened tell it nothing new."""
        if self.position is Position.PROBING and number == self._probe:
            if healthy:
                self.position, self._row, self._cool_down = Position.CLOSED, 0, COOL_DOWN
            else:
                self._cool_down = min(LONGEST_COOL_DOWN, 2 * self._cool_down)
                self.position, self.until = Position.OPEN, now + self._cool_down
            return True
        if self.position is not Position.CLOSED:
            return False
        self._row = 0 if healthy else self._row + 1
        if self._row < OPENS_AFTER:
            return False
        self.position, self.until = Position.OPEN, now + self._cool_down
        return True
