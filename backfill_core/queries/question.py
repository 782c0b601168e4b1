"""What is asked of one table over a span of dates: a value, free of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from backfill_core.dates import DateSet, Span
from backfill_core.model.expectations import Value
from backfill_core.model.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMatch:
    """The columns of a key here and in another table, in the same order."""

    own: tuple[str, ...]
    theirs: tuple[str, ...]
    other: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnCheck:
    """How many rows are good, of those that a true-or-false column or another's keys pick.

    Good is a row with a value in its column, or one above 0, or one of ``values``, or one whose key another table holds.
    """

    name: str
    #: Empty where a key is matched.
    column: str = ""
    #: True: above 0; False: not null.
    positive: bool = False
    values: tuple[Value, ...] = ()
    match: KeyMatch | None = None
    #: Column that filters: true-or-false, or, with ``among_table``, one whose value must be a key of that table.
    among: str | None = None
    among_table: Table | None = None

    @property
    def others(self) -> tuple[Table, ...]:
        """The other tables it reads."""
        found = (self.match.other if self.match else None, self.among_table)
        return tuple(table for table in found if table is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyComparison:
    """Which of the keys that another table wants are there, and how many are there beyond them."""

    name: str
    #: Columns of the key here and there, in the same order.
    own: tuple[str, ...]
    theirs: tuple[str, ...]
    other: Table
    #: Only keys on this many of the other's dates: this season before the date, or in the window before it.
    at_least: int = 0
    #: The keys come from the season before the date rather than from the date.
    to_date: bool = False
    #: The keys come from a window before the date: days of the other table, ascending, each with the last of the days to
    #: answer for whose window holds it.
    reaches: tuple[tuple[int, int], ...] = ()
    #: Days to answer for, where keys come from before the date.
    days: DateSet = field(default_factory=DateSet)
    #: First and last day of each season that the span touches; a season lasts until the next begins.
    seasons: tuple[Span, ...] = ()
    #: Only keys that this table holds on the date too, by these of its columns.
    third: Table | None = None
    third_columns: tuple[str, ...] = ()

    @property
    def looks_back(self) -> bool:
        """Whether keys come from before the date, so that only ``days`` are answered for."""
        return self.to_date or bool(self.reaches)

    @property
    def others(self) -> tuple[Table, ...]:
        """The other tables it reads."""
        return (self.other, self.third) if self.third else (self.other,)


#: What is asked of a table and another.
Part = ColumnCheck | KeyComparison


@dataclass(frozen=True, slots=True, kw_only=True)
class OffendingQuery:
    """A rule written as SQL: its name, where its text lies, and the tables it may name in braces."""

    name: str
    file: str
    tables: Mapping[str, Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuestion:
    """Everything one processor wants to know of its table over a span."""

    processor: str
    table: Table
    span: Span
    #: Columns whose keys are listed day by day, with their rows.
    keys: tuple[str, ...] = ()
    #: Columns that say what a date's rows were computed from.
    made_from: tuple[str, ...] = ()
    checks: tuple[ColumnCheck, ...] = ()
    comparisons: tuple[KeyComparison, ...] = ()
    offending: tuple[OffendingQuery, ...] = ()
    #: The table is not there yet: only what others want of it can be asked.
    absent: bool = False

    @property
    def queries(self) -> int:
        """How many queries it takes: one of the table alone, one a pair of tables, one a rule written as SQL."""
        return (not self.absent) + len(self.pairs()) + len(self.offending)

    def own_checks(self) -> list[ColumnCheck]:
        """The checks that need no other table."""
        return [check for check in self.checks if not check.others]

    def pairs(self) -> list[tuple[Part, ...]]:
        """What is asked of this table and another together, by that other."""
        found: dict[str, list[Part]] = {}
        parts: tuple[Part, ...] = (*self.checks, *self.comparisons)
        for part in parts:
            if part.others:
                found.setdefault(part.others[0].name, []).append(part)
        return [tuple(parts) for parts in found.values()]

    def tables(self) -> list[Table]:
        """Every table that answering it reads."""
        parts: tuple[Part, ...] = (*self.checks, *self.comparisons)
        found = [self.table, *(table for part in parts for table in part.others)]
        for rule in self.offending:
            found += rule.tables.values()
        return list({table.name: table for table in found}.values())

    def columns(self) -> dict[str, set[str]]:
        """The columns this question names, by table."""
        named: dict[str, set[str]] = {}

        def add(table: Table, *columns: str | None) -> None:
            named.setdefault(table.name, set()).update((table.date, *table.only, *filter(None, columns)))

        add(self.table, *self.table.key, *self.keys, *self.made_from, self.table.updated, self.table.hash)
        for check in self.checks:
            add(self.table, check.column, check.among)
            if check.among_table:
                add(check.among_table, *check.among_table.key)
            if check.match:
                add(self.table, *check.match.own)
                add(check.match.other, *check.match.theirs)
        for pair in self.comparisons:
            add(self.table, *pair.own)
            add(pair.other, *pair.theirs)
            if pair.third:
                add(pair.third, *pair.third_columns)
        return named

    def without(self, missing: frozenset[str]) -> TableQuestion:
        """The same question, less what tables that are not there yet would have to answer."""
        absent = self.table.name in missing

        def there(part: Part) -> bool:
            return not any(table.name in missing for table in part.others)

        return replace(
            self,
            absent=absent,
            checks=tuple(check for check in self.checks if not absent and there(check)),
            comparisons=tuple(filter(there, self.comparisons)),
            offending=tuple(
                rule for rule in self.offending if not absent and not any(t.name in missing for t in rule.tables.values())
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysQuestion:
    """By which keys a table differs on one day from what a comparison wants of it: the comparison is made for that day alone."""

    processor: str
    table: Table
    day: date
    pair: KeyComparison
    #: The table is not there yet: all that is wanted lacks.
    absent: bool = False

    @property
    def counted(self) -> TableQuestion:
        """The question that counts those keys."""
        span = Span(self.day, self.day)
        return TableQuestion(processor=self.processor, table=self.table, span=span, comparisons=(self.pair,), absent=self.absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakingQuestion:
    """Which keys the rows have that break a rule on one day; without a check, those that several rows share."""

    processor: str
    table: Table
    day: date
    check: ColumnCheck | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell which rows: of a key to be matched its own, else the table's."""
        return self.check.match.own if self.check and self.check.match else self.table.key_on_date

    @property
    def counted(self) -> TableQuestion:
        """The question that counts those rows."""
        span = Span(self.day, self.day)
        checks = (self.check,) if self.check else ()
        return TableQuestion(processor=self.processor, table=self.table, span=span, checks=checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffendingQuestion:
    """Which rows a rule written as SQL returns of one day: whole, for its columns are its author's."""

    processor: str
    table: Table
    day: date
    rule: OffendingQuery

    @property
    def counted(self) -> TableQuestion:
        """The question that counts those rows."""
        span = Span(self.day, self.day)
        return TableQuestion(processor=self.processor, table=self.table, span=span, offending=(self.rule,))


#: What is asked to name keys, or rows.
NamingQuestion = KeysQuestion | BreakingQuestion | OffendingQuestion
