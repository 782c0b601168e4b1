"""The wish that a run ends, from a signal handler or another thread."""

from __future__ import annotations

from collections.abc import Callable


class Drain:
    """Asks an execution to stop: what is in flight comes home, and nothing new leaves."""

    def __init__(self) -> None:
        self.asked = False
        #: Asked twice: nothing in flight is waited for.
        self.at_once = False
        #: Whether threads were left behind that may never end: whoever started the run must not wait for them.
        self.abandoned = False
        self._wake: Callable[[], None] = lambda: None

    def ask(self) -> None:
        self.at_once = self.asked
        self.asked = True
        self._wake()

    def wakes(self, wake: Callable[[], None]) -> None:
        """Who is to be told at once; called in whichever thread asks."""
        self._wake = wake
