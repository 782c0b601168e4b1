"""What one table of a processor holds on a date, and wants: each expectation and rule in numbers, with the keys behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from backfill_core.coverage import Coverage, KeysFound, ProcessorCoverage, State
from backfill_core.dates import DateSet, day_number
from backfill_core.graph import Pipeline
from backfill_core.model.expectations import (
    AtMost,
    CalendarKeys,
    Expectation,
    KeysOf,
    MatchingKeys,
    Offending,
    Rows,
    Rule,
    UniqueKey,
)
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.planning.explanation import Expected, Held, Kept, TableSeen, WantedKey
from backfill_core.planning.measure import is_enough, measured, rows_by_key, share_of
from backfill_core.planning.rules import counted

#: Keys that were asked for, by the short name of a further table (empty: the first) and the words of an expectation or rule.
Named = Mapping[tuple[str, str], KeysFound]


def tables_seen(pipeline: Pipeline, coverage: Coverage, processor: str, day: date, keys: Named, limit: int) -> list[TableSeen]:
    """Every table of a processor, the first one first, each judged alone; ``keys`` are named up to ``limit``."""
    whole, covered = pipeline.processors[processor], coverage.processors[processor]
    parts = [("", whole, covered), *((name, part, covered.also[name]) for name, part in whole.parts.items())]
    return [_Table(name, part, found, coverage, day, keys, limit).seen() for name, part, found in parts]


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    processor: Processor
    covered: ProcessorCoverage
    coverage: Coverage
    day: date
    keys: Named
    limit: int

    @property
    def number(self) -> int:
        return day_number(self.day)

    def seen(self) -> TableSeen:
        facts, number = self.covered.facts, self.number
        state = next(state for state, dates in self.covered.states.items() if self.day in dates)
        expected = state is not State.NOT_EXPECTED
        return TableSeen(
            name=self.name,
            state=state,
            held=Held(
                rows=facts.rows.get(number, 0),
                distinct=facts.distinct.get(number, 0),
                oldest=facts.oldest.get(number),
                newest=facts.newest.get(number),
                unexpected=number in facts.rows and not expected,
            ),
            expected=tuple(self._expected()) if expected else (),
            rules=tuple(self._rules()) if expected and number in facts.rows else (),
        )

    def _expected(self) -> Iterator[Expected]:
        calendar, one = self.coverage.calendars[self.processor.calendar], DateSet.of(self.day)
        for expectation in self.processor.expectations:
            if isinstance(expectation, AtMost):
                continue
            counts = measured(expectation, self.covered.facts, calendar, one)
            there, wanted = counts.get(self.number, (0, _at_least(expectation)))
            share = share_of(expectation)
            told = Expected(
                expectation=str(expectation), there=there, wanted=wanted, share=share, enough=is_enough(there, wanted, share)
            )
            found = self.keys.get((self.name, str(expectation)))
            match expectation:
                case CalendarKeys():
                    yield self._with_calendar_keys(told, expectation)
                case KeysOf() if found is not None:
                    yield self._with_keys(told, expectation, found)
                case _:
                    yield told

    def _with_calendar_keys(self, told: Expected, expectation: CalendarKeys) -> Expected:
        calendar, facts = self.coverage.calendars[self.processor.calendar], self.covered.facts
        rows = rows_by_key(expectation, facts, calendar, self.number)
        each = facts.keys.get(expectation.column, {}).get(self.number, {})
        least = expectation.exactly or expectation.at_least
        wanted = calendar.keys.get(self.number, frozenset())
        few = [key for key in sorted(wanted) if rows.get(key, 0) < least]
        lacking = [WantedKey(key=(key,), rows=rows.get(key, 0), wanted=least) for key in few]
        beyond = sorted(each.keys() - wanted)
        most = expectation.exactly or max(rows.values(), default=0)
        many = [WantedKey(key=(key,), rows=n, wanted=most) for key, n in sorted(rows.items()) if n > most]
        return replace(
            told,
            columns=(expectation.column,),
            excess=len(many),
            first_excess=tuple(many[: self.limit]),
            absent=len(lacking),
            first_absent=tuple(lacking[: self.limit]),
            surplus=len(beyond),
            first_surplus=tuple((key,) for key in beyond[: self.limit]),
        )

    def _with_keys(self, told: Expected, expectation: KeysOf, keys: KeysFound) -> Expected:
        # What another table lacks makes nothing here too much.
        sound = expectation.looks_back or self.day in self.coverage.processors[expectation.processor].good
        return replace(
            told,
            columns=(expectation.column,) if expectation.column else self._key(),
            absent=keys.absent,
            first_absent=tuple(WantedKey(key=key) for key in keys.first_absent),
            surplus=keys.surplus if sound else 0,
            first_surplus=keys.first_surplus if sound else (),
        )

    def _rules(self) -> Iterator[Kept]:
        for rule in (*self.processor.rules, *self.processor.expectations):
            holds = self.day not in self.covered.findings.broken.get(str(rule), DateSet())
            count = counted(rule, self.covered.facts)
            if count is not None:
                good, judged = count(self.number)
                kept = Kept(rule=str(rule), holds=holds, good=good, judged=judged, share=rule.share)  # type: ignore[union-attr]
                yield self._with_breaking(kept, rule)
            elif isinstance(rule, AtMost):
                most = rule.times * self.coverage.processors[rule.of].facts.rows.get(self.number, 0)
                yield Kept(rule=str(rule), holds=holds, most=most)
            elif not holds:
                yield Kept(rule=str(rule), holds=False)

    def _with_breaking(self, kept: Kept, rule: Rule | Expectation) -> Kept:
        found = self.keys.get((self.name, str(rule)))
        if found is None:
            return kept
        columns = rule.named or self._key() if isinstance(rule, MatchingKeys) else self._key()
        columns = () if isinstance(rule, Offending) else columns
        return replace(
            kept,
            columns=columns,
            breaking=found.surplus,
            first_breaking=found.first_surplus,
            shared=isinstance(rule, UniqueKey),
        )

    def _key(self) -> tuple[str, ...]:
        return self.processor.writes.key_on_date if isinstance(self.processor.writes, Table) else ()


def _at_least(expectation: Expectation) -> int:
    """What a date without rows wants."""
    if isinstance(expectation, Rows):
        return max(expectation.at_least if expectation.exactly is None else expectation.exactly, 1)
    return 0
