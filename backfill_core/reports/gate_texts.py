"""Gates and their verdicts as lines of text."""

from __future__ import annotations

from collections.abc import Iterable

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.gates import Verdict
from backfill_core.model.processor import Gate, Layer
from backfill_core.reports.words import dates_words, key_words, plural


def gate_words(layer: Layer, gate: Gate) -> str:
    """``L3 at least 90 % of games``."""
    return _words(layer.short, gate.at_least, gate.key, gate.of)


def _words(layer: str, share: float, key: str, of: str | None) -> str:
    return f"{layer} at least {100 * share:.0f} % of {key_words(key)}" + (f" of {of}" if of else "")


def verdict_line(verdict: Verdict) -> str:
    """One gate's verdict; a closed one with its failing dates, a few of them with their numbers."""
    words = _words(verdict.short, verdict.required, verdict.key, verdict.of)
    blocked = f", {plural(len(verdict.blocked), 'date')} blocked ({dates_words(verdict.blocked)})" if verdict.blocked else ""
    if verdict.passed:
        passed = len(verdict.judged) - len(verdict.blocked)
        return f"gate passed: {words}, by date: {plural(passed, 'date')}{blocked}"
    few = ", ".join(
        f"{day} is invalid" if n in verdict.invalid else f"{day} has {verdict.counts[n][0]} of {verdict.counts[n][1]}"
        for day, n in list(zip(verdict.failed, verdict.failed.numbers(), strict=True))[:3]
    )
    more = f" and {plural(len(verdict.failed) - 3, 'more date')}" if len(verdict.failed) > 3 else ""
    return (
        f"gate closed: {words}: {few}{more}{blocked}.{_withheld(verdict)} Look: backfill validate --dates {verdict.failed.first}"
    )


def _withheld(verdict: Verdict) -> str:
    whole = " The whole layer is closed." if verdict.closes_layer else ""
    if verdict.withheld is None:
        return whole
    units = sum(len(dates) for dates in verdict.withheld.values())
    if not units:
        return f"{whole} Nothing is withheld."
    beyond = any(dates - verdict.failed for dates in verdict.withheld.values())
    where = "" if beyond else (", that date only" if len(verdict.failed) == 1 else ", those dates only")
    return f"{whole} Withheld: {plural(units, 'unit')}{where}."


def full_verdict_lines(verdict: Verdict) -> list[str]:
    """A verdict with every failing date, dates of the same numbers together."""
    words = f"{_words(verdict.short, verdict.required, verdict.key, verdict.of)}, by date"
    if verdict.passed:
        return [f"gate holds: {words}: {plural(len(verdict.judged), 'date')}"]
    whole = ", which closes the layer" if verdict.closes_layer else ""
    lines = [f"gate fails: {words}: {plural(len(verdict.failed), 'date')} of {len(verdict.judged)}{whole}"]
    alike: dict[str, list[int]] = {}
    for number in verdict.failed.numbers():
        alike.setdefault(_has(verdict, number), []).append(number)
    return lines + [f"  {dates_words(DateSet.from_numbers(numbers), most=8)}: {has}" for has, numbers in alike.items()]


def _has(verdict: Verdict, number: int) -> str:
    have, want = verdict.counts[number]
    return f"its rows are invalid, so that none of {want} count" if number in verdict.invalid else f"has {have} of {want}"


def broken_lines(coverage: Coverage, processors: Iterable[str], dates: DateSet) -> list[str]:
    """A line for each rule and expectation that rows break, and for each processor that holds less than it should."""
    lines = []
    for name in processors:
        covered = coverage.processors[name]
        judged = covered.expected & dates - covered.states[State.PENDING]
        for rule, broken in covered.findings.broken.items():
            if broken & judged:
                lines.append(f"broken: {name}: {rule}: {dates_words(broken & judged)}")
        partial = covered.states[State.PARTIAL] & dates
        if partial:
            lines.append(f"partial: {name}: {dates_words(partial)}")
    return lines
