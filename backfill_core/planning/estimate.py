"""How long a plan may take, before it starts: many simulations of the very scheduler that carries it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from random import Random
from statistics import fmean, quantiles
from typing import Any

from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.runs import Called
from backfill_core.plan import Plan
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.simulate import drawn, simulate
from backfill_core.scheduling.terms import Terms
from backfill_core.scheduling.work import layers_before, plan_work

#: Simulations at most and at least; between them, as many as come to so many units, for a plan is waited for.
MOST_RUNS = 20
LEAST_RUNS = 3
_UNITS = 10_000
#: Samples a processor that one simulation draws from.
_SAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a plan may take when everything in it succeeds, and what that rests on. Times are seconds."""

    concurrency: int
    #: Half of the simulations took no longer; nine in ten took no longer.
    p50: float
    p90: float
    #: How long it would take with no limit on calls in flight, and the processors on that way.
    critical: float
    chain: tuple[str, ...]
    #: Calls by processor.
    calls: Mapping[str, int]
    #: Units in the journal that durations were taken from.
    measured: int
    #: Planned processors that go by what their spec declares, and those of which nothing is known: they count as no time.
    declared: tuple[str, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "concurrency": self.concurrency,
            "p50": round(self.p50, 3),
            "p90": round(self.p90, 3),
            "critical_path": {"seconds": round(self.critical, 3), "processors": list(self.chain)},
            "calls": dict(self.calls),
            "measured_units": self.measured,
            "declared": list(self.declared),
            "unknown": list(self.unknown),
        }


def estimate(
    pipeline: Pipeline,
    plan: Plan,
    calendars: Mapping[str, CalendarDays],
    measured: Mapping[str, Sequence[float]],
    *,
    terms: Terms,
) -> Estimate | None:
    """The estimate of a plan, or None where nothing is known of any processor in it.

    ``measured`` has seconds a unit by processor. The same arguments give the same estimate. Budgets in ``terms`` are left out:
    it says how long all of it takes.
    """
    names = list(plan.planned())
    samples = {name: measured[name] for name in names if measured.get(name)}
    seen = sum(map(len, samples.values()))
    declared = {name: (seconds,) for name in names if name not in samples and (seconds := _declared(pipeline, name)) is not None}
    samples |= declared
    if not samples:
        return None
    means = {name: fmean(seconds) for name, seconds in samples.items()}
    works = plan_work(pipeline, plan, calendars, pipelined=terms.pipelined, seconds=means)
    layers, whole = layers_before(pipeline, plan), replace(terms, max_units=None, stop_at=None, max_failures=None)
    runs = max(LEAST_RUNS, min(MOST_RUNS, _UNITS // plan.units))
    ran = [simulate(Scheduler(works, layers, whole), drawn(_resampled(samples, seed), seed)) for seed in range(runs)]
    unbound = Terms(concurrency=plan.units, pipelined=terms.pipelined)
    free = simulate(Scheduler(works, layers, unbound), drawn({name: (mean,) for name, mean in means.items()}, 0))
    deciles = quantiles([one.makespan for one in ran], n=10, method="inclusive")
    return Estimate(
        concurrency=terms.concurrency,
        p50=deciles[4],
        p90=deciles[8],
        critical=free.makespan,
        chain=tuple(name for name, _ in groupby(name for name in free.chain if name in samples)),
        calls={name: ran[-1].calls[name] for name in names},
        measured=seen,
        declared=tuple(declared),
        unknown=tuple(name for name in names if name not in samples),
    )


def _declared(pipeline: Pipeline, name: str) -> float | None:
    spec = pipeline.processors[name].spec_for(pipeline.runtime)
    return spec.seconds if isinstance(spec, Called) else None


def _resampled(samples: Mapping[str, Sequence[float]], seed: int) -> dict[str, list[float]]:
    """As many samples drawn again from those there are: what rests on few of them varies more from one run to the next."""
    random = Random(seed)
    return {name: random.choices(seen, k=min(len(seen), _SAMPLES)) for name, seen in samples.items()}
