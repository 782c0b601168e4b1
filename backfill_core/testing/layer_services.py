"""The services that fill a pipeline's layers, as they behave: what they are asked, what they answer, and when that is a lie.

Three kinds: one that is given a date and processors (``/process-date``), one that is given a run of dates
(``/process-date-range``), and one that accepts a date, works on, and is asked after (``/start``, ``/status``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from backfill_core.testing.service_faults import ServiceFault, Trouble
from backfill_core.testing.service_server import Asked, Said

_MOST_DAYS = 3660


def _nothing_lacks(_day: date) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Job:
    """The work of one processor."""

    #: Writes the rows of some dates, and says how many there are. It raises what it likes.
    write: Callable[[Sequence[date]], int]
    #: What a date would read and is not there, in words; empty: all is. Only a service that says so looks.
    lacks: Callable[[date], str] = _nothing_lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What keeps a service from being any faster, in seconds."""

    #: How long the lock of a processor and date stays.
    lock: float = 600.0
    #: What a date takes, by the processor's name at the service.
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What truly became of a processor's date, whatever the answer said."""

    processor: str
    day: date
    #: ``written``, ``nothing`` (no rows), ``failed``, ``locked``, ``skipped``.
    what: str
    #: Seconds that it kept its instance busy.
    seconds: float


class LayerService:
    """What the three kinds share: their jobs, one after the other, each under its lock."""

    path: str

    def __init__(self, jobs: Mapping[str, Job], limits: Limits | None = None) -> None:
        """``jobs`` are those of each processor, by its name at the service and in the order in which all of them run."""
        self.jobs = dict(jobs)
        self.limits = limits or Limits()
        #: Everything that was done or left undone, in the order of its end.
        self.done: list[Done] = []
        self.over = threading.Event()
        #: Until when each lock is held.
        self._locks: dict[tuple[str, date], float] = {}
        self._lock = threading.Lock()

    def knows(self, asked: Asked) -> bool:
        return (asked.method, asked.path) == ("POST", self.path)

    def takes_a_place(self, asked: Asked) -> bool:
        return asked.method == "POST"

    def stop(self) -> None:
        """Work that is under way is given up."""
        self.over.set()

    def run(self, name: str, days: Sequence[date], fault: ServiceFault | None) -> dict[str, Any]:
        """One processor's turn: what the answer says of it."""
        trouble = fault.trouble if fault else None
        if trouble is Trouble.ALL_FAILED:
            return self._result(name, days, "failed", 0.0, error="it was asked to fail")
        if trouble is Trouble.NOTHING_WRITTEN:
            return self._result(name, days, "skipped", 0.0)
        mine = self._take(name, days)
        if not mine:
            return self._result(name, days, "locked", 0.0)
        seconds = self.limits.seconds.get(name, 0.0) * len(mine)
        started = time.monotonic()
        try:
            rows = self.jobs[name].write(mine)
            self.over.wait(max(0.0, seconds - (time.monotonic() - started)))
        except Exception as error:  # a job may fail in any way, and this is what the service says then
            said = f"{type(error).__name__}: {error}"
            return self._result(name, mine, "failed", time.monotonic() - started, error=said, status="exception")
        finally:
            self._give(name, mine)
        return self._result(name, mine, "written" if rows else "nothing", time.monotonic() - started)

    def hold(self, names: Sequence[str], days: Sequence[date]) -> None:
        """Somebody else takes the locks, and leaves them to expire."""
        with self._lock:
            self._locks |= {(name, day): time.monotonic() + self.limits.lock for name in names for day in days}

    def known(self, asked: Any) -> list[str]:
        """The processors that are asked for: all where none is named; a name that is not known is passed over in silence."""
        return [name for name in asked if name in self.jobs] if asked else list(self.jobs)

    def results(self, names: Sequence[str], days: Sequence[date], fault: ServiceFault | None) -> list[dict[str, Any]]:
        """One processor after the other, and what is said of each."""
        if fault is not None and fault.trouble is Trouble.LOCK_HELD:
            self.hold(names, days)
        told = names[:-1] if fault is not None and fault.trouble is Trouble.DROPPED else names
        found = [self.run(name, days, fault) for name in told]
        for name in names[len(told) :]:
            self._result(name, days, "skipped", 0.0)
        return found

    def later(self, names: Sequence[str], days: Sequence[date], seconds: float) -> None:
        """Does the work while nobody waits for it any more. Whoever asks again meanwhile finds it locked."""
        self.hold(names, days)

        def work() -> None:
            self.over.wait(seconds)
            if not self.over.is_set():
                for name in names:
                    self._give(name, days)
                self.results(names, days, None)

        threading.Thread(target=work, daemon=True).start()

    def _result(
        self, name: str, days: Sequence[date], what: str, seconds: float, *, error: str | None = None, status: str = "error"
    ) -> dict[str, Any]:
        self.done += [Done(processor=name, day=day, what=what, seconds=seconds / len(days)) for day in days]
        return {"processor": name, "status": status if what == "failed" else "success", "stats": {}, "error": error}

    def _take(self, name: str, days: Sequence[date]) -> list[date]:
        """The days whose lock could be had."""
        now = time.monotonic()
        with self._lock:
            free = [day for day in days if self._locks.get((name, day), 0.0) <= now]
            self._locks |= {(name, day): now + self.limits.lock for day in free}
        return free

    def _give(self, name: str, days: Sequence[date]) -> None:
        with self._lock:
            for day in days:
                self._locks.pop((name, day), None)


