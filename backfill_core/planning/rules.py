"""Whether the rows of a date keep a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backfill_core.coverage import DateFacts, ProcessorCoverage
from backfill_core.model.expectations import (
    Allowed,
    AtMost,
    CalendarKeys,
    Expectation,
    MatchingKeys,
    NotNull,
    Offending,
    Positive,
    Rows,
    Rule,
    UniqueKey,
)
from backfill_core.planning.need_met import reaches


def failing(
    rule: Rule | Expectation, facts: DateFacts, upstream: Mapping[str, ProcessorCoverage]
) -> Callable[[int], bool] | None:
    """Tells of a day with rows whether it breaks the rule; None for what is no rule."""
    count = counted(rule, facts)
    if count is not None:
        share = rule.share  # type: ignore[union-attr]  # what is counted has one
        return lambda day: not reaches(*count(day), share)
    match rule:
        case CalendarKeys(column=column, exactly=int(exactly)):
            keyed = facts.keys.get(column, {})
            return lambda day: any(n > exactly for n in keyed.get(day, {}).values())
        case Rows(exactly=int(exactly)):
            return lambda day: facts.rows[day] > exactly
        case AtMost(times=times, of=of):
            others = upstream[of].facts.rows
            return lambda day: facts.rows[day] > times * others.get(day, 0) + 1e-9
        case _:
            return None


def counted(rule: Rule | Expectation, facts: DateFacts) -> Callable[[int], tuple[int, int]] | None:
    """Tells of a day with rows how many are good, and of how many; None for what is no rule about single rows."""
    match rule:
        case UniqueKey():
            return lambda day: (facts.distinct.get(day, 0), facts.rows[day])
        case NotNull() | Positive() | Allowed():
            checked = facts.checks.get(str(rule), {})
            return lambda day: checked.get(day, (0, 0))
        case MatchingKeys():
            # Of a table that is not there nothing was asked: it matches no row.
            matched = facts.checks.get(str(rule))
            return lambda day: (0, facts.rows[day]) if matched is None else matched.get(day, (0, 0))
        case Offending():
            offending = facts.checks.get(rule.name, {})
            return lambda day: (facts.rows[day] - offending.get(day, (0, 0))[1], facts.rows[day])
        case _:
            return None
