"""Gates: whether a layer is good enough for the layers after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.model.processor import Gate, Layer
from backfill_core.planning.need_met import reaches


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
    #: Share of keys that each date must hold.
    required: float
    judged: DateSet
    failed: DateSet
    #: Dates whose measured unit was blocked when planned: listed, neither closed nor counted.
    blocked: DateSet
    #: Failed dates whose rows break a rule: none of their keys count.
    invalid: frozenset[int] = frozenset()
    #: (there, wanted) of each failed and blocked date, by day number.
    counts: Mapping[int, tuple[int, int]]
    #: Whether the failures close the whole layer, not only their dates.
    closes_layer: bool
    #: Planned units that the closed dates hold up, by processor; None where no plan is being carried out.
    withheld: Mapping[str, DateSet] | None = None

    @property
    def passed(self) -> bool:
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "layer": self.layer,
            "short": self.short,
            "measure": self.measure,
            "key": self.key,
            "of": self.of,
            "required": self.required,
            "judged": self.judged.to_json(),
            "failed": self.failed.to_json(),
            "blocked": self.blocked.to_json(),
            "invalid": sorted(self.invalid),
            "counts": {str(day): list(count) for day, count in sorted(self.counts.items())},
            "closes_layer": self.closes_layer,
            "withheld": None if self.withheld is None else {name: days.to_json() for name, days in self.withheld.items()},
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
            judged=DateSet.from_json(data["judged"]),
            failed=DateSet.from_json(data["failed"]),
            blocked=DateSet.from_json(data["blocked"]),
            invalid=frozenset(data["invalid"]),
            counts={int(day): (have, want) for day, (have, want) in data["counts"].items()},
            closes_layer=data["closes_layer"],
            withheld=None
            if data["withheld"] is None
            else {name: DateSet.from_json(days) for name, days in data["withheld"].items()},
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
    there = coverage.keys_by_day(gate.measure, gate.key, judged)
    wanted = _wanted(gate, coverage, judged)
    invalid = covered.states[State.INVALID]
    broken = set((invalid & judged).numbers())
    counts, failed = {}, []
    for day in judged.numbers():
        have, want = (0 if day in broken else len(there[day] & wanted[day])), len(wanted[day])
        if want == 0 or not reaches(have, want, gate.at_least):
            counts[day] = (have, want)
            failed.append(day)
    below = DateSet.from_numbers(failed) - hoped
    closed, counted = below - blocked, judged - (below & blocked)
    passing = len(counted - closed)
    closes = len(closed) >= gate.closes_from and not reaches(passing, len(counted), gate.closes_below)
    return Verdict(
        gate=gate.name,
        layer=layer.name,
        short=layer.short,
        measure=gate.measure,
        key=gate.key,
        of=gate.of,
        required=gate.at_least,
        judged=judged,
        failed=closed,
        blocked=below & blocked,
        invalid=frozenset(broken.intersection(failed)),
        counts=counts,
        closes_layer=closes,
    )


def _wanted(gate: Gate, coverage: Coverage, judged: DateSet) -> dict[int, frozenset[str]]:
    """The keys each date is measured against; none where the table they come from is not complete there."""
    keys = coverage.calendars[coverage.calendar_of[gate.measure]].keys
    if gate.of is None:
        return {day: keys.get(day, frozenset()) for day in judged.numbers()}
    sound = coverage.processors[gate.of].good
    held = coverage.keys_by_day(gate.of, gate.key, judged & sound)
    return {day: held.get(day, frozenset()) for day in judged.numbers()}


def judge_gates(pipeline: Pipeline, coverage: Coverage, layers: Collection[str], dates: DateSet) -> list[Verdict]:
    """Every gate of those layers, judged on what the tables hold."""
    return [
        judge_gate(gate, layer, coverage, dates, DateSet())
        for layer in pipeline.layers
        if layer.name in layers
        for gate in layer.gates
    ]
