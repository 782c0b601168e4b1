"""What several calls share: how many may be in flight, how fast they may leave, and whether the service is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backfill_core.scheduling.breaker import Breaker, Position

#: A time that never comes by itself: a place has to come free first.
NEVER = float("inf")
#: What a lane may be of, by what stands before its colon.
LANE_KINDS = ("service", "processor", "table")
_SERVICE = "service:"


def processor_lane(name: str) -> str:
    return f"processor:{name}"


def table_lane(name: str) -> str:
    return f"table:{name}"


def service_lane(name: str) -> str:
    return _SERVICE + name


class Lanes:
    """Counts the calls of each lane. A call is in several: of its processor, of its table, of its service."""

    def __init__(self, caps: Mapping[str, int], paces: Mapping[str, float]) -> None:
        #: Most calls in flight, by lane.
        self.caps = dict(caps)
        #: Seconds between two calls that leave, by lane.
        self._apart = {lane: 60.0 / pace for lane, pace in paces.items()}
        self._busy: dict[str, int] = {}
        #: From when on a call may leave: the lane's pace, or the service's own wish.
        self._from: dict[str, float] = {}
        self.breakers: dict[str, Breaker] = {}

    def that_bind(self, lanes: Iterable[str]) -> tuple[str, ...]:
        """Those of the lanes that may ever hold a call up."""
        return tuple(lane for lane in lanes if lane in self.caps or lane in self._apart or lane.startswith(_SERVICE))

    def places(self, lanes: Iterable[str]) -> int | None:
        """How many calls in those lanes may be in flight together; None: any number."""
        return min((self.caps[lane] for lane in lanes if lane in self.caps), default=None)

    def free_at(self, lanes: Iterable[str]) -> float:
        """From when on a call in those lanes may leave; NEVER: not before another comes home."""
        free = 0.0
        for lane in lanes:
            if lane in self.caps and self._busy.get(lane, 0) >= self.caps[lane]:
                return NEVER
            free = max(free, self._from.get(lane, 0.0))
            if lane in self.breakers:
                free = max(free, self.breakers[lane].free_at())
        return free

    def left(self, lanes: Iterable[str], number: int, now: float) -> None:
        for lane in lanes:
            self._busy[lane] = self._busy.get(lane, 0) + 1
            if lane in self._apart:
                self._from[lane] = max(self._from.get(lane, 0.0), now + self._apart[lane])
            if lane in self.breakers:
                self.breakers[lane].left(number)

    def home(self, lanes: Iterable[str], number: int, now: float, *, healthy: bool) -> list[str]:
        """A call came home; returns the services whose breaker that moved."""
        moved = []
        for lane in lanes:
            self._busy[lane] -= 1
            if lane.startswith(_SERVICE) and (lane in self.breakers or not healthy):
                breaker = self.breakers.setdefault(lane, Breaker())
                if breaker.home(number, now, healthy=healthy):
                    moved.append(lane.removeprefix(_SERVICE))
        return moved

    def ill(self, lanes: Iterable[str]) -> bool:
        """Whether a service in those lanes fails call after call."""
        return any(lane in self.breakers and self.breakers[lane].position is not Position.CLOSED for lane in lanes)

    def hold(self, lanes: Iterable[str], until: float) -> None:
        """The service in those lanes wants no call before that time."""
        for lane in lanes:
            if lane.startswith(_SERVICE):
                self._from[lane] = max(self._from.get(lane, 0.0), until)
