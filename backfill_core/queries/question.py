"""What is asked of one table over a span of dates: a value, free of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from backfill_core.coverage import DateFacts
from backfill_core.dates import ONE_DAY, DateSet, Span, day_of
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays, Season
from backfill_core.model.expectations import (
    CalendarKeys,
    KeysOf,
    NotNull,
    Offending,
    Positive,
    UniqueKey,
    among_parts,
)
from backfill_core.model.processor import Processor
from backfill_core.model.table import Files, Table
from backfill_core.model.windows import SeasonToDate


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnCheck:
    """How many rows have a good value in a column, of those that a true-or-false column or another's keys pick."""

    name: str
    column: str
    #: True: above 0; False: not null.
    positive: bool
    #: Column that filters: true-or-false, or, with ``among_table``, one whose value must be a key of that table.
    among: str | None = None
    among_table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyComparison:
    """Which of the keys that another table wants are there, and how many are there beyond them."""

    name: str
    #: Columns of the key here and there, in the same order.
    own: tuple[str, ...]
    theirs: tuple[str, ...]
    other: Table
    #: Only keys on this many of the other's dates, this season, before the date.
    at_least: int = 0
    #: The keys come from the season before the date rather than from the date.
    to_date: bool = False
    #: Days to answer for, where keys come from the season before.
    days: DateSet = field(default_factory=DateSet)
    #: First and last day of each season that the span touches; a season lasts until the next begins.
    seasons: tuple[Span, ...] = ()
    #: Only keys that this table holds on the date too, by these of its columns.
    third: Table | None = None
    third_columns: tuple[str, ...] = ()


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
    checks: tuple[ColumnCheck, ...] = ()
    comparisons: tuple[KeyComparison, ...] = ()
    offending: tuple[OffendingQuery, ...] = ()
    #: The table is not there yet: only what others want of it can be asked.
    absent: bool = False

    @property
    def queries(self) -> int:
        """How many queries it takes."""
        apart = [check for check in self.checks if check.among_table]
        return (not self.absent) + len(apart) + len(self.comparisons) + len(self.offending)

    def columns(self) -> dict[str, set[str]]:
        """The columns this question names, by table."""
        named: dict[str, set[str]] = {}
        table = named.setdefault(self.table.name, set())
        table |= {self.table.date, *self.table.key, *self.keys, *self.table.only}
        table |= {self.table.updated} if self.table.updated else set()
        for check in self.checks:
            table |= {check.column} | ({check.among} if check.among else set())
            if check.among_table:
                named.setdefault(check.among_table.name, set()).update((check.among_table.date, *check.among_table.key))
        for pair in self.comparisons:
            table.update(pair.own)
            named.setdefault(pair.other.name, set()).update((pair.other.date, *pair.theirs))
        return named

    def without(self, missing: frozenset[str]) -> TableQuestion:
        """The same question, less what tables that are not there yet would have to answer."""
        absent = self.table.name in missing
        return replace(
            self,
            absent=absent,
            checks=tuple(c for c in self.checks if not absent and (not c.among_table or c.among_table.name not in missing)),
            comparisons=tuple(
                pair
                for pair in self.comparisons
                if pair.other.name not in missing and (not pair.third or pair.third.name not in missing)
            ),
            offending=tuple(
                rule for rule in self.offending if not absent and not any(t.name in missing for t in rule.tables.values())
            ),
        )


def question_about(pipeline: Pipeline, processor: Processor, calendar: CalendarDays, span: Span) -> TableQuestion:
    """What to ask of a processor's table to judge its dates in ``span``."""
    table = processor.writes
    assert isinstance(table, Table), "files are not asked in SQL"
    measured = [column for name, column in _measures(pipeline) if name == processor.name]
    wanted = [check.column for check in processor.expectations if isinstance(check, CalendarKeys)]
    pairs = [_comparison(pipeline, table, check, calendar, span) for check in processor.expectations if isinstance(check, KeysOf)]
    return TableQuestion(
        processor=processor.name,
        table=table,
        span=span,
        keys=tuple(dict.fromkeys(wanted + measured)),
        checks=tuple(_column_check(pipeline, rule) for rule in processor.rules if isinstance(rule, (NotNull, Positive))),
        comparisons=tuple(pair for pair in pairs if pair.seasons or not (pair.to_date or pair.at_least)),
        offending=tuple(
            OffendingQuery(
                name=rule.name,
                file=sql_path(pipeline, processor.name, rule.sql),
                tables=tables_named(pipeline, (processor.name, *rule.reads)),
            )
            for rule in processor.rules
            if isinstance(rule, Offending)
        ),
    )


