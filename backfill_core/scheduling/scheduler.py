"""What may be judged, called, looked at and gated now: a state machine without clock, thread or file.

It is told what happened and asked what is next. Execution and simulation ask the very same one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush
from typing import TypeVar

from backfill_core.dates import DateSet
from backfill_core.events import Failure
from backfill_core.model.units import Batch
from backfill_core.scheduling.batches import date_runs
from backfill_core.scheduling.breaker import Breaker
from backfill_core.scheduling.calling import Calling, Fate, with_grace
from backfill_core.scheduling.canary import canary_units
from backfill_core.scheduling.claims import Claims
from backfill_core.scheduling.company import Company
from backfill_core.scheduling.lanes import LANE_KINDS, NEVER, Lanes, service_lane
from backfill_core.scheduling.priority import urgency
from backfill_core.scheduling.queue import Queue, Waiting
from backfill_core.scheduling.ready import Freed, Ready
from backfill_core.scheduling.retries import UNTRIED, Tries, back_off
from backfill_core.scheduling.stages import Stages
from backfill_core.scheduling.terms import Stop, Terms
from backfill_core.scheduling.work import Work

_Key = TypeVar("_Key", Tries, float)

#: Seconds between two calls that ask whether a run that identity holds up may go on.
PROBE_EVERY = 60.0


class Scheduler:
    """Decides on the units of one run. Times are seconds on any one clock.

    ``works`` come after what they wait for; ``layers`` are in their order, each with those before it.
    """

    def __init__(self, works: Sequence[Work], layers: Mapping[str, frozenset[str]], terms: Terms) -> None:
        self.terms = terms
        self.concurrency = terms.concurrency
        #: Units that are not judged yet.
        self.waiting = {work.name: work.dates for work in works if not work.gate}
        self.in_flight: dict[int, Calling] = {}
        #: When those of them that have a time limit are taken for lost.
        self._lost_at: dict[int, float] = {}
        #: Why nothing new leaves although units wait.
        self.stopped: Stop | None = None
        #: Why nothing leaves for now; empty: it does.
        self.paused = ""
        #: Units that were called, and that failed for good.
        self.called = 0
        self.failures = 0
        self._works = {work.name: work for work in works}
        self._rank = {work.name: place for place, work in enumerate(works)}
        canary = canary_units([work for work in works if not work.gate], terms.canary) if terms.canary else {}
        self._stages = Stages(works, layers, pipelined=terms.pipelined, canary=canary)
        self._company = Company(works)
        self._ready = Ready(works, self._company.inner)
        for name, day in self._ready.at_once():
            self._stages.ready(name, day)
        for name, day in self._ready.behind_at_once():
            self._company.near(name, day)
        self._urgency = urgency(works, terms.priority)
        self._lanes = Lanes(terms.caps, terms.paces)
        self._queue = Queue(self._lanes, _lanes_of(works))
        self._claims = Claims()
        #: What waits for its time: when, in which order, whether it is looked at before it is called, and what it is.
        self._later: list[tuple[float, int, bool, str, tuple[int, ...], Tries]] = []
        #: What units that were called more than once have behind them.
        self._tries: dict[tuple[str, int], Tries] = {}
        #: Until when a service may still work on a unit.
        self._locked: dict[tuple[str, int], float] = {}
        #: Units whose lock was waited out, and units that were called again because nobody knew what had become of them.
        self._waited: dict[str, DateSet] = {}
        self._retried: dict[str, DateSet] = {}
        #: Seconds of each processor's slowest unit so far, where it is slower than was known.
        self._slowest = {work.name: work.seconds or 0.0 for work in works}
        #: Units that are ready and left out, by the budget that has no room for them.
        self._left_out: dict[Stop, int] = {}
        self._probe_at = NEVER
        self._probes: set[int] = set()
        #: Whether somebody asked for the pause: then no probe ends it.
        self._asked = False
        self._batches = 0
        self._deferred = 0

    # What happened.

    def ended(self, name: str, dates: DateSet, *, failed: bool = False) -> None:
        """Units have their final word."""
        days = dates.numbers()
        self._freed(self._ready.ended(name, days))
        self._company.ended(name, days)
        if failed:
            self._count_failures(name, days)
        self._stages.ended(name, days)
        if self._tries or self._locked:
            for day in days:
                self._tries.pop((name, day), None)
                self._locked.pop((name, day), None)

    def admitted(self, name: str, dates: DateSet) -> None:
        """Units were judged, and what they need is there."""
        self._enqueue(name, dates.numbers(), UNTRIED)

    def may_follow(self, name: str, dates: DateSet) -> None:
        """Units were judged as if those of their call that they need were there: they may go behind them."""
        self._company.may_follow(name, dates.numbers())

    def stays(self, name: str, day: int) -> None:
        """Nobody knows what became of a unit that went behind its needs: it is looked at first, and goes behind them no more."""
        self._company.stays(name, day)

    def came_home(self, number: int, now: float, failures: Collection[Failure] = ()) -> tuple[Calling, list[str]]:
        """A call is over, with those failures in it. Returns it, and the services whose breaker that moved."""
        calling = self.in_flight.pop(number)
        self._lost_at.pop(number, None)
        ill = Failure.TRANSIENT in failures or Failure.UNKNOWN in failures
        moved = self._lanes.home(calling.lanes, number, now, healthy=not ill)
        each = (now - calling.left) / calling.units
        for name in calling.batch.processors:
            self._slowest[name] = max(self._slowest[name], each)
            if self._works[name].lock:
                self._locked |= {(name, day): calling.left + self._works[name].lock for day in calling.batch.dates.numbers()}
        if number in self._probes:
            self._probes.discard(number)
            if Failure.AUTH not in failures:
                self._probe_at = NEVER
                self.paused = self.paused if self._asked else ""
        return calling, moved

    def failed(
        self, name: str, dates: DateSet, calling: Calling, failure: Failure, now: float, retry_after: float | None = None
    ) -> tuple[Fate, float]:
        """Units of a call failed. Returns what becomes of them, and when; where it is final they are to be ended."""
        work, tries, days = self._works[name], calling.tries, dates.numbers()
        tried = tries._replace(calls=tries.calls + 1)
        match failure:
            case Failure.AUTH:
                self.pause("no identity", probe_at=now + PROBE_EVERY)
                self.called -= 0 if tries.calls else len(days)
                self._enqueue(name, days, tries)
                return Fate.PARKED, now
            case Failure.TRANSIENT:
                if retry_after is not None:
                    self._lanes.hold(calling.lanes, now + retry_after)
                if tries.strikes + 1 >= work.attempts:
                    return Fate.FINAL, now
                tried = tried._replace(strikes=tries.strikes + 1)
                # What failed in one call comes back together.
                wait = back_off(work.backoff, tried.strikes, f"{self.terms.seed} {calling.batch.number}")
                again = now + max(wait, retry_after or 0.0)
                self._defer(again, name, days, tried, look=False)
                return Fate.AGAIN, again
            case Failure.UNKNOWN:
                self._remember(name, days, tries)
                self._claims.add(name, dates, now)
                return Fate.LOOK, now
            case Failure.PERMANENT:
                if len(days) < 2 or dates != calling.batch.dates:
                    return Fate.FINAL, now
                half = len(days) // 2
                for part in (days[:half], days[half:]):
                    self._remember(name, part, tried)
                    self._queue.put(self._urgency(name, part), name, part, tried)
                return Fate.SPLIT, now

    def claimed(self, name: str, dates: DateSet, now: float) -> None:
        """A runner says that units are done; nobody has looked yet."""
        self._claims.add(name, dates, now)

    def unverified(self, name: str, dates: DateSet, now: float) -> float:
        """Units were looked at and are not there. They are called again once the service's lock has run out; returns when.

        Whoever held the lock may have done the work by then: they are looked at once more before.
        """
        waited = self._waited.get(name, DateSet()) & dates
        ends = {day: self._locked.get((name, day), now) for day in (dates - waited).numbers()}
        ends |= dict.fromkeys(waited.numbers(), now)
        again = now
        for end, days in _grouped(ends).items():
            for tries, group in _grouped({day: self._tries.get((name, day), UNTRIED) for day in days}).items():
                if end > now:
                    self._defer(end, name, group, tries, look=True)
                else:
                    self._retried[name] = self.retried(name) | DateSet.from_numbers(group)
                    self._enqueue(name, group, tries._replace(calls=tries.calls + 1, doubts=tries.doubts + 1))
                again = max(again, end)
        return again

    def judged(self, layer: str) -> None:
        """A layer's gates have spoken; the layers after it may begin."""
        self._stages.judged(layer)

    def pause(self, why: str, *, probe_at: float = NEVER) -> None:
        """Nothing leaves until `go_on`, but for a call now and then from ``probe_at`` on that sees whether it may."""
        self.paused, self._probe_at = self.paused or why, min(self._probe_at, probe_at)
        self._asked = self._asked or probe_at == NEVER

    def go_on(self) -> None:
        self.paused, self._probe_at, self._asked = "", NEVER, False

    def stop(self, why: Stop) -> None:
        """Nothing new leaves any more."""
        self.stopped = self.stopped or why

    def throttle(self, *, concurrency: int | None = None, caps: Mapping[str, int] | None = None) -> None:
        """Changes how many calls may be in flight, of the run and of what is in `lanes`. What is in flight stays there."""
        self.concurrency = concurrency or self.concurrency
        known = self._lane_names()
        self._lanes.caps |= {known[name]: cap for name, cap in (caps or {}).items()}
        self._queue.rearrange()

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
        return self._claims.due(now, idle=self._idle(now))

    def next_calls(self, now: float) -> list[Calling]:
        """The calls that leave now: they count as in flight from here on."""
        self._ripen(now)
        leaving: list[Calling] = []
        while self._may_send(now) and (waiting := self._queue.take(now)) is not None:
            calling = self._calling(waiting, now)
            if calling is not None:
                leaving.append(calling)
        if self._left_out and not (self.in_flight or self._queue or self._later or self._claims):
            self.stop(next(iter(self._left_out)))
        return leaving

    def lost(self, now: float) -> list[int]:
        """Calls in flight that should have come home long ago."""
        return [number for number, at in self._lost_at.items() if at <= now]

    def wake_at(self, now: float) -> float:
        """When there is something to do although no call comes home; NEVER: there is not."""
        times = [self._claims.due_at(idle=self._idle(now)), *self._lost_at.values()]
        if not self.stopped:
            times += [self._later[0][0]] if self._later else []
            if len(self.in_flight) < self.concurrency and not (self.paused and (self._probes or self._asked)):
                times.append(max(self._queue.may_leave_at(), self._probe_at if self.paused else 0.0))
        return min(times)

    @property
    def lanes(self) -> frozenset[str]:
        """The services, processors and tables that may be throttled, as people name them."""
        return frozenset(self._lane_names())

    @property
    def queued(self) -> bool:
        """Whether calls wait for a place or their time."""
        return bool(self._queue or self._later or self._left_out)

    @property
    def claims(self) -> bool:
        """Whether claims wait to be looked at."""
        return bool(self._claims)

    @property
    def unstarted(self) -> bool:
        """Whether units wait that may still start."""
        return not self.stopped and (self.queued or any(self.waiting.values()))

    def attempts(self, name: str, dates: DateSet) -> int:
        """Calls that the most often called of those units had; they have left at least once."""
        return 1 + max(self._tries.get((name, day), UNTRIED).calls for day in dates.numbers()) if self._tries else 1

    def retried(self, name: str) -> DateSet:
        """Units that were called again because nobody knew what had become of them."""
        return self._retried.get(name, DateSet())

    def breaker(self, service: str) -> Breaker:
        """The breaker of a service that has one."""
        return self._lanes.breakers[service_lane(service)]

    def _lane_names(self) -> dict[str, str]:
        """The lane of each name; where two have the same one, the service before the processor, and that before the table."""
        lanes = {lane for work in self._works.values() for lane in work.lanes}
        order = sorted(lanes, key=lambda lane: (LANE_KINDS.index(lane.partition(":")[0]), lane), reverse=True)
        return {lane.partition(":")[2]: lane for lane in order}

    def _idle(self, now: float) -> bool:
        """Whether nothing but a look can bring the run on."""
        return not self.in_flight and (bool(self.stopped or self.paused) or self._queue.may_leave_at() > now)

    def _may_send(self, now: float) -> bool:
        if self.terms.stop_at is not None and now >= self.terms.stop_at:
            self.stop(Stop.TIME)
        if self.stopped or len(self.in_flight) >= self.concurrency:
            return False
        return not self.paused or (now >= self._probe_at and not self._probes and not self._asked)

    def _calling(self, waiting: Waiting, now: float) -> Calling | None:
        """Turns a call that is ready into one that leaves, as far as budgets allow; None: there is too little time for it."""
        names, days, tries = self._members(waiting), list(waiting.days), waiting.tries
        followers = self._followers(names, days[0])
        fits, budget = self._fitting(names, followers, days, tries, now)
        while followers and fits < len(days):  # a date goes without those that may come later
            followers.pop()
            fits, budget = self._fitting(names, followers, days, tries, now)
        if budget is not None and not fits:
            self._left_out[budget] = self._left_out.get(budget, 0) + len(days) * len(names)
            return None
        if fits < len(days):
            self._queue.put(self._urgency(names[0], days[fits:]), waiting.name, days[fits:], tries)
            days = days[:fits]
        self.called += self._first_calls(names, followers, days[0], tries) * len(days)
        if waiting.name in self._company:
            self._company.left(names, followers, days[0])
        for name in followers:
            self.waiting[name] -= DateSet.from_numbers(days)
            if tries.calls:
                self._remember(name, days, tries)
        return self._leave(sorted([*names, *followers], key=self._rank.__getitem__), days, tries, now)

    def _leave(self, names: Sequence[str], days: Sequence[int], tries: Tries, now: float) -> Calling:
        self._batches += 1
        batch = Batch(number=self._batches, processors=tuple(names), dates=DateSet.from_numbers(days))
        lanes = tuple(dict.fromkeys(lane for name in names for lane in self._works[name].lanes))
        limits = [limit for name in names if (limit := self._works[name].limit) is not None]
        lost_at = now + min(map(with_grace, limits), default=NEVER)
        units = len(names) * len(days)
        calling = Calling(batch=batch, units=units, tries=tries, lanes=lanes, left=now, lost_at=lost_at)
        self._lanes.left(lanes, batch.number, now)
        self.in_flight[batch.number] = calling
        if lost_at < NEVER:
            self._lost_at[batch.number] = lost_at
        if self.paused:
            self._probes.add(batch.number)
            self._probe_at = now + PROBE_EVERY
        return calling

    def _members(self, waiting: Waiting) -> list[str]:
        if waiting.name in self._works:
            return [waiting.name]
        return self._company.leaves(waiting.name, waiting.days[0], waiting.tries)

    def _followers(self, names: Sequence[str], day: int) -> list[str]:
        """Who goes behind those of a call although its needs are only in the call itself."""
        if not self._company.inner or not self._works[names[0]].together:
            return []
        return self._company.followers(names, day, lambda name: self._ready.held(name, day))

    def _freed(self, freed: Freed) -> None:
        """Takes in which units are held up no longer, or by their own company alone."""
        for name, day in freed.units:
            if not self._company.frees(name, day):
                self._stages.ready(name, day)
        for name, day in freed.behind:
            self._company.near(name, day)

    def _fitting(
        self, names: Sequence[str], followers: Sequence[str], days: Sequence[int], tries: Tries, now: float
    ) -> tuple[int, Stop | None]:
        """How many of the days the budgets have room for, and which of them has no room for all. A date goes whole."""
        fits, budget = len(days), None
        first = self._first_calls(names, followers, days[0], tries)
        if self.terms.max_units is not None and first:
            room = (self.terms.max_units - self.called) // first
            if room < fits:
                fits, budget = room, Stop.UNITS
        each = sum(self._slowest[name] for name in (*names, *followers))
        if self.terms.stop_at is not None and each:
            room = int((self.terms.stop_at - now) / each)
            if room < fits:
                fits, budget = room, Stop.TIME
        return fits, budget

    def _first_calls(self, names: Sequence[str], followers: Sequence[str], day: int, tries: Tries) -> int:
        """How many units a date of a call has that were never called before."""
        return (0 if tries.calls else len(names)) + sum(1 for name in followers if not self._company.went(name, day))

    def _enqueue(self, name: str, days: Sequence[int], tries: Tries) -> None:
        """Puts units into calls that may leave."""
        work = self._works[name]
        if tries.calls:
            self._remember(name, days, tries)
        if work.together:
            for day in days:
                if self._company.joins(name, day, tries):
                    self._queue.put(self._urgency(name, [day]), work.together, [day], tries)
            return
        places = self._lanes.places(work.lanes)
        share = self.concurrency if places is None else min(self.concurrency, places)
        for run in date_runs(days, work.most, share=share, by_month=work.by_month, along=work.along):
            self._queue.put(self._urgency(name, run), name, run, tries)

    def _defer(self, until: float, name: str, days: Sequence[int], tries: Tries, *, look: bool) -> None:
        self._remember(name, days, tries)
        self._deferred += 1
        heappush(self._later, (until, self._deferred, look, name, tuple(days), tries))

    def _ripen(self, now: float) -> None:
        """Takes in what has waited long enough."""
        while self._later and self._later[0][0] <= now:
            _, _, look, name, days, tries = heappop(self._later)
            if look:
                dates = DateSet.from_numbers(days)
                self._waited[name] = self._waited.get(name, DateSet()) | dates
                self._claims.add(name, dates, now)
            else:
                self._enqueue(name, days, tries)

    def _remember(self, name: str, days: Sequence[int], tries: Tries) -> None:
        self._tries |= {(name, day): tries for day in days}

    def _count_failures(self, name: str, days: Sequence[int]) -> None:
        self.failures += len(days)
        if self._stages.in_canary(name, days):
            self.stop(Stop.CANARY)
        if self.terms.max_failures is not None and self.failures >= self.terms.max_failures:
            self.stop(Stop.FAILURES)


def _lanes_of(works: Sequence[Work]) -> dict[str, tuple[str, ...]]:
    """The lanes of each processor, and of those that go together all of theirs."""
    found: dict[str, tuple[str, ...]] = {}
    for work in works:
        found[work.name] = work.lanes
        if work.together:
            found[work.together] = tuple(dict.fromkeys((*found.get(work.together, ()), *work.lanes)))
    return found


def _grouped(of: Mapping[int, _Key]) -> dict[_Key, list[int]]:
    """The days of each value."""
    found: dict[_Key, list[int]] = {}
    for day, key in of.items():
        found.setdefault(key, []).append(day)
    return found