class DateService(LayerService):
    """Given a date and processors: ``POST /process-date``."""

    path = "/process-date"

    def answer(self, asked: Asked, fault: ServiceFault | None) -> Said:
        body = asked.body or {}
        if not body.get("analysis_date"):
            return Said(status=400, body={"error": "analysis_date is required"})
        try:
            days = [date.fromisoformat(body["analysis_date"])]
            names = self.known(body.get("processors"))
        except (TypeError, ValueError) as error:
            return _outer(error)
        if fault is not None and fault.trouble is Trouble.GOES_ON:
            self.later(names, days, fault.seconds)
            return _gave_up()
        results = self.results(names, days, fault)
        return Said(body={"status": "completed", "analysis_date": str(days[0]), "results": results})


class RangeService(LayerService):
    """Given a run of dates and processors: ``POST /process-date-range``."""

    path = "/process-date-range"

    def answer(self, asked: Asked, fault: ServiceFault | None) -> Said:
        body = asked.body or {}
        if not body.get("start_date") or not body.get("end_date"):
            return Said(status=400, body={"error": "start_date and end_date are required"})
        try:
            first, last = date.fromisoformat(body["start_date"]), date.fromisoformat(body["end_date"])
            days = [first + timedelta(days=n) for n in range(min((last - first).days + 1, _MOST_DAYS))]
            names = self.known(body.get("processors"))
        except (TypeError, ValueError) as error:
            return _outer(error)
        if not days:
            return Said(status=400, body={"error": "end_date is before start_date"})
        if fault is not None and fault.trouble is Trouble.GOES_ON:
            self.later(names, days, fault.seconds)
            return _gave_up()
        results = self.results(names, days, fault)
        return Said(body={"status": "completed", "start_date": str(first), "end_date": str(last), "results": results})


class StartService(LayerService):
    """Given one date, it accepts, works on, and is asked after: ``POST /start``, ``GET /status``.

    It does not look at what else is in the body. Without a date it works on today's.
    """

    path = "/start"

    def __init__(self, jobs: Mapping[str, Job], limits: Limits | None = None) -> None:
        super().__init__(jobs, limits)
        #: What is known of each date.
        self.told: dict[date, dict[str, Any]] = {}
        #: Calls that named no date.
        self.without_date = 0

    def knows(self, asked: Asked) -> bool:
        return (asked.method, asked.path) in (("POST", self.path), ("GET", "/status"))

    def answer(self, asked: Asked, fault: ServiceFault | None) -> Said:
        if asked.method == "GET":
            return self._status(asked.query.get("game_date", ""))
        given = (asked.body or {}).get("game_date")
        self.without_date += not given
        try:
            day = date.fromisoformat(given) if given else datetime.now(UTC).date()
        except (TypeError, ValueError) as error:
            return _outer(error)
        return self._start(day, fault)

    def _start(self, day: date, fault: ServiceFault | None) -> Said:
        trouble = fault.trouble if fault else None
        if trouble is Trouble.INCOMPLETE:
            self.done += [Done(processor=name, day=day, what="failed", seconds=0.0) for name in self.jobs]
            return _incomplete("it was asked to find nothing")
        if trouble is Trouble.GOES_ON:
            self.later(list(self.jobs), [day], fault.seconds if fault else 0.0)
            return _gave_up()
        lacks = next((what for job in self.jobs.values() if (what := job.lacks(day))), "")
        if lacks:
            return _incomplete(lacks)
        self.told[day] = {"game_date": str(day), "status": "running"}
        if trouble is not Trouble.NEVER_ENDS:
            threading.Thread(target=self._predict, args=(day, fault), daemon=True).start()
        return Said(status=202, body={"status": "accepted", "game_date": str(day)})

    def _predict(self, day: date, fault: ServiceFault | None) -> None:
        found = self.results(list(self.jobs), [day], fault)
        wrong = [str(result["error"]) for result in found if result["status"] != "success"]
        ended = {"status": "failed", "error": wrong[0]} if wrong else {"status": "completed"}
        self.told[day] = {"game_date": str(day)} | ended

    def _status(self, day: str) -> Said:
        known = {str(each): told for each, told in self.told.items()}
        if day not in known:
            return Said(status=404, body={"error": f"nothing was started for {day}"})
        return Said(body=known[day])


#: The kinds of services by the path that they are called at.
KINDS: Mapping[str, type[DateService] | type[RangeService] | type[StartService]] = {
    kind.path: kind for kind in (DateService, RangeService, StartService)
}


def _outer(error: Exception) -> Said:
    return Said(status=500, body={"status": "error", "error": f"{type(error).__name__}: {error}"})


def _gave_up() -> Said:
    return Said(status=504, body={"error": "upstream request timeout"})


def _incomplete(why: str) -> Said:
    return Said(status=503, body={"error": "DATA_INCOMPLETE", "message": why})