def tables_named(pipeline: Pipeline, names: tuple[str, ...]) -> dict[str, Table]:
    """The tables of those processors, by the name that SQL files give in braces."""
    tables = {name: pipeline.processors[name].writes for name in names}
    return {name: table for name, table in tables.items() if isinstance(table, Table)}


def counts_unique_keys(processor: Processor) -> bool:
    return any(isinstance(rule, UniqueKey) for rule in processor.rules)


def sql_path(pipeline: Pipeline, processor: str, file: str) -> str:
    """The path, from the project's root, of an SQL file that a processor names."""
    folder = pipeline.declared[processor].file.rpartition("/")[0]
    return f"{folder}/{file}" if folder else file


def _measures(pipeline: Pipeline) -> list[tuple[str, str]]:
    found = [layer.measured_by for layer in pipeline.layers if layer.measured_by]
    for layer in pipeline.layers:
        for gate in layer.gates:
            found += [(gate.measure, gate.key), *([(gate.of, gate.key)] if gate.of else [])]
    return found


def _column_check(pipeline: Pipeline, rule: NotNull | Positive) -> ColumnCheck:
    column, other = among_parts(rule.among)
    table = pipeline.processors[other].writes if other else None
    return ColumnCheck(
        name=str(rule),
        column=rule.column,
        positive=isinstance(rule, Positive),
        among=column,
        among_table=table if isinstance(table, Table) else None,
    )


def _comparison(pipeline: Pipeline, table: Table, check: KeysOf, calendar: CalendarDays, span: Span) -> KeyComparison:
    other = pipeline.processors[check.processor].writes
    third = pipeline.processors[check.also_in].writes if check.also_in else None
    assert isinstance(other, Table) and not isinstance(third, Files)
    own = (check.column,) if check.column else table.key_on_date
    to_date = isinstance(check.window, SeasonToDate)
    return KeyComparison(
        name=str(check),
        own=own,
        theirs=_matching(own, other),
        other=other,
        at_least=check.at_least,
        to_date=to_date,
        days=calendar.expected & DateSet.of_span(span) if to_date else DateSet(),
        seasons=_seasons(calendar, span) if to_date or check.at_least else (),
        third=third,
        third_columns=tuple(column for column in own if third and column in third.key),
    )


def _matching(own: tuple[str, ...], other: Table) -> tuple[str, ...]:
    """The other table's columns for this key: those of the same name, else its own key, place by place."""
    if set(own) <= set(other.key_on_date) or len(own) != len(other.key_on_date):
        return own
    return other.key_on_date


def _seasons(calendar: CalendarDays, span: Span) -> tuple[Span, ...]:
    starts = [season.span.first for season in calendar.seasons] or [span.first]
    ends = [later - ONE_DAY for later in starts[1:]] + [max(span.last, starts[-1])]
    spans = map(Span, starts, ends)
    return tuple(season for season in spans if season.first <= span.last and season.last >= span.first)


def files_facts(table: Files, calendar: CalendarDays, days: DateSet, found: Mapping[str, int]) -> DateFacts:
    """The facts of a source of files: one row on each day whose file is there.

    ``found`` has the files by path, each with the microseconds since 1970 at which it was last changed.
    """
    rows: dict[int, int] = {}
    written: dict[int, int] = {}
    for number, path in files_days(table, calendar.seasons, days).items():
        if path in found:
            rows[number] = 1
            written[number] = found[path]
    return DateFacts(rows=rows, distinct=rows, oldest=written, newest=written)


def files_days(table: Files, seasons: tuple[Season, ...], days: DateSet) -> dict[int, str]:
    """The path of the file that each day is in."""
    named = sorted((season.span.first, season.name) for season in seasons)
    paths = {}
    for number in days.numbers():
        day = day_of(number)
        season = next((name for first, name in reversed(named) if first <= day), "")
        paths[number] = table.pattern.replace("{date}", day.isoformat()).replace("{season}", season)
    return paths
