"""The scheduler under a simulated clock in a world where calls fail in every way, against what may never happen."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_scheduler import BASE, Case, Unit, cases

from backfill_core.dates import DateSet
from backfill_core.events import Failure
from backfill_core.scheduling.breaker import COOL_DOWN, OPENS_AFTER, Position
from backfill_core.scheduling.calling import Calling, Fate, with_grace
from backfill_core.scheduling.lanes import NEVER, processor_lane, service_lane
from backfill_core.scheduling.pausing import PROBE_EVERY
from backfill_core.scheduling.retries import LONGEST, back_off
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.simulate import advance, drawn, simulate
from backfill_core.scheduling.terms import Priority, Stop, Terms
from backfill_core.scheduling.work import Wait, Work

SERVICES = ("x", "y")


@st.composite
def faulty_cases(draw: st.DrawFn) -> Case:
    """Cases whose processors call services, several of them together, and may be tried again."""
    alike = draw(st.booleans())
    case = draw(cases(alike=alike))
    works = []
    for work in case.works:
        lanes = (processor_lane(work.name), service_lane(draw(st.sampled_from(SERVICES))))
        chained = any(wait.upstream == work.name for wait in work.waits)
        works.append(
            replace(
                work,
                lanes=lanes,
                attempts=draw(st.integers(1, 4)),
                backoff=draw(st.sampled_from([0.0, 5.0])),
                lock=draw(st.sampled_from([0.0, 100.0])),
                limit=draw(st.sampled_from([None, 50.0])),
                together=f"{work.layer} all" if not chained and (alike or draw(st.booleans())) else None,
                in_order=draw(st.booleans()),
                by_month=draw(st.booleans()),
                seconds=1.0,
            )
        )
    caps = draw(st.dictionaries(st.sampled_from([service_lane(name) for name in SERVICES]), st.integers(1, 3)))
    return replace(case, works=works, caps=caps)


@dataclass
class World:
    """Calls that take a while and then fail, claim, or never come home; chance decides, and is the same each time."""

    case: Case
    terms: Terms
    random: Random
    #: Of ten calls, how many fail in some way.
    ill: int = 4
    now: float = 0.0
    words: dict[Unit, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    due: dict[int, float] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    #: By unit: when it was last called and must then not be called again before.
    resting: dict[Unit, float] = field(default_factory=dict)
    left: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    #: What came of units that went behind their needs, in the same call.
    kept: dict[Unit, tuple[Calling, Failure | None]] = field(default_factory=dict)
    #: The last call that each unit left in.
    last: dict[Unit, int] = field(default_factory=dict)

    def go(self) -> Scheduler:
        scheduler = Scheduler(self.case.works, self.case.layers, self.terms)
        self.of = {work.name: work for work in self.case.works}
        for _ in range(20_000):
            for name, dates in scheduler.claims_due(self.now).items():
                self.look(scheduler, name, dates)
            self.advance(scheduler)
            for calling in scheduler.next_calls(self.now):
                self.leave(scheduler, calling)
            if not scheduler.in_flight and not scheduler.claims and not scheduler.unstarted:
                return scheduler
            home = min(self.due.values(), default=NEVER)
            wake = scheduler.wake_at(self.now)
            assert wake > self.now or scheduler.claims, "it never asks to be woken for nothing"
            assert min(home, wake) < NEVER, "something is to come"
            self.now = max(self.now, min(home, wake))
            for number in scheduler.lost(self.now):
                self.home(scheduler, number, Failure.UNKNOWN)
            for number in [number for number, at in self.due.items() if at <= self.now]:
                self.home(scheduler, number, self.failure())
        raise AssertionError("the run does not end")

    def failure(self) -> Failure | None:
        return self.random.choice(list(Failure)) if self.random.random() * 10 < self.ill else None

    def advance(self, scheduler: Scheduler) -> None:
        while True:
            layers, chosen = scheduler.layers_due(), scheduler.to_judge()
            for layer in layers:
                self.judged.add(layer)
                scheduler.judged(layer)
            for name, dates in chosen.items():
                for day in dates.numbers():
                    assert self.case.needs[name, day] <= self.words.keys(), "never before a need"
                    assert self.case.layers[self.case.layer_of[name]] <= self.judged, "never before a gate"
                scheduler.admitted(name, dates)
            ahead = scheduler.to_judge_ahead()
            for name, dates in ahead.items():
                for day in dates.numbers():
                    company = {(up, day) for up in scheduler.company_of(name)}
                    assert self.of[name].in_order and self.case.needs[name, day] - self.words.keys() <= company
                scheduler.may_follow(name, DateSet.from_numbers([day for day in dates.numbers() if self.random.random() < 0.8]))
            if not layers and not chosen and not ahead:
                return

    def leave(self, scheduler: Scheduler, calling: Calling) -> None:
        assert not scheduler.stopped, "nothing leaves after a stop"
        names, days = calling.batch.processors, calling.batch.dates.numbers()
        self.told.append(f"{self.now:.3f} {names} {days} {calling.attempt}")
        assert len(scheduler.in_flight) <= self.terms.concurrency
        busy = Counter(lane for other in scheduler.in_flight.values() for lane in other.lanes)
        assert all(busy[lane] <= cap for lane, cap in self.terms.caps.items()), "never over a cap"
        assert len(days) == 1 or len(names) == 1
        for place, name in enumerate(names):
            assert len(days) <= self.of[name].most
            for day in days:
                assert (name, day) not in self.words
                open_needs = self.case.needs[name, day] - self.words.keys()
                assert open_needs <= {(before, day) for before in names[:place]}, "never before a need but in its own call"
                assert self.of[name].in_order or not open_needs
                self.last[name, day] = calling.batch.number
                assert self.now >= self.resting.pop((name, day), 0.0), "never again too soon"
        for lane in calling.lanes:
            self.left[lane].append(self.now)
        comes = self.random.random() < 0.9 or calling.lost_at == NEVER
        self.due[calling.batch.number] = self.now + self.random.random() * calling.units if comes else NEVER

    def home(self, scheduler: Scheduler, number: int, failure: Failure | None) -> None:
        del self.due[number]
        names = scheduler.in_flight[number].batch.processors
        said = {name: failure if self.random.random() < 0.7 else self.failure() for name in names} if len(names) > 1 else {}
        failures = {each for each in (said.values() if said else [failure]) if each is not None}
        calling, _ = scheduler.came_home(number, self.now, failures)
        for name in names:
            (day, *_), of_it = calling.batch.dates.numbers(), said.get(name, failure)
            if scheduler.went_ahead(name, day):
                self.kept[name, day] = calling, of_it
                if of_it is Failure.UNKNOWN:
                    scheduler.stays(name, day)
            else:
                self.settle(scheduler, name, calling, of_it)
        self.take_up(scheduler)

    def take_up(self, scheduler: Scheduler) -> None:
        while followed := scheduler.followed():
            for name, day in followed:
                calling, failure = self.kept.pop((name, day))
                needs = self.case.needs[name, day]
                assert needs <= self.words.keys(), "its needs have their word"
                if failure is not Failure.UNKNOWN:
                    later = {need for need in needs if self.last.get(need, 0) > calling.batch.number}
                    assert not later, "no need was called once more without it"
                self.settle(scheduler, name, calling, failure)

    def settle(self, scheduler: Scheduler, name: str, calling: Calling, failure: Failure | None) -> None:
        dates = calling.batch.dates
        if failure is None:
            claimed = DateSet.from_numbers([day for day in dates.numbers() if self.random.random() < 0.3])
            scheduler.claimed(name, claimed, self.now)
            self.end(scheduler, name, dates - claimed, "done")
            return
        part = DateSet.from_numbers(dates.numbers()[:1]) if self.random.random() < 0.2 else dates
        self.end(scheduler, name, dates - part, "done")
        fate, again = scheduler.failed(name, part, calling, failure, self.now)
        if fate is Fate.FINAL:
            self.end(scheduler, name, part, "failed")
        if failure is Failure.UNKNOWN and self.of[name].lock:
            self.resting |= {(name, day): calling.left + self.of[name].lock for day in part.numbers()}
        if fate is Fate.AGAIN:
            self.resting |= {(name, day): again for day in part.numbers()}

    def look(self, scheduler: Scheduler, name: str, dates: DateSet) -> None:
        absent = DateSet.from_numbers([day for day in dates.numbers() if self.random.random() < 0.3])
        last = scheduler.retried(name)
        self.end(scheduler, name, absent & last, "failed")
        self.end(scheduler, name, dates - absent, "done")
        if absent - last:
            scheduler.unverified(name, absent - last, self.now)
        self.take_up(scheduler)

    def end(self, scheduler: Scheduler, name: str, dates: DateSet, word: str) -> None:
        for day in dates.numbers():
            assert (name, day) not in self.words, "a unit ends once"
            self.words[name, day] = word
        if dates:
            scheduler.ended(name, dates, failed=word == "failed")


@settings(deadline=None, max_examples=200)
@given(case=faulty_cases(), seed=st.integers(0, 2**20), priority=st.sampled_from(Priority), canary=st.integers(0, 3))
def test_in_a_world_of_faults_every_unit_ends_once_and_no_limit_is_passed(
    case: Case, seed: int, priority: Priority, canary: int
) -> None:
    terms = Terms(concurrency=case.concurrency, caps=case.caps, paces={service_lane("x"): 30.0}, priority=priority, canary=canary)
    world = World(case, terms, Random(seed))
    scheduler = world.go()
    if scheduler.stopped is None:
        assert world.words.keys() == case.units
    else:
        assert scheduler.stopped is Stop.CANARY and "failed" in world.words.values()
    gaps = [later - earlier for earlier, later in zip(world.left["service:x"], world.left["service:x"][1:], strict=False)]
    assert all(gap >= 2.0 - 1e-9 for gap in gaps), "30 a minute are 2 s apart"
    again = World(case, terms, Random(seed))
    again.go()
    assert (again.told, again.words) == (world.told, world.words), "the same events give the same run"


@settings(deadline=None, max_examples=200)
@given(
    case=faulty_cases(),
    seed=st.integers(0, 2**20),
    units=st.none() | st.integers(1, 20),
    stop_at=st.none() | st.floats(0.5, 30.0),
    failures=st.none() | st.integers(1, 4),
)
def test_budgets_are_kept(case: Case, seed: int, units: int | None, stop_at: float | None, failures: int | None) -> None:
    terms = Terms(concurrency=case.concurrency, caps=case.caps, max_units=units, stop_at=stop_at, max_failures=failures)
    world = World(case, terms, Random(seed), ill=2 if failures else 0)
    world.case = replace(case, works=[replace(work, limit=None) for work in case.works])
    scheduler = world.go()
    assert units is None or scheduler.called <= units
    assert scheduler.stopped is not None or world.words.keys() == case.units
    if stop_at is not None and not failures:
        # Units take a second at most, as is known, and what takes longer than what is left never leaves.
        assert all(float(line.split()[0]) + 1.0 <= stop_at + 1e-3 for line in world.told)
    if failures is not None and scheduler.stopped is Stop.FAILURES:
        assert list(world.words.values()).count("failed") >= failures


def one(dates: int = 10, **more: object) -> Scheduler:
    """One processor of a service, all of whose dates are ready."""
    terms = {name: more.pop(name) for name in list(more) if name in Terms.__dataclass_fields__}
    work = Work(
        name="p",
        layer="l",
        dates=DateSet.between(BASE, BASE + dates - 1),
        **({"lanes": (service_lane("s"),)} | more),  # type: ignore[arg-type]
    )
    scheduler = Scheduler([work], {"l": frozenset()}, Terms(**({"concurrency": 1} | terms)))  # type: ignore[arg-type]
    for name, ready in scheduler.to_judge().items():
        scheduler.admitted(name, ready)
    return scheduler


def fail(scheduler: Scheduler, now: float, failure: Failure, retry_after: float | None = None) -> tuple[Fate, float]:
    (calling,) = scheduler.next_calls(now)
    scheduler.came_home(calling.batch.number, now, {failure})
    fate, again = scheduler.failed("p", calling.batch.dates, calling, failure, now, retry_after)
    if fate is Fate.FINAL:
        scheduler.ended("p", calling.batch.dates, failed=True)
    return fate, again


def test_what_fails_in_passing_is_tried_as_often_as_declared_and_ever_later() -> None:
    scheduler = one(1, attempts=4, backoff=10.0)
    now, waits = 0.0, []
    for _ in range(3):
        fate, again = fail(scheduler, now, Failure.TRANSIENT)
        assert fate is Fate.AGAIN and scheduler.next_calls(again - 0.1) == []
        assert scheduler.wake_at(now) == again
        waits.append(again - now)
        now = again
    assert [round(wait / full) for wait, full in zip(waits, (10, 40, 160), strict=True)] == [1, 1, 1]
    assert fail(scheduler, now, Failure.TRANSIENT) == (Fate.FINAL, now)
    assert scheduler.failures == 1 and not scheduler.unstarted


@settings(max_examples=100)
@given(first=st.floats(0.0, 600.0), strikes=st.integers(1, 12), seed=st.text(max_size=5))
def test_a_back_off_stays_within_half_of_what_it_is(first: float, strikes: int, seed: str) -> None:
    full = min(LONGEST, first * 4.0 ** (strikes - 1))
    assert 0.5 * full <= back_off(first, strikes, seed) <= 1.5 * full
    assert back_off(first, strikes, seed) == back_off(first, strikes, seed)


def test_a_service_that_says_when_is_left_alone_until_then() -> None:
    scheduler = one(2, backoff=1.0)
    assert fail(scheduler, 0.0, Failure.TRANSIENT, retry_after=90.0) == (Fate.AGAIN, 90.0)
    assert scheduler.next_calls(89.0) == [], "not the other date either: it is the same service"
    assert len(scheduler.next_calls(90.0)) == 1
    scheduler = one(2)
    assert fail(scheduler, 0.0, Failure.UNKNOWN, retry_after=90.0)[0] is Fate.LOOK
    assert scheduler.next_calls(89.0) == [] and len(scheduler.next_calls(90.0)) == 1, "whoever stood between says so too"


@pytest.mark.parametrize(("attempts", "fate"), [(OPENS_AFTER - 1, Fate.SPLIT), (OPENS_AFTER, Fate.FINAL), (1, Fate.FINAL)])
def test_dates_that_fail_together_are_tried_apart_unless_their_whole_service_is_ill(attempts: int, fate: Fate) -> None:
    scheduler = one(4, most=4, attempts=attempts)
    fates = [fail(scheduler, 0.0, Failure.TRANSIENT)[0] for _ in range(attempts)]
    assert fates == [Fate.AGAIN] * (attempts - 1) + [fate]
    halves = [calling.batch.size for calling in scheduler.next_calls(0.0)]
    assert halves == ([2] if fate is Fate.SPLIT else [])


def test_a_breaker_opens_probes_and_closes() -> None:
    scheduler = one(20, attempts=1)
    for _ in range(OPENS_AFTER):
        assert fail(scheduler, 1.0, Failure.TRANSIENT)[0] is Fate.FINAL
    breaker = scheduler.breaker("s")
    assert (breaker.position, breaker.until) == (Position.OPEN, 1.0 + COOL_DOWN)
    assert scheduler.next_calls(COOL_DOWN) == [] and scheduler.wake_at(2.0) == 1.0 + COOL_DOWN
    scheduler.throttle(concurrency=5)
    now = 1.0 + COOL_DOWN
    (probe,) = scheduler.next_calls(now)
    assert scheduler.next_calls(now + 500) == [], "one probe"
    assert scheduler.came_home(probe.batch.number, now, {Failure.TRANSIENT})[1] == ["s"]
    assert breaker.until == now + 2 * COOL_DOWN
    now = breaker.until
    (probe,) = scheduler.next_calls(now)
    assert scheduler.came_home(probe.batch.number, now)[1] == ["s"]
    assert breaker.position is Position.CLOSED and len(scheduler.next_calls(now)) == 5


def test_a_call_that_cannot_say_who_it_is_pauses_the_run_and_fails_nothing() -> None:
    scheduler = one(5, concurrency=2, max_units=5)
    first, second = scheduler.next_calls(0.0)
    scheduler.came_home(first.batch.number, 1.0, {Failure.AUTH})
    assert scheduler.failed("p", first.batch.dates, first, Failure.AUTH, 1.0)[0] is Fate.PARKED
    scheduler.came_home(second.batch.number, 2.0)
    scheduler.ended("p", second.batch.dates)
    assert scheduler.paused and scheduler.next_calls(3.0) == []
    assert scheduler.wake_at(3.0) == 1.0 + PROBE_EVERY
    assert fail(scheduler, 1.0 + PROBE_EVERY, Failure.AUTH)[0] is Fate.PARKED
    assert scheduler.next_calls(2.0 + PROBE_EVERY) == []
    (probe,) = scheduler.next_calls(1.0 + 2 * PROBE_EVERY)
    scheduler.came_home(probe.batch.number, 200.0)
    scheduler.ended("p", probe.batch.dates)
    assert not scheduler.paused and len(scheduler.next_calls(200.0)) == 2
    assert scheduler.failures == 0 and scheduler.called == 4


def test_a_paused_run_sleeps_while_nothing_can_leave() -> None:
    scheduler = one(3, attempts=2, backoff=10.0)
    _, again = fail(scheduler, 0.0, Failure.TRANSIENT)
    scheduler.throttle(concurrency=2)
    scheduler.pause("asked by somebody")
    assert scheduler.next_calls(again) == [] and scheduler.wake_at(again) == NEVER
    scheduler.go_on()
    first, _ = scheduler.next_calls(again)
    scheduler.pause("no identity", probe_at=again + 1.0)
    assert scheduler.wake_at(again + 2.0) == NEVER, "both places are taken"
    scheduler.came_home(first.batch.number, again + 3.0)
    scheduler.ended("p", first.batch.dates)
    assert len(scheduler.next_calls(again + 3.0)) == 1, "the probe"


def test_a_pause_that_somebody_asked_for_is_ended_by_nobody_else() -> None:
    scheduler = one(3)
    fail(scheduler, 0.0, Failure.AUTH)
    (probe,) = scheduler.next_calls(PROBE_EVERY)
    scheduler.pause("asked by somebody")
    scheduler.came_home(probe.batch.number, PROBE_EVERY + 1.0)
    scheduler.ended("p", probe.batch.dates)
    assert scheduler.paused and scheduler.next_calls(10 * PROBE_EVERY) == []
    scheduler.go_on()
    assert len(scheduler.next_calls(10 * PROBE_EVERY)) == 1


def test_a_person_may_end_the_pause() -> None:
    scheduler = one(2)
    fail(scheduler, 0.0, Failure.AUTH)
    scheduler.go_on()
    assert len(scheduler.next_calls(1.0)) == 1


def test_a_lost_call_is_looked_at_waits_out_the_lock_is_looked_at_and_called_once_more() -> None:
    scheduler = one(1, limit=60.0, lock=600.0)
    (calling,) = scheduler.next_calls(100.0)
    now = 100.0 + with_grace(60.0)
    assert scheduler.lost(now - 0.1) == [] and scheduler.wake_at(100.0) == now
    assert scheduler.lost(now) == [1]
    scheduler.came_home(1, now, {Failure.UNKNOWN})
    assert scheduler.failed("p", calling.batch.dates, calling, Failure.UNKNOWN, now) == (Fate.LOOK, now)
    assert scheduler.claims_due(now) == {"p": calling.batch.dates}
    assert scheduler.unverified("p", calling.batch.dates, now) == 700.0
    assert scheduler.next_calls(699.0) == [] and scheduler.wake_at(now) == 700.0
    assert scheduler.next_calls(700.0) == []
    assert scheduler.claims_due(700.0) == {"p": calling.batch.dates}, "whoever held the lock may have done it"
    assert not scheduler.retried("p")
    assert scheduler.unverified("p", calling.batch.dates, 700.0) == 700.0
    (second,) = scheduler.next_calls(700.0)
    assert second.attempt == 2 and scheduler.retried("p") == calling.batch.dates


def test_a_date_that_spoils_its_neighbours_is_found() -> None:
    scheduler, bad, calls = one(16, most=16), BASE + 11, 0
    done = 0
    while scheduler.unstarted:
        (calling,) = scheduler.next_calls(0.0)
        calls += 1
        spoiled = bad in calling.batch.dates.numbers()
        scheduler.came_home(calling.batch.number, 0.0, {Failure.PERMANENT} if spoiled else ())
        fate = Fate.FINAL
        if spoiled:
            fate, _ = scheduler.failed("p", calling.batch.dates, calling, Failure.PERMANENT, 0.0)
        if fate is Fate.FINAL:
            scheduler.ended("p", calling.batch.dates, failed=spoiled)
            done += 0 if spoiled else calling.units
    assert (scheduler.failures, done, calls) == (1, 15, 9)


def test_the_first_failure_of_a_canary_stops_the_run_before_the_others_left() -> None:
    scheduler = one(100, concurrency=10, canary=3)
    leaving = scheduler.next_calls(0.0)
    assert [calling.batch.dates.numbers()[0] - BASE for calling in leaving] == [0, 49, 99]
    for calling in leaving[:2]:
        scheduler.came_home(calling.batch.number, 1.0)
        scheduler.ended("p", calling.batch.dates)
    assert scheduler.to_judge() == {}
    scheduler.came_home(leaving[2].batch.number, 1.0, {Failure.PERMANENT})
    scheduler.ended("p", leaving[2].batch.dates, failed=True)
    assert scheduler.stopped is Stop.CANARY and not scheduler.unstarted


@pytest.mark.parametrize(("priority", "first"), [(Priority.OLDEST, ["a", "b", "a"]), (Priority.NEWEST, ["a", "b", "a"])])
def test_dates_leave_in_the_order_that_was_asked_for(priority: Priority, first: list[str]) -> None:
    dates = DateSet.between(BASE, BASE + 4)
    works = [Work(name=name, layer="l", dates=dates) for name in "ab"]
    scheduler = Scheduler(works, {"l": frozenset()}, Terms(concurrency=3, priority=priority))
    for name, ready in scheduler.to_judge().items():
        scheduler.admitted(name, ready)
    leaving = scheduler.next_calls(0.0)
    assert [calling.processor for calling in leaving] == first
    edge = BASE if priority is Priority.OLDEST else BASE + 4
    assert [abs(calling.batch.dates.numbers()[0] - edge) for calling in leaving] == [0, 0, 1]


def test_the_critical_path_goes_first_and_makes_the_run_shorter() -> None:
    """A chain of ten dates beside forty free ones: when the chain waits for its turn, it is what remains at the end."""
    days = list(range(BASE, BASE + 10))
    chain = Work(
        name="chain",
        layer="l",
        dates=DateSet.between(BASE + 100, BASE + 109),
        waits=(Wait.of("chain", [(day + 99, day + 99) for day in days]),),
    )
    free = Work(name="free", layer="l", dates=DateSet.between(BASE, BASE + 39))
    seconds = drawn({"free": (1.0,), "chain": (1.0,)}, 1)
    spans = {
        priority: simulate(
            Scheduler([free, chain], {"l": frozenset()}, Terms(concurrency=5, priority=priority)), seconds
        ).makespan
        for priority in (Priority.OLDEST, Priority.CRITICAL)
    }
    assert spans == {Priority.OLDEST: 18.0, Priority.CRITICAL: 10.0}


def test_processors_that_go_together_share_a_call_a_date() -> None:
    dates = DateSet.between(BASE, BASE + 4)
    works = [Work(name=name, layer="l", dates=dates, together="l four", lanes=(service_lane("s"),)) for name in "abcd"]
    late = replace(works[3], waits=(Wait.of("a", [(day, day) for day in dates.numbers()]),))
    scheduler = Scheduler([*works[:3], late], {"l": frozenset()}, Terms(concurrency=1))
    seen = Counter[tuple[str, ...]]()

    def seconds(calling: Calling) -> float:
        seen[calling.batch.processors] += 1
        assert calling.units == len(calling.batch.processors)
        return 1.0

    ran = simulate(scheduler, seconds)
    assert (ran.units, ran.makespan) == (20, 10.0)
    assert seen == {("a", "b", "c"): 5, ("d",): 5}
    few = Scheduler(works[:3], {"l": frozenset()}, Terms(concurrency=1, max_units=5))
    assert simulate(few, seconds).units == 3 and few.stopped is Stop.UNITS, "a date goes whole"


def test_a_month_is_a_call() -> None:
    scheduler = one(60, most=31, by_month=True, concurrency=9)
    months = [{(day.year, day.month) for day in calling.batch.dates} for calling in scheduler.next_calls(0.0)]
    assert months == [{(2024, 10)}, {(2024, 11)}, {(2024, 12)}]


def test_throttling_holds_for_what_leaves_next() -> None:
    scheduler = one(20, concurrency=5, lanes=(processor_lane("p"), service_lane("s")))
    assert scheduler.lanes == {"p", "s"}
    first = scheduler.next_calls(0.0)
    scheduler.throttle(concurrency=8, caps={"s": 2})
    assert len(first) == 5 and scheduler.next_calls(0.0) == []
    for calling in first[:4]:
        scheduler.came_home(calling.batch.number, 1.0)
        scheduler.ended("p", calling.batch.dates)
    assert len(scheduler.next_calls(1.0)) == 1


def in_order(dates: DateSet) -> list[Work]:
    """Two that need nothing, one that needs the first, one that needs all, and one that needs its own day before too."""
    same = [(day, day) for day in dates.numbers()]
    before = [(day - 1, day - 1) for day in dates.numbers()]
    needs = {"a": "", "b": "", "c": "a", "d": "abc", "e": "d"}
    return [
        Work(
            name=name,
            layer="l",
            dates=dates,
            waits=(*(Wait.of(up, same) for up in ups), *([Wait.of("e", before)] if name == "e" else [])),
            together="l all",
            in_order=True,
            lanes=(service_lane("s"),),
        )
        for name, ups in needs.items()
    ]


def test_in_order_a_call_has_what_needs_only_what_goes_before_it_in_the_call() -> None:
    dates = DateSet.between(BASE, BASE + 3)
    seen: list[tuple[str, ...]] = []

    def seconds(calling: Calling) -> float:
        seen.append(calling.batch.processors)
        return 1.0 * calling.units

    ran = simulate(Scheduler(in_order(dates), {"l": frozenset()}, Terms(concurrency=1)), seconds)
    assert (ran.units, ran.makespan) == (20, 20.0)
    assert seen == [tuple("abcde")] * 4, "one after the other, the day before is there"
    seen.clear()
    simulate(Scheduler(in_order(dates), {"l": frozenset()}, Terms(concurrency=4)), seconds)
    assert sorted(seen) == [tuple("abcd")] * 3 + [tuple("abcde")] + [("e",)] * 3
    few = Scheduler(in_order(dates), {"l": frozenset()}, Terms(concurrency=1, max_units=7))
    assert simulate(few, seconds).units == few.called == 7, "of the second date those go for which there is room"
    assert few.stopped is Stop.UNITS


def test_what_went_behind_a_unit_that_is_called_again_goes_behind_it_again() -> None:
    scheduler = Scheduler(in_order(DateSet.between(BASE, BASE)), {"l": frozenset()}, Terms(concurrency=1))
    advance(scheduler)
    (first,) = scheduler.next_calls(0.0)
    calling, _ = scheduler.came_home(first.batch.number, 1.0, {Failure.TRANSIENT})
    one = calling.batch.dates
    assert scheduler.went_ahead("d", BASE) and not scheduler.went_ahead("a", BASE)
    scheduler.ended("b", one)
    _, again = scheduler.failed("a", one, calling, Failure.TRANSIENT, 1.0)
    assert scheduler.followed() == [], "what needs a is not settled before a is"
    (second,) = scheduler.next_calls(again)
    assert (second.batch.processors, second.attempt, scheduler.called) == (tuple("acde"), 2, 5)
    scheduler.came_home(second.batch.number, 9.0)
    scheduler.ended("a", one)
    assert scheduler.followed() == [("c", BASE)]


def test_a_unit_of_which_nobody_knows_is_not_called_again_before_it_is_looked_at() -> None:
    scheduler = Scheduler(in_order(DateSet.between(BASE, BASE)), {"l": frozenset()}, Terms(concurrency=1))
    advance(scheduler)
    (first,) = scheduler.next_calls(0.0)
    calling, _ = scheduler.came_home(first.batch.number, 1.0, {Failure.TRANSIENT, Failure.UNKNOWN})
    scheduler.ended("b", calling.batch.dates)
    scheduler.stays("c", BASE)
    _, again = scheduler.failed("a", calling.batch.dates, calling, Failure.TRANSIENT, 1.0)
    (second,) = scheduler.next_calls(again)
    assert second.batch.processors == ("a",)
    scheduler.came_home(second.batch.number, 9.0)
    scheduler.ended("a", second.batch.dates)
    assert scheduler.followed() == [("c", BASE)] and scheduler.went_ahead("c", BASE) is False
