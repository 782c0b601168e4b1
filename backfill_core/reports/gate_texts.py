"""Gates and their verdicts as lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet, day_of
from backfill_core.gates import Verdict
from backfill_core.model.processor import Gate, Layer
from backfill_core.plan import Blocked
from backfill_core.reports.words import dates_words, key_words, plural


def gate_words(layer: Layer, gate: Gate) -> str:
    """``l3-games: L3 at least 90 % of games, by date``."""
    return f"{gate.name}: " + _words(layer.short, gate.at_least, gate.key, gate.of, str(gate.per))


def _words(layer: str, share: float, key: str, of: str | None, per: str) -> str:
    judged = {"date": "by date", "stage": "all dates together"}.get(per, f"over {per}")
    return f"{layer} at least {100 * share:.0f} % of {key_words(key)}" + (f" of {of}" if of else "") + f", {judged}"


def _words_of(verdict: Verdict) -> str:
    return _words(verdict.short, verdict.required, verdict.key, verdict.of, verdict.per)


def verdict_line(verdict: Verdict) -> str:
    """One gate's verdict; a closed one with its failing dates, a few of them with their numbers."""
    words = _words_of(verdict)
    blocked = f", {plural(len(verdict.blocked), 'date')} blocked ({dates_words(verdict.blocked)})" if verdict.blocked else ""
    if verdict.passed:
        passed = len(verdict.judged) - len(verdict.blocked)
        return f"gate {verdict.gate} passed: {words}: {plural(passed, 'date')}{blocked}"
    found = _few(verdict) + blocked
    if verdict.overridden:
        return f"gate {verdict.gate} overridden: {words}: {found}. Nothing is withheld: {verdict.overridden}"
    how = "closed" if verdict.measured else "could not be measured, which closes it"
    return (
        f"gate {verdict.gate} {how}: {words}: {found}.{_withheld(verdict)} Look: backfill validate --dates {verdict.failed.first}"
    )


def _few(verdict: Verdict) -> str:
    """What a few of the failing dates hold, or all of them together."""
    numbers = verdict.failed.numbers()
    if verdict.per == "stage":
        return _has(verdict, numbers[0])
    before = "" if verdict.per == "date" else f"{verdict.per} to "
    few = ", ".join(f"{before}{day} {_has(verdict, n)}" for day, n in list(zip(verdict.failed, numbers, strict=True))[:3])
    return few + (f" and {plural(len(numbers) - 3, 'more date')}" if len(numbers) > 3 else "")


def _withheld(verdict: Verdict) -> str:
    whole = " The whole layer is closed." if verdict.closes_layer else ""
    if verdict.withheld is None:
        return whole
    units = sum(len(dates) for dates in verdict.withheld.values())
    if not units:
        return f"{whole} No unit of this run waits for it."
    beyond = any(dates - verdict.failed for dates in verdict.withheld.values())
    where = "" if beyond else (", that date only" if len(verdict.failed) == 1 else ", those dates only")
    return f"{whole} Withheld: {plural(units, 'unit')}{where}."


def full_verdict_lines(verdict: Verdict, blocked: DateSet) -> list[str]:
    """A verdict with every failing date, dates of the same numbers together, and those that hold nothing.

    Those in ``blocked`` are told to be.
    """
    words = _words_of(verdict)
    if verdict.passed:
        return [f"gate {verdict.gate} holds: {words}: {plural(len(verdict.judged), 'date')}"]
    whole = ", which closes the layer" if verdict.closes_layer else ""
    lines = [f"gate {verdict.gate} fails: {words}: {plural(len(verdict.failed), 'date')} of {len(verdict.judged)}{whole}"]
    alike: dict[tuple[str, bool], list[int]] = {}
    for number in verdict.failed.numbers():
        have, want = verdict.counts[number]
        empty = not have and want and number not in verdict.invalid
        alike.setdefault(("" if empty else _has(verdict, number), day_of(number) in blocked), []).append(number)
    for (has, held_up), numbers in alike.items():
        told = (
            has or f"{'has' if verdict.per == 'date' else 'have'} 0 of {_ends([verdict.counts[number][1] for number in numbers])}"
        )
        lines.append(f"  {dates_words(DateSet.from_numbers(numbers), most=8)}: {told}{', blocked' if held_up else ''}")
    return lines


def _ends(counts: list[int]) -> str:
    """``8``, or ``1 to 15`` where they differ."""
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least} to {most}"


def _has(verdict: Verdict, number: int) -> str:
    have, want = verdict.counts[number]
    if number in verdict.invalid and verdict.per == "date":
        return f"is invalid, so that none of {want} count"
    has = "has" if verdict.per == "date" else "have"
    return (
        f"{has} {have} of {want}"
        if want
        else f"{has} nothing to be measured against, for {verdict.of or 'the calendar'} lacks it"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What rows of a processor break, or lack, and on which dates."""

    processor: str
    #: The rule, as it is told; none: the table holds less than it should.
    rule: str | None
    dates: DateSet

    def line(self) -> str:
        if self.rule is None:
            return f"partial: {self.processor}: {dates_words(self.dates)}"
        return f"broken: {self.processor}: {self.rule}: {dates_words(self.dates)}"

    def to_json(self) -> dict[str, Any]:
        return {"processor": self.processor, "rule": self.rule, "dates": self.dates.to_json()}


def validation_json(
    coverage: Coverage, verdicts: Iterable[Verdict], broken: Iterable[Broken], blocked: Iterable[Blocked]
) -> dict[str, Any]:
    """The stable shape of what was judged."""
    gates, bad = [verdict.to_json() for verdict in verdicts], [each.to_json() for each in broken]
    return {
        "schema": 1,
        "span": [str(coverage.span.first), str(coverage.span.last)],
        "holds": not bad and all(gate["passed"] for gate in gates),
        "gates": gates,
        "broken": bad,
        "blocked": [each.to_json() for each in blocked],
    }


def broken(coverage: Coverage, processors: Iterable[str], dates: DateSet) -> list[Broken]:
    """Each rule and expectation that rows break, and each processor that holds less than it should."""
    found = []
    for name in processors:
        covered = coverage.processors[name]
        judged = covered.expected & dates - covered.states[State.PENDING]
        for rule, days in covered.findings.broken.items():
            found.append(Broken(processor=name, rule=rule, dates=days & judged))
        found.append(Broken(processor=name, rule=None, dates=covered.states[State.PARTIAL] & dates))
    return [each for each in found if each.dates]


def unfilled_lines(coverage: Coverage, processors: Iterable[str], dates: DateSet) -> list[str]:
    """That some dates hold no rows, of which no rule says anything."""
    lacking = {name: coverage.processors[name].states[State.MISSING] & dates for name in processors}
    counts = [len(days) for days in lacking.values() if days]
    told = f"missing: {plural(sum(counts), 'date')} of {plural(len(counts), 'processor')} with no row that a rule could judge"
    return [told] if counts else []
