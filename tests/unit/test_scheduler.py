"""The scheduler under a simulated clock, against a check that goes unit by unit through plain sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from backfill_core.dates import DateSet, day_number
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.windows import SAME_DATE, SEASON_TO_DATE, CalendarDates, Days, Window
from backfill_core.planning.windows import WindowMap
from backfill_core.scheduling.batches import date_runs
from backfill_core.scheduling.calling import Calling
from backfill_core.scheduling.claims import CLAIMS_PACE, CLAIMS_TOGETHER, CLAIMS_WAIT
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.simulate import drawn, simulate
from backfill_core.scheduling.terms import Terms
from backfill_core.scheduling.work import Wait, Work

BASE = day_number(date(2024, 10, 22))
LAST = BASE + 30
DAYS = st.sets(st.integers(BASE, LAST), max_size=20)
EVERY = CalendarDays(name="c", expected=DateSet.between(BASE, LAST))
WINDOWS: st.SearchStrategy[Window] = st.one_of(
    st.just(SAME_DATE), st.just(SEASON_TO_DATE), st.integers(1, 9).map(Days), st.integers(1, 5).map(CalendarDates)
)
Unit = tuple[str, int]


@dataclass(frozen=True)
class Case:
    """A small plan: what to do, in which layers, and what each unit waits for, listed one by one."""

    works: list[Work]
    layers: dict[str, frozenset[str]]
    needs: dict[Unit, set[Unit]]
    concurrency: int
    caps: dict[str, int]

    def scheduler(self) -> Scheduler:
        return Scheduler(self.works, self.layers, Terms(concurrency=self.concurrency, caps=self.caps))

    @property
    def units(self) -> set[Unit]:
        return {(work.name, day) for work in self.works for day in work.dates.numbers()}

    @property
    def layer_of(self) -> dict[str, str]:
        return {work.name: work.layer for work in self.works}


def bound(day: int, window: Window) -> tuple[int, int]:
    return WindowMap(window=window, consumer=EVERY, upstream=EVERY).bounds([day])[0]


@st.composite
def cases(draw: st.DrawFn, *, alike: bool = False) -> Case:
    """Up to nine processors in up to three layers, each reading earlier ones, and perhaps its own earlier dates.

    ``alike``: all have the same dates, and read others on the same date alone.
    """
    every, windows = draw(DAYS), st.just(SAME_DATE) if alike else WINDOWS
    layers: dict[str, frozenset[str]] = {}
    for place in range(draw(st.integers(1, 3))):
        layers[f"l{place}"] = frozenset(before for before in layers if draw(st.booleans()))
    layers = {name: before.union(*(layers[each] for each in before)) for name, before in layers.items()}
    works: list[Work] = []
    needs: dict[Unit, set[Unit]] = {}
    for layer, before in layers.items():
        for _ in range(draw(st.integers(0, 3))):
            name, dates = f"p{len(works)}", every if alike else draw(DAYS)
            readable = [work for work in works if work.layer in {layer, *before}]
            edges = [(work.name, work.dates, draw(windows)) for work in readable if draw(st.booleans())]
            if not alike and draw(st.booleans()):
                edges.append((name, DateSet.from_numbers(sorted(dates)), draw(st.integers(1, 4).map(Days))))
            for day in dates:
                spans = [(up, held, bound(day, window)) for up, held, window in edges]
                needs[name, day] = {(up, d) for up, held, (lo, hi) in spans for d in held.numbers() if lo <= d <= hi}
            works.append(
                Work(
                    name=name,
                    layer=layer,
                    dates=DateSet.from_numbers(sorted(dates)),
                    waits=tuple(Wait.of(up, [bound(day, window) for day in sorted(dates)]) for up, _, window in edges),
                    most=1 if any(up == name for up, *_ in edges) else draw(st.integers(1, 5)),
                    lanes=(name, draw(st.sampled_from(["x", "y"]))),
                )
            )
    caps = draw(st.dictionaries(st.sampled_from(["x", "y", "p0", "p1"]), st.integers(1, 3)))
    return Case(works=works, layers=layers, needs=needs, concurrency=draw(st.integers(1, 5)), caps=caps)


@dataclass
class Run:
    """A run that ends units in many ways, and checks at each step what the scheduler may do."""

    case: Case
    random: Random
    now: float = 0.0
    words: dict[Unit, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    turn: list[Unit] = field(default_factory=list)

    def go(self) -> None:
        scheduler = self.case.scheduler()
        tried: Counter[Unit] = Counter()
        for _ in range(100_000):
            self.claims(scheduler)
            self.advance(scheduler)
            for calling in scheduler.next_calls(self.now):
                self.left(scheduler, calling)
                for day in calling.batch.dates.numbers():
                    tried[calling.processor, day] += 1
                    assert tried[calling.processor, day] == calling.attempt
            if not scheduler.in_flight and not scheduler.claims:
                break
            self.now += self.random.random() * 20
            if scheduler.in_flight and self.random.random() < 0.8:
                self.home(scheduler, self.random.choice(sorted(scheduler.in_flight)))
        assert not scheduler.unstarted
        assert self.words.keys() == self.case.units
        assert set(scheduler.layers_due()) == set()

    def end(self, scheduler: Scheduler, name: str, days: list[int], word: str) -> None:
        for day in days:
            assert (name, day) not in self.words, "a unit ends once"
            self.words[name, day] = word
        scheduler.ended(name, DateSet.from_numbers(days))

    def advance(self, scheduler: Scheduler) -> None:
        while True:
            layers = scheduler.layers_due()
            for layer in layers:
                finished = {name for name, of in self.case.layer_of.items() if of in {layer, *self.case.layers[layer]}}
                assert {unit for unit in self.case.units if unit[0] in finished} <= self.words.keys()
                self.told.append(layer)
                scheduler.judged(layer)
            chosen = scheduler.to_judge()
            for name, dates in chosen.items():
                self.judge(scheduler, name, dates.numbers())
            if not layers and not chosen:
                return

    def judge(self, scheduler: Scheduler, name: str, days: list[int]) -> None:
        before = self.case.layers[self.case.layer_of[name]]
        for day in days:
            assert self.case.needs[name, day] <= self.words.keys(), "never before a need"
            assert before <= set(self.told), "never before a gate"
            self.turn.append((name, day))
        blocked = [day for day in days if self.random.random() < 0.2]
        if blocked:
            self.end(scheduler, name, blocked, "blocked")
        if len(blocked) < len(days):
            scheduler.admitted(name, DateSet.from_numbers(days) - DateSet.from_numbers(blocked))

    def left(self, scheduler: Scheduler, calling: Calling) -> None:
        work = next(work for work in self.case.works if work.name == calling.processor)
        self.told.append(f"{calling.processor} {calling.batch.dates.to_json()} {calling.attempt}")
        assert 1 <= calling.units == len(calling.batch.dates) <= work.most
        assert len(scheduler.in_flight) <= self.case.concurrency
        lanes = {each.name: each.lanes for each in self.case.works}
        busy = Counter(lane for other in scheduler.in_flight.values() for lane in lanes[other.processor])
        assert all(busy[lane] <= cap for lane, cap in self.case.caps.items()), "never over a cap"

    def home(self, scheduler: Scheduler, number: int) -> None:
        calling, _ = scheduler.came_home(number, self.now)
        days = calling.batch.dates.numbers()
        failed = [day for day in days if self.random.random() < 0.2]
        claimed = [day for day in days if day not in failed and self.random.random() < 0.3]
        self.end(scheduler, calling.processor, failed, "failed")
        self.end(scheduler, calling.processor, [day for day in days if day not in (*failed, *claimed)], "done")
        if claimed:
            scheduler.claimed(calling.processor, DateSet.from_numbers(claimed), self.now)

    def claims(self, scheduler: Scheduler) -> None:
        for name, dates in scheduler.claims_due(self.now).items():
            last = scheduler.retried(name)
            again = DateSet.from_numbers([day for day in (dates - last).numbers() if self.random.random() < 0.3])
            self.end(scheduler, name, (dates - again).numbers(), "done")
            if again:
                scheduler.unverified(name, again, self.now)


@settings(deadline=None, max_examples=300)
@given(case=cases(), seed=st.integers(0, 2**20))
def test_every_unit_ends_once_after_what_it_needs_and_under_every_cap(case: Case, seed: int) -> None:
    run = Run(case, Random(seed))
    run.go()
    assert sorted(run.turn) == sorted(case.units), "each unit is judged once"
    again = Run(case, Random(seed))
    again.go()
    assert again.told == run.told


@settings(deadline=None, max_examples=200)
@given(case=cases(), seed=st.integers(0, 2**20))
def test_nothing_that_may_start_waits(case: Case, seed: int) -> None:
    """After each end, exactly those units are up whose needs have all ended and whose layer is open."""
    scheduler, random = case.scheduler(), Random(seed)
    ended: set[Unit] = set()
    up: set[Unit] = set()
    judged: set[str] = set()
    while ended != case.units:
        due = {
            layer
            for layer, before in case.layers.items()
            if before <= judged and all(u in ended for u in case.units if case.layer_of[u[0]] == layer)
        }
        assert set(scheduler.layers_due()) == due - judged
        for layer in sorted(due - judged):
            scheduler.judged(layer)
            judged.add(layer)
        fresh = {(name, day) for name, dates in scheduler.to_judge().items() for day in dates.numbers()}
        assert not fresh & up
        up |= fresh
        if not due - judged:
            may = {unit for unit in case.units if case.needs[unit] <= ended and case.layers[case.layer_of[unit[0]]] <= judged}
            assert up == may
        open_units = sorted(up - ended)
        if open_units:
            name, day = random.choice(open_units)
            scheduler.ended(name, DateSet.from_numbers([day]))
            ended.add((name, day))


@settings(deadline=None, max_examples=100)
@given(case=cases(), seed=st.integers(0, 2**20))
def test_a_simulation_runs_every_unit_as_fast_as_its_caps_and_needs_allow(case: Case, seed: int) -> None:
    samples = {work.name: [1.0, 2.0, 4.0] for work in case.works}
    ran = simulate(case.scheduler(), drawn(samples, seed))
    assert ran == simulate(case.scheduler(), drawn(samples, seed))
    assert ran.units == len(case.units)
    assert ran.makespan <= 4.0 * len(case.units)
    assert ran.makespan * case.concurrency >= 1.0 * len(case.units)
    alone = simulate(Scheduler(case.works, case.layers, Terms(concurrency=1)), lambda calling: float(calling.units))
    assert alone.makespan == len(case.units)
    free = simulate(Scheduler(case.works, case.layers, Terms(concurrency=10_000)), lambda _: 1.0)
    assert free.makespan == len(free.chain) == longest_chain(case)


def longest_chain(case: Case) -> int:
    """Units in the longest row of which each waits for the one before it, gates among the reasons to wait."""
    depth: dict[Unit, int] = {}
    for work in case.works:
        earlier = [u for u in case.units if case.layer_of[u[0]] in case.layers[work.layer]]
        floor = max((depth[unit] for unit in earlier), default=0)
        for day in work.dates.numbers():
            unit = (work.name, day)
            depth[unit] = 1 + max((floor, *(depth[need] for need in case.needs[unit])))
    return max(depth.values(), default=0)


def test_claims_are_looked_at_together_at_a_pace_or_when_nothing_else_can_start() -> None:
    dates = DateSet.between(BASE, BASE + 2 * CLAIMS_TOGETHER)
    scheduler = Scheduler([Work(name="p", layer="l", dates=dates)], {"l": frozenset()}, Terms(concurrency=1))
    for name, ready in scheduler.to_judge().items():
        scheduler.admitted(name, ready)

    def claim(count: int, now: float) -> dict[str, int]:
        for _ in range(count):
            (calling,) = scheduler.next_calls(now)
            scheduler.came_home(calling.batch.number, now)
            scheduler.claimed("p", calling.batch.dates, now)
        return {name: len(found) for name, found in scheduler.claims_due(now).items()}

    assert claim(1, 100.0) == {}
    assert claim(0, 100.0 + CLAIMS_WAIT - 1) == {}
    assert claim(0, 100.0 + CLAIMS_WAIT) == {"p": 1}
    assert claim(CLAIMS_TOGETHER, 100.0 + CLAIMS_WAIT + CLAIMS_PACE - 1) == {}
    assert claim(0, 100.0 + CLAIMS_WAIT + CLAIMS_PACE) == {"p": CLAIMS_TOGETHER}
    assert claim(CLAIMS_TOGETHER, 200.0) == {"p": CLAIMS_TOGETHER}, "nothing else is left to start"
    assert not scheduler.claims


@settings(deadline=None, max_examples=200)
@given(days=DAYS, more=DAYS, most=st.integers(1, 7), share=st.integers(1, 5), by_month=st.booleans())
def test_a_call_that_is_told_its_ends_leaves_no_day_of_the_calendar_out(
    days: set[int], more: set[int], most: int, share: int, by_month: bool
) -> None:
    along = sorted(days | more)
    runs = date_runs(sorted(days), most, share=share, by_month=by_month, along=along)
    assert [day for run in runs for day in run] == sorted(days)
    assert all(run == [day for day in along if run[0] <= day <= run[-1]] for run in runs)
    assert max(map(len, runs), default=0) <= most


@settings(deadline=None, max_examples=200)
@given(days=DAYS, most=st.integers(1, 7), share=st.integers(1, 5))
def test_calls_take_the_dates_in_order_and_are_spread_over_the_places(days: set[int], most: int, share: int) -> None:
    runs = date_runs(sorted(days), most, share=share)
    assert [day for run in runs for day in run] == sorted(days)
    assert all(len(run) <= most and len(run) <= -(-len(days) // share) for run in runs)
