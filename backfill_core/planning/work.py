"""Which dates of a processor are to be worked on, each under one reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from backfill_core.coverage import ProcessorCoverage, State
from backfill_core.dates import DateSet
from backfill_core.model.expectations import KeysOf
from backfill_core.model.processor import Processor
from backfill_core.planning.judge import WARM_UP

#: The kinds of reasons, as `--reason` takes them: the first word of each reason.
KINDS = ("missing", "partial", "invalid", "stale", "unsettled", "forced")


def kind_of(reason: str) -> str:
    """The closed word that a reason begins with."""
    return reason.partition(" ")[0].rstrip(":")


def lacking(covered: ProcessorCoverage, work: DateSet) -> dict[str, DateSet]:
    """Missing, partial and invalid dates of ``work``, each under the one word for its state, with the numbers behind it."""
    reasons: dict[str, DateSet] = {}
    missing = covered.states[State.MISSING] & work
    lacks = {number: covered.lacking(number)[0] for number in missing.numbers()} if covered.also else {}
    for where in ("", *(f" in {name}" for name in covered.also)):
        dates = DateSet.from_numbers([number for number, at in lacks.items() if at == where]) if covered.also else missing
        if dates:
            reasons[f"missing{where}"] = dates
    partial: dict[tuple[str, tuple[int, int]], list[int]] = {}
    for number in (covered.states[State.PARTIAL] & work).numbers():
        partial.setdefault(covered.lacking(number), []).append(number)
    for (where, (have, want)), numbers in sorted(partial.items()):
        words = f"{have}/{want}" if want else "of an unknown number"
        reasons[f"partial {words}{where}"] = DateSet.from_numbers(numbers)
    invalid = covered.states[State.INVALID] & work
    for rule, dates in covered.findings.broken.items():
        if dates & invalid:
            reasons[f"invalid: {rule}"] = dates & invalid
            invalid -= dates
    return reasons


def keyless(processor: Processor, covered: ProcessorCoverage) -> DateSet:
    """Missing dates for which the window that gives their keys gives none yet: whether they are expected is open."""
    found = DateSet()
    parts = [(part, covered.also[name]) for name, part in processor.parts.items()]
    for each, held in [(processor, covered), *parts]:
        for expectation in each.expectations:
            if isinstance(expectation, KeysOf) and expectation.looks_back:
                shares = held.facts.shares.get(str(expectation), {})
                wanting = DateSet.from_numbers([day for day, (_, want, _) in shares.items() if want])
                empty = held.states[State.MISSING] - DateSet.from_numbers(list(held.facts.rows))
                found |= covered.states[State.MISSING] & empty - wanting
    return found


def forced(covered: ProcessorCoverage, older_than: datetime, *, include_warmup: bool) -> DateSet:
    """Expected dates that hold a row written before ``older_than``, or rows of which nobody knows when.

    With ``include_warmup``, the dates of a warm-up too, whether they hold rows or not.
    """
    since = older_than.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    limit = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    held, oldest = covered.facts.rows, covered.facts.oldest
    warming = covered.findings.not_expected.get(WARM_UP, DateSet()) if include_warmup else DateSet()
    old = DateSet.from_numbers([day for day in held if oldest.get(day, 0) < limit])
    return old & (covered.expected | warming) | warming - DateSet.from_numbers(list(held))


def spoiled(covered: ProcessorCoverage, reached: Mapping[str, DateSet], asked: DateSet) -> dict[str, DateSet]:
    """Dates that a cascade takes, by the reason: stale ones that were asked for, and good ones of which something is planned.

    ``reached`` are the dates in whose window an upstream is planned; they are taken asked for or not, and stale before or not.
    """
    reasons: dict[str, DateSet] = {}
    left = covered.good
    stale = covered.states[State.STALE] & asked
    for upstream, dates in sorted(covered.findings.stale.items()):
        if dates & stale & left:
            reasons[f"stale: {upstream} is newer"] = dates & stale & left
            left -= dates & stale
    for upstream, dates in sorted(reached.items()):
        if dates & left:
            reasons[f"stale: {upstream} is planned"] = dates & left
            left -= dates
    return reasons
