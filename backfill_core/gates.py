"""Gates: whether a layer is good enough for the layers after it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.model.processor import Gate, Layer
from backfill_core.model.windows import Days
from backfill_core.planning.need_met import reaches

#: (keys that are there, keys wanted).
Tally = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate measured, what it requires, and the dates that fell below."""

    gate: str
    layer: str
    #: What the layer is called in a sentence.
    short: str
    measure: str
    key: str
    #: Processor whose keys are the denominator; None: the calendar.
    of: str | None
    #: Share of keys that must be there.
    required: float
    #: What is judged, in a word: the date, the stage, or a window of so many days.
    per: str = "date"
    judged: DateSet
    failed: DateSet
    #: Dates whose measured unit was blocked when planned: listed, neither closed nor counted.
    blocked: DateSet
    #: Failed dates whose rows break a rule: none of their keys count.
    invalid: frozenset[int] = frozenset()
    #: (there, wanted) of what was judged of each failed and blocked date, by day number.
    counts: Mapping[int, Tally]
    #: Whether the failures close the whole layer, not only their dates.
    closes_layer: bool
    #: Planned units that the closed dates hold up, by processor; None where no plan is being carried out.
    withheld: Mapping[str, DateSet] | None = None
    #: Why somebody let it pass although it fails; empty: nobody did.
    overridden: str = ""

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def closed(self) -> bool:
        """Whether it keeps anything from going on."""
        return bool(self.failed) and not self.overridden

    @property
    def measured(self) -> bool:
        """Whether there was something to measure a failed date against; where nothing failed there was."""
        return not self.failed or any(self.counts[day][1] for day in self.failed.numbers())

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "layer": self.layer,
            "short": self.short,
            "measure": self.measure,
            "key": self.key,
            "of": self.of,
            "required": self.required,
            "per": self.per,
            "judged": self.judged.to_json(),
            "failed": self.failed.to_json(),
            "blocked": self.blocked.to_json(),
            "invalid": sorted(self.invalid),
            "counts": {str(day): list(count) for day, count in sorted(self.counts.items())},
            "closes_layer": self.closes_layer,
            "withheld": None if self.withheld is None else {name: days.to_json() for name, days in self.withheld.items()},
            "overridden": self.overridden,
            "passed": self.passed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(
            gate=data["gate"],
            layer=data["layer"],
            short=data["short"],
            measure=data["measure"],
            key=data["key"],
            of=data["of"],
            required=data["required"],
            per=data.get("per", "date"),
            judged=DateSet.from_json(data["judged"]),
            failed=DateSet.from_json(data["failed"]),
            blocked=DateSet.from_json(data["blocked"]),
            invalid=frozenset(data["invalid"]),
            counts={int(day): (have, want) for day, (have, want) in data["counts"].items()},
            closes_layer=data["closes_layer"],
            withheld=None
            if data["withheld"] is None
            else {name: DateSet.from_json(days) for name, days in data["withheld"].items()},
            overridden=data.get("overridden", ""),
        )


def judge_gate(
    gate: Gate,
    layer: Layer,
    coverage: Coverage,
    dates: DateSet,
    blocked: DateSet,
    hoped: DateSet = DateSet(),  # noqa: B008  (immutable)
) -> Verdict:
    """Judges a gate over the expected ones of ``dates``.

    A date counts the calendar's keys (or those that ``of`` holds, which must be complete there) that the measured table
    holds; none where the date is invalid. A date in ``blocked`` is listed and neither closed nor counted;
    one in ``hoped`` is taken to pass.
    """
    covered = coverage.processors[gate.measure]
    judged = covered.expected & dates
    broken = frozenset((covered.states[State.INVALID] & judged).numbers())
    own = _tallies(gate, coverage, judged, broken)
    sums = _summed(gate, own, blocked, hoped)
    counts = {day: sums[day] for day in own if not reaches(sums[day][0], sums[day][1], gate.at_least)}
    counts |= {day: tally for day, tally in own.items() if not tally[1]}  # whatever the dates around it hold
    below = DateSet.from_numbers(counts) - (hoped if gate.per == "date" else DateSet())
    closed, counted = below - blocked, judged - (below & blocked)
    passing = len(counted - closed)
    whole = gate.per == "stage" and bool(closed)
    closes = whole or (len(closed) >= gate.closes_from and not reaches(passing, len(counted), gate.closes_below))
    return Verdict(
        gate=gate.name,
        layer=layer.name,
        short=layer.short,
        measure=gate.measure,
        key=gate.key if gate.of else coverage.counted(gate.measure, gate.key),
        of=gate.of,
        required=gate.at_least,
        per=str(gate.per),
        judged=judged,
        failed=closed,
        blocked=below & blocked,
        invalid=broken.intersection(counts),
        counts=counts,
        closes_layer=closes,
    )


def _tallies(gate: Gate, coverage: Coverage, judged: DateSet, broken: frozenset[int]) -> dict[int, Tally]:
    """What each date holds by itself, by day number, ascending; a date of a calendar without keys is itself what is counted."""
    days = judged.numbers()
    wanted = _wanted(gate, coverage, judged)
    if wanted is None:
        rows = coverage.processors[gate.measure].facts.rows
        return {day: (int(day in rows and day not in broken), 1) for day in days}
    held = coverage.processors[gate.measure].facts.keys.get(gate.key, {})
    return {day: (0 if day in broken else len(wanted[day].intersection(held.get(day, ()))), len(wanted[day])) for day in days}


def _wanted(gate: Gate, coverage: Coverage, judged: DateSet) -> Mapping[int, frozenset[str]] | None:
    """The keys each date is measured against: the calendar's, None where it has none, or those that ``of`` holds.

    None of these where ``of`` is not complete; only those that the calendar knows, where it has keys.
    """
    known = coverage.calendar(gate.measure).keys
    if gate.of is None:
        return {day: known.get(day, frozenset()) for day in judged.numbers()} if known else None
    other = coverage.processors[gate.of]
    sound, held = set(other.good.numbers()), other.facts.keys.get(gate.key, {})
    found = {day: frozenset(held.get(day, ()) if day in sound else ()) for day in judged.numbers()}
    return {day: keys & known.get(day, frozenset()) for day, keys in found.items()} if known else found


def _summed(gate: Gate, own: Mapping[int, Tally], blocked: DateSet, hoped: DateSet) -> Mapping[int, Tally]:
    """What is judged of each date: its own tally, or the sum over its window or the stage, without blocked dates."""
    if gate.per == "date":
        return own
    alone, full = set(blocked.numbers()), set(hoped.numbers())
    days = [day for day in own if day not in alone]
    wants = [own[day][1] for day in days]
    haves = [want if day in full else own[day][0] for day, want in zip(days, wants, strict=True)]
    have, want = [0, *accumulate(haves)], [0, *accumulate(wants)]
    found = dict(own)
    for day in days:
        last = bisect_right(days, day) if isinstance(gate.per, Days) else len(days)
        first = bisect_left(days, day - gate.per.count + 1) if isinstance(gate.per, Days) else 0
        found[day] = (have[last] - have[first], want[last] - want[first])
    return found


def judge_gates(pipeline: Pipeline, coverage: Coverage, layers: Collection[str], dates: DateSet) -> list[Verdict]:
    """Every gate of those layers, judged on what the tables hold."""
    return [
        judge_gate(gate, layer, coverage, dates, DateSet())
        for layer in pipeline.layers
        if layer.name in layers
        for gate in layer.gates
    ]
