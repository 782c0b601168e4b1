"""Units that are ready, put into calls that leave when there is a place for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from backfill_core.dates import DateSet
from backfill_core.events import Failure
from backfill_core.model.units import Batch
from backfill_core.scheduling.batches import date_runs
from backfill_core.scheduling.breaker import Breaker
from backfill_core.scheduling.budgets import Budgets
from backfill_core.scheduling.calling import Calling, with_grace
from backfill_core.scheduling.company import Company
from backfill_core.scheduling.history import History
from backfill_core.scheduling.lanes import LANE_KINDS, NEVER, Lanes, service_lane
from backfill_core.scheduling.pausing import Pausing
from backfill_core.scheduling.priority import urgency
from backfill_core.scheduling.queue import Queue, Waiting
from backfill_core.scheduling.ready import Ready
from backfill_core.scheduling.retries import Tries
from backfill_core.scheduling.terms import Stop, Terms
from backfill_core.scheduling.work import Work


class Departures:
    """Groups units into calls, and keeps to caps, paces, pauses and budgets. Times are seconds on the run's clock."""

    def __init__(self, works: Sequence[Work], terms: Terms, company: Company, ready: Ready, history: History) -> None:
        self.concurrency = terms.concurrency
        self.in_flight: dict[int, Calling] = {}
        #: Why nothing new leaves although units wait.
        self.stopped: Stop | None = None
        #: Whether somebody asked for the end: nothing new leaves.
        self.draining = False
        self.budgets = Budgets(terms, works)
        self.pausing = Pausing()
        self.lanes = Lanes(terms.caps, terms.paces)
        self._works = {work.name: work for work in works}
        self._rank = {work.name: place for place, work in enumerate(works)}
        self._company = company
        self._ready = ready
        self._history = history
        self._urgency = urgency(works, terms.priority)
        self._queue = Queue(self.lanes, _lanes_of(works))
        #: When those in flight that have a time limit are taken for lost.
        self._lost_at: dict[int, float] = {}
        self._batches = 0

    def enqueue(self, name: str, days: Sequence[int], tries: Tries) -> None:
        """Puts units into calls that may leave."""
        work = self._works[name]
        if tries.calls:
            self._history.tried(name, days, tries)
        if work.together:
            for day in days:
                if self._company.joins(name, day, tries):
                    self._queue.put(self._urgency(name, [day]), work.together, [day], tries)
            return
        places = self.lanes.places(work.lanes)
        share = self.concurrency if places is None else min(self.concurrency, places)
        for run in date_runs(days, work.most, share=share, by_month=work.by_month, along=work.along):
            self._queue.put(self._urgency(name, run), name, run, tries)

    def put(self, name: str, days: Sequence[int], tries: Tries) -> None:
        """A call that may leave."""
        self._history.tried(name, days, tries)
        self._queue.put(self._urgency(name, days), name, days, tries)

    def next_calls(self, now: float) -> list[Calling]:
        """The calls that leave now: they count as in flight from here on."""
        leaving: list[Calling] = []
        while self._may_send(now) and (waiting := self._queue.take(now)) is not None:
            calling = self._calling(waiting, now)
            if calling is not None:
                leaving.append(calling)
        return leaving

    def home(self, number: int, now: float, failures: Collection[Failure]) -> tuple[Calling, list[str]]:
        """A call is over, with those failures in it. Returns it, and the services whose breaker that moved."""
        calling = self.in_flight.pop(number)
        self._lost_at.pop(number, None)
        ill = Failure.TRANSIENT in failures or Failure.UNKNOWN in failures
        moved = self.lanes.home(calling.lanes, number, now, healthy=not ill)
        self.budgets.took(calling.batch.processors, (now - calling.left) / calling.units)
        self.pausing.home(number, refused=Failure.AUTH in failures)
        return calling, moved

    def lost(self, now: float) -> list[int]:
        """Calls in flight that should have come home long ago."""
        return [number for number, at in self._lost_at.items() if at <= now]

    @property
    def over(self) -> bool:
        """Whether nothing new leaves any more."""
        return self.draining or self.stopped is not None

    def stop(self, why: Stop) -> None:
        """Nothing new leaves any more."""
        self.stopped = self.stopped or why

    def throttle(self, concurrency: int | None, caps: Mapping[str, int]) -> None:
        """Changes how many calls may be in flight, of the run and of what is in `lane_names`. What is in flight stays there."""
        self.concurrency = concurrency or self.concurrency
        known = self.lane_names()
        self.lanes.caps |= {known[name]: cap for name, cap in caps.items()}
        self._queue.rearrange()

    def wake_at(self) -> float:
        """When a call may leave or is lost although none comes home; NEVER: there is none."""
        lost = min(self._lost_at.values(), default=NEVER)
        if self.over or len(self.in_flight) >= self.concurrency:
            return lost
        return min(lost, max(self._queue.may_leave_at(), self.pausing.lets_at()))

    def idle(self, now: float) -> bool:
        """Whether nothing is in flight, and nothing can leave now."""
        return not self.in_flight and (bool(self.over or self.pausing.why) or self._queue.may_leave_at() > now)

    def breaker(self, service: str) -> Breaker:
        """The breaker of a service that has one."""
        return self.lanes.breakers[service_lane(service)]

    def lane_names(self) -> dict[str, str]:
        """The lane of each name; where two have the same one, the service before the processor, and that before the table."""
        lanes = {lane for work in self._works.values() for lane in work.lanes}
        order = sorted(lanes, key=lambda lane: (LANE_KINDS.index(lane.partition(":")[0]), lane), reverse=True)
        return {lane.partition(":")[2]: lane for lane in order}

    def __bool__(self) -> bool:
        """Whether calls wait for a place."""
        return bool(self._queue)

    def _may_send(self, now: float) -> bool:
        if self.budgets.out_of_time(now):
            self.stop(Stop.TIME)
        return not self.over and len(self.in_flight) < self.concurrency and self.pausing.lets(now)

    def _calling(self, waiting: Waiting, now: float) -> Calling | None:
        """Turns a call that is ready into one that leaves, as far as budgets allow; None: there is too little time for it."""
        names, days, tries = self._members(waiting), list(waiting.days), waiting.tries
        followers = self._followers(names, days[0])
        fits, budget = self._fitting(names, followers, days, tries, now)
        while followers and fits < len(days):  # a date goes without those that may come later
            followers.pop()
            fits, budget = self._fitting(names, followers, days, tries, now)
        if budget is not None and not fits:
            self.budgets.leave_out(budget, len(days) * len(names))
            return None
        if fits < len(days):
            self._queue.put(self._urgency(names[0], days[fits:]), waiting.name, days[fits:], tries)
            days = days[:fits]
        self.budgets.called += self._first_calls(names, followers, days[0], tries) * len(days)
        for name in followers if tries.calls else ():
            self._history.tried(name, days, tries)
            if tries.doubts and self._company.went(name, days[0]):  # this is its retry too, for what it claimed before
                self._history.retries(name, DateSet.from_numbers(days))
        if waiting.name in self._company:
            self._company.left(names, followers, days[0])
        return self._leave(sorted([*names, *followers], key=self._rank.__getitem__), days, tries, now)

    def _leave(self, names: Sequence[str], days: Sequence[int], tries: Tries, now: float) -> Calling:
        self._batches += 1
        batch = Batch(number=self._batches, processors=tuple(names), dates=DateSet.from_numbers(days))
        lanes = tuple(dict.fromkeys(lane for name in names for lane in self._works[name].lanes))
        limits = [limit for name in names if (limit := self._works[name].limit) is not None]
        lost_at = now + min(map(with_grace, limits), default=NEVER)
        units = len(names) * len(days)
        calling = Calling(batch=batch, units=units, tries=tries, lanes=lanes, left=now, lost_at=lost_at)
        self.lanes.left(lanes, batch.number, now)
        self.in_flight[batch.number] = calling
        if lost_at < NEVER:
            self._lost_at[batch.number] = lost_at
        self.pausing.left(batch.number, now)
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

    def _fitting(
        self, names: Sequence[str], followers: Sequence[str], days: Sequence[int], tries: Tries, now: float
    ) -> tuple[int, Stop | None]:
        first = self._first_calls(names, followers, days[0], tries)
        return self.budgets.room((*names, *followers), len(days), first, now)

    def _first_calls(self, names: Sequence[str], followers: Sequence[str], day: int, tries: Tries) -> int:
        """How many units a date of a call has that were never called before."""
        return (0 if tries.calls else len(names)) + sum(1 for name in followers if not self._company.went(name, day))


def _lanes_of(works: Sequence[Work]) -> dict[str, tuple[str, ...]]:
    """The lanes of each processor, and of those that go together all of theirs."""
    found: dict[str, tuple[str, ...]] = {}
    for work in works:
        found[work.name] = work.lanes
        if work.together:
            found[work.together] = tuple(dict.fromkeys((*found.get(work.together, ()), *work.lanes)))
    return found
