"""A run that waits for somebody: who paused it, or who can log in."""

from __future__ import annotations

from backfill_core.scheduling.lanes import NEVER

#: Seconds between two calls that ask whether a run that identity holds up may go on.
PROBE_EVERY = 60.0


class Pausing:
    """Why nothing leaves for now, and the calls now and then that see whether it may. Times are seconds on the run's clock."""

    def __init__(self) -> None:
        #: Empty: it does not wait.
        self.why = ""
        #: Whether somebody asked for it: then no probe ends it.
        self._asked = False
        self._probe_at = NEVER
        self._probes: set[int] = set()

    def pause(self, why: str, probe_at: float) -> None:
        self.why, self._probe_at = self.why or why, min(self._probe_at, probe_at)
        self._asked = self._asked or probe_at == NEVER

    def go_on(self) -> None:
        self.why, self._probe_at, self._asked = "", NEVER, False

    def lets(self, now: float) -> bool:
        """Whether a call may leave: any, or one that sees whether the run may go on."""
        return not self.why or (now >= self._probe_at and not self._probes and not self._asked)

    def lets_at(self) -> float:
        """From when on one may leave; NEVER: not before a probe comes home, or somebody says so."""
        if not self.why:
            return 0.0
        return NEVER if self._probes or self._asked else self._probe_at

    def left(self, number: int, now: float) -> None:
        """A call left: while the run waits it is a probe."""
        if self.why:
            self._probes.add(number)
            self._probe_at = now + PROBE_EVERY

    def home(self, number: int, *, refused: bool) -> None:
        """A call came home, and was refused for its identity or not."""
        if number in self._probes:
            self._probes.discard(number)
            if not refused:
                self._probe_at = NEVER
                self.why = self.why if self._asked else ""
