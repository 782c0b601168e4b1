"""What may be judged, called, looked at and gated now: a state machine without clock, thread or file.

It is told what happened and asked what is next. Execution and simulation ask the very same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from backfill_core.dates import DateSet
from backfill_core.events import Failure
from backfill_core.scheduling.breaker import Breaker
from backfill_core.scheduling.calling import Calling, Fate
from backfill_core.scheduling.canary import canary_units
from backfill_core.scheduling.claims import Claims
from backfill_core.scheduling.company import Company
from backfill_core.scheduling.departures import Departures
from backfill_core.scheduling.history import History
from backfill_core.scheduling.lanes import NEVER
from backfill_core.scheduling.later import Later, Then
from backfill_core.scheduling.ready import Freed, Ready
from backfill_core.scheduling.retries import UNTRIED
from backfill_core.scheduling.setbacks import Setbacks
from backfill_core.scheduling.stages import Stages
from backfill_core.scheduling.terms import Stop, Terms
from backfill_core.scheduling.work import Work


class Scheduler:
    """Decides on the units of one run. Times are seconds on any one clock.

    ``works`` come after what they wait for; ``layers`` are in their order, each with those before it.
    """

    def __init__(self, works: Sequence[Work], layers: Mapping[str, frozenset[str]], terms: Terms) -> None:
        self.terms = terms
        #: Units that are not judged yet.
        self.waiting = {work.name: work.dates for work in works if not work.gate}
        self._works = {work.name: work for work in works}
        self._rank = {work.name: place for place, work in enumerate(works)}
        canary = canary_units([work for work in works if not work.gate], terms.canary) if terms.canary else {}
        self._stages = Stages(works, layers, pipelined=terms.pipelined, canary=canary)
        self._company = Company(works)
        self._ready = Ready(works, self._company.inner)
        self._history = History()
        self._departures = Departures(works, terms, self._company, self._ready, self._history)
        for name, day in self._ready.at_once():
            self._stages.ready(name, day)
        for name, day in self._ready.behind_at_once():
            self._company.near(name, day)
        self._claims = Claims()
        self._later = Later()
        self._setbacks = Setbacks(works, terms.seed, self._departures, self._history, self._claims, self._later)

    # What happened.

    def ended(self, name: str, dates: DateSet, *, failed: bool = False) -> None:
        """Units have their final word."""
        days = dates.numbers()
        self._freed(self._ready.ended(name, days))
        self._company.ended(name, days)
        if failed:
            if self._stages.in_canary(name, days):
                self.stop(Stop.CANARY)
            if self._departures.budgets.failed(len(days)):
                self.stop(Stop.FAILURES)
        self._stages.ended(name, days)
        self._history.ended(name, days)

    def admitted(self, name: str, dates: DateSet) -> None:
        """Units were judged, and what they need is there."""
        self._departures.enqueue(name, dates.numbers(), UNTRIED)

    def rests(self, name: str, dates: DateSet, until: float) -> None:
        """Units were judged too early: they have their turn again then."""
        self.waiting[name] |= dates
        self._later.put(until, name, dates.numbers(), UNTRIED, Then.TURN)

    def may_follow(self, name: str, dates: DateSet) -> None:
        """Units were judged as if those of their call that they need were there: they may go behind them."""
        self._company.may_follow(name, dates.numbers())

    def stays(self, name: str, day: int) -> None:
        """Nobody knows what became of a unit that went behind its needs: it is looked at first, and goes behind them no more."""
        self._company.stays(name, day)

    def came_home(self, number: int, now: float, failures: Collection[Failure] = ()) -> tuple[Calling, list[str]]:
        """A call is over, with those failures in it. Returns it, and the services whose breaker that moved."""
        calling, moved = self._departures.home(number, now, failures)
        for name in calling.batch.processors:
            if lock := self._works[name].lock:
                self._history.lock(name, calling.batch.dates.numbers(), calling.left + lock)
        return calling, moved

    def failed(
        self, name: str, dates: DateSet, calling: Calling, failure: Failure, now: float, retry_after: float | None = None
    ) -> tuple[Fate, float]:
        """Units of a call failed. Returns what becomes of them, and when; where it is final they are to be ended."""
        return self._setbacks.failed(name, dates, calling, failure, now, retry_after)

    def claimed(self, name: str, dates: DateSet, now: float) -> None:
        """A runner says that units are done; nobody has looked yet."""
        self._claims.add(name, dates, now)

    def unverified(self, name: str, dates: DateSet, now: float) -> float:
        """Units were looked at and are not there. They are called again once the service's lock has run out; returns when."""
        return self._setbacks.absent(name, dates, now)

    def judged(self, layer: str) -> None:
        """A layer's gates have spoken; the layers after it may begin."""
        self._stages.judged(layer)

    def pause(self, why: str, *, probe_at: float = NEVER) -> None:
        """Nothing leaves until `go_on`, but for a call now and then from ``probe_at`` on that sees whether it may."""
        self._departures.pausing.pause(why, probe_at)

    def go_on(self) -> None:
        self._departures.pausing.go_on()

    def stop(self, why: Stop) -> None:
        """Nothing new leaves any more."""
        self._departures.stop(why)

    def drain(self) -> None:
        """Somebody asked for the end: nothing new leaves, and claims are looked at once nothing is in flight."""
        self._departures.draining = True

    def throttle(self, *, concurrency: int | None = None, caps: Mapping[str, int] | None = None) -> None:
        """Changes how many calls may be in flight, of the run and of what is in `lanes`. What is in flight stays there."""
        self._departures.throttle(concurrency, caps or {})

    # What is next.

    def to_judge(self) -> dict[str, DateSet]:
        """Units whose upstream has its final word, each told once. They are to be admitted or ended."""
        free = self._stages.taken()
        found = {name: DateSet.from_numbers(free[name]) for name in sorted(free, key=self._rank.__getitem__)}
        for name, dates in found.items():
            self.waiting[name] -= dates
        return found

    def to_judge_ahead(self) -> dict[str, DateSet]:
        """Units held up by nothing but units of the same call and date, each told once: which of them `may_follow`?"""
        return self._company.to_judge()

    def followed(self) -> list[tuple[str, int]]:
        """Units that went behind what they need, in the same call, and whose needs have their final word now, each told once."""
        return self._company.freed()

    def went_ahead(self, name: str, day: int) -> bool:
        """Whether a unit went behind what it needs, which has no final word yet."""
        return self._company.went(name, day)

    def company_of(self, name: str) -> dict[str, DateSet]:
        """Whose units of the same date a unit may go behind, and which dates these have to do."""
        return {wait.upstream: self._works[wait.upstream].dates for wait in self._company.inner.get(name, ())}

    def gates_due(self) -> dict[str, DateSet]:
        """Dates of each gate (named as in its work) that may be judged, in a pipelined run. They are to be ended."""
        return {name: DateSet.from_numbers(days) for name, days in sorted(self._stages.taken_gates().items())}

    def layers_due(self) -> list[str]:
        """Layers whose units all ended after all before them were judged: their gates are to be judged."""
        return self._stages.due()

    def claims_due(self, now: float) -> dict[str, DateSet]:
        """Claims to look at now, each told once."""
        self._ripen(now)
        return self._claims.due(now, idle=self._departures.idle(now))

    def next_calls(self, now: float) -> list[Calling]:
        """The calls that leave now: they count as in flight from here on."""
        self._ripen(now)
        leaving = self._departures.next_calls(now)
        for calling in leaving:
            if len(calling.batch.processors) > 1:  # some of them may have gone ahead
                for name in calling.batch.processors:
                    self.waiting[name] -= calling.batch.dates
        left_out = self._departures.budgets.left_out
        if left_out and not (self.in_flight or self._departures or self._later or self._claims):
            self.stop(left_out)
        return leaving

    def lost(self, now: float) -> list[int]:
        """Calls in flight that should have come home long ago."""
        return self._departures.lost(now)

    def wake_at(self, now: float) -> float:
        """When there is something to do although no call comes home; NEVER: there is not."""
        ripe = NEVER if self._departures.over else self._later.next_at()
        return min(self._claims.due_at(idle=self._departures.idle(now)), self._departures.wake_at(), ripe)

    @property
    def in_flight(self) -> Mapping[int, Calling]:
        """Calls that left and have not come home, by number."""
        return self._departures.in_flight

    @property
    def stopped(self) -> Stop | None:
        """Why nothing new leaves although units wait."""
        return self._departures.stopped

    @property
    def called(self) -> int:
        """How many units were called."""
        return self._departures.budgets.called

    @property
    def failures(self) -> int:
        """How many units failed for good."""
        return self._departures.budgets.failures

    @property
    def paused(self) -> str:
        """Why nothing leaves for now; empty: it does."""
        return self._departures.pausing.why

    @property
    def lanes(self) -> frozenset[str]:
        """The services, processors and tables that may be throttled, as people name them."""
        return frozenset(self._departures.lane_names())

    @property
    def queued(self) -> bool:
        """Whether calls wait for a place or their time."""
        return bool(self._departures or self._later or self._departures.budgets.left_out)

    @property
    def claims(self) -> bool:
        """Whether claims wait to be looked at."""
        return bool(self._claims)

    @property
    def unstarted(self) -> bool:
        """Whether units wait that may still start."""
        return not self._departures.over and (self.queued or any(self.waiting.values()))

    def attempts(self, name: str, dates: DateSet) -> int:
        """Calls that the most often called of those units had; they have left at least once."""
        return self._history.attempts(name, dates)

    def waited(self, name: str) -> DateSet:
        """Units that were not there, and whose service's lock was waited out before they are called again."""
        return self._history.waited(name)

    def retried(self, name: str) -> DateSet:
        """Units that were called again because nobody knew what had become of them."""
        return self._history.retried(name)

    def breaker(self, service: str) -> Breaker:
        """The breaker of a service that has one."""
        return self._departures.breaker(service)

    def _freed(self, freed: Freed) -> None:
        """Takes in which units are held up no longer, or by their own company alone."""
        for name, day in freed.units:
            if not self._company.frees(name, day):
                self._stages.ready(name, day)
        for name, day in freed.behind:
            self._company.near(name, day)

    def _ripen(self, now: float) -> None:
        """Takes in what has waited long enough."""
        for each in self._later.ripe(now):
            match each.then:
                case Then.CALL:
                    self._departures.enqueue(each.name, each.days, each.tries)
                case Then.LOOK:
                    dates = DateSet.from_numbers(each.days)
                    self._history.waits(each.name, dates)
                    self._claims.add(each.name, dates, now)
                case Then.TURN:
                    for day in each.days:
                        self._stages.ready(each.name, day)
