"""A run that takes no time: the scheduler under a simulated clock, with durations drawn from what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from backfill_core.scheduling.calling import Calling
from backfill_core.scheduling.lanes import NEVER
from backfill_core.scheduling.scheduler import Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """How a simulated run went. Everything in it succeeds."""

    #: Seconds from the first call's start to the last one's end.
    makespan: float
    units: int
    #: Calls by processor.
    calls: Mapping[str, int]
    #: Processors of the calls that led to the last one, first to last: each started when the one before it ended.
    chain: tuple[str, ...]


def drawn(samples: Mapping[str, Sequence[float]], seed: int) -> Callable[[Calling], float]:
    """Durations of calls: for each of its processors seconds a unit, drawn from its samples (none where there are none), times
    its dates.

    One draw a call: what makes a unit slow makes its whole call slow.
    """
    random = Random(seed).random

    def seconds(calling: Calling) -> float:
        drawn = random()
        seen = [of for name in calling.batch.processors if (of := samples.get(name))]
        return sum(of[int(drawn * len(of))] for of in seen) * len(calling.batch.dates)

    return seconds


def simulate(scheduler: Scheduler, seconds: Callable[[Calling], float]) -> Simulation:
    """Runs a scheduler to its end. ``seconds`` says how long a call takes; what it says is asked in the order of leaving."""
    now, units, last = 0.0, 0, 0
    calls: dict[str, int] = {}
    #: By number of a call: its processor, and the call whose end let it start.
    led: dict[int, tuple[str, int]] = {}
    home: list[tuple[float, int]] = []
    while True:
        advance(scheduler)
        for calling in scheduler.next_calls(now):
            for name in calling.batch.processors:
                calls[name] = calls.get(name, 0) + 1
            led[calling.batch.number] = (calling.processor, last)
            heappush(home, (now + seconds(calling), calling.batch.number))
        wake = scheduler.wake_at(now)
        if home and home[0][0] <= wake:
            now, last = heappop(home)
            calling, _ = scheduler.came_home(last, now)
            units += calling.units
            for name in calling.batch.processors:
                scheduler.ended(name, calling.batch.dates)
            scheduler.followed()  # they have ended as well
        elif wake < NEVER:
            now = max(now, wake)
        else:
            break
    chain = []
    while last:
        name, last = led[last]
        chain.append(name)
    return Simulation(makespan=now, units=units, calls=calls, chain=tuple(reversed(chain)))


def advance(scheduler: Scheduler) -> None:
    """Lets every unit run whose upstream has ended, and every gate pass."""
    while True:
        chosen, gates, layers = scheduler.to_judge(), scheduler.gates_due(), scheduler.layers_due()
        for name, dates in chosen.items():
            scheduler.admitted(name, dates)
        for name, dates in scheduler.to_judge_ahead().items():
            scheduler.may_follow(name, dates)
        for name, dates in gates.items():
            scheduler.ended(name, dates)
        for layer in layers:
            scheduler.judged(layer)
        if not chosen and not gates and not layers:
            return
