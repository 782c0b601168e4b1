"""Gates: whether a layer is good enough for the layers after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.model.processor import Gate
from backfill_core.planning.need_met import reaches


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate measured, what it requires, and the dates that fell below."""

    gate: str
    layer: str
    measure: str
    key: str
    #: Share of keys that each date must hold.
    required: float
    judged: DateSet
    failed: DateSet
    #: Dates whose measured unit was blocked when planned: listed, neither closed nor counted.
    blocked: DateSet
    #: (there, wanted) of each failed and blocked date, by day number.
    counts: Mapping[int, tuple[int, int]]
    #: Whether the failures close the whole layer, not only their dates.
    closes_layer: bool

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def sentence(self) -> str:
        """The gate's rule, as people say it."""
        return f"{self.layer} at least {self.required:.0%} of {self.key} ({self.measure}), by date".replace("%", " %")

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "layer": self.layer,
            "measure": self.measure,
            "key": self.key,
            "required": self.required,
            "judged": self.judged.to_json(),
            "failed": self.failed.to_json(),
            "blocked": self.blocked.to_json(),
            "counts": {str(day): list(count) for day, count in sorted(self.counts.items())},
            "closes_layer": self.closes_layer,
            "passed": self.passed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(
            gate=data["gate"],
            layer=data["layer"],
            measure=data["measure"],
            key=data["key"],
            required=data["required"],
            judged=DateSet.from_json(data["judged"]),
            failed=DateSet.from_json(data["failed"]),
            blocked=DateSet.from_json(data["blocked"]),
            counts={int(day): (have, want) for day, (have, want) in data["counts"].items()},
            closes_layer=data["closes_layer"],
        )


def judge_gate(gate: Gate, layer: str, coverage: Coverage, dates: DateSet, blocked: DateSet) -> Verdict:
    """Judges a gate over the expected ones of ``dates``.

    A date counts the calendar's keys (or those that ``of`` holds, which must be complete there) that the measured table
    holds; none where the date is invalid. A date in ``blocked`` is listed and neither closed nor counted.
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
    below = DateSet.from_numbers(failed)
    closed, counted = below - blocked, judged - (below & blocked)
    passing = len(counted - closed)
    closes = len(closed) >= gate.closes_from and not reaches(passing, len(counted), gate.closes_below)
    return Verdict(
        gate=gate.name,
        layer=layer,
        measure=gate.measure,
        key=gate.key,
        required=gate.at_least,
        judged=judged,
        failed=closed,
        blocked=below & blocked,
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
