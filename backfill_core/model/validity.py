"""What is wrong with one declaration, beside those it names: said in words, before anything is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from backfill_core.model.amounts import amount_problems, need_problems
from backfill_core.model.calendar import Calendar, EveryDay, Monthly, Schedule, Weekly
from backfill_core.model.expectations import (
    Allowed,
    AtMost,
    CalendarKeys,
    KeysOf,
    MatchingKeys,
    NotNull,
    Positive,
    Rows,
    UniqueKey,
    among_parts,
)
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Called, Python, Sql
from backfill_core.model.spec_validity import spec_problems
from backfill_core.model.table import Table
from backfill_core.model.windows import Days

_SHARES = "Shares go from above 0 to 1"
#: Texts of such a format sort as their days do.
_SORTED = re.compile(r"[^%]*%Y[^%]*%m[^%]*%d[^%]*")


def layer_problems(layer: Layer) -> Iterator[str]:
    for gate in layer.gates:
        if not 0.0 < gate.at_least <= 1.0:
            yield f'gate "{gate.name}" has a share of {gate.at_least:g}. {_SHARES}'
        if not isinstance(gate.per, Days) and gate.per not in ("date", "stage"):
            yield f'gate "{gate.name}" is judged per {gate.per!r}. It is per="date", per="stage" or per=days(n)'
        elif isinstance(gate.per, Days) and gate.per.count < 1:
            yield f'gate "{gate.name}" has a window of {gate.per}. Windows are one day long or longer'


def calendar_problems(calendar: Calendar) -> Iterator[str]:
    match calendar:
        case EveryDay():
            pass
        case Weekly(weekday=weekday):
            if weekday not in range(7):
                yield f'calendar "{calendar.name}" expects nothing: weekday {weekday} never comes. Monday is 0, Sunday 6'
        case Monthly(day=day):
            if day not in range(1, 32):
                yield f'calendar "{calendar.name}" expects nothing: day {day} never comes. Days go from 1 to 31'
        case Schedule(expected=expected, include=include, tables=tables):
            if not expected and not include:
                yield f'calendar "{calendar.name}" expects nothing: name a type in expected=(…)'
            for runtime in sorted(tables.keys() - {"gcp"}):
                yield f'calendar "{calendar.name}" names a table for runtime "{runtime}". Only gcp reads one; others read files'


def processor_problems(
    processor: Processor, processors: Mapping[str, Processor], calendars: Mapping[str, Calendar]
) -> Iterator[str]:
    """What is wrong with a processor; names that nothing declares are told elsewhere."""
    found = _Problems(processor, processors, calendars)
    for problem in found.all():
        yield f'processor "{processor.name}" {problem}'
    if processor.also:
        for problem in _several_tables(processor):
            yield f'processor "{processor.name}" {problem}'
    for name, part in processor.parts.items():
        for problem in _Problems(part, processors, calendars).of_table():
            yield f'processor "{processor.name}", table {name}, {problem}'


def _several_tables(processor: Processor) -> Iterator[str]:
    specs = processor.run.values() if isinstance(processor.run, Mapping) else (processor.run,)
    if not isinstance(processor.writes, Table):
        yield "leaves files, and fills tables also. Give the tables a processor of their own"
    if any(isinstance(spec, Sql) for spec in specs):
        yield "fills several tables, and an Sql file fills one. Give each its own processor, or run a Python function"


def _call_problems(spec: Called) -> Iterator[str]:
    """What is wrong with the way calls are declared to go."""
    least: list[tuple[str, float | None, float]] = [("attempts", spec.attempts, 1), ("max_dates", spec.max_dates, 1)]
    above: list[tuple[str, float | None]] = [("timeout", spec.timeout)]
    least.append(("backoff", spec.backoff, 0))
    if spec.service is not None:
        least += [("in_flight", spec.service.in_flight, 1), ("lock", spec.service.lock, 0)]
        above += [("per_minute", spec.service.per_minute), ("timeout", spec.service.timeout)]
    for name, value, lowest in least:
        if value is not None and value < lowest:
            yield f"has {name}={value:g}. It is {lowest:g} or more"
    for name, value in above:
        if value is not None and value <= 0:
            yield f"has {name}={value:g}. It is more than 0; leave it out for no limit"
    if spec.together is not None and isinstance(spec, (Sql, Python)):
        yield f'has together="{spec.together}", but {type(spec).__name__} writes one table a call. Take it away'
    elif spec.together is not None and (spec.max_dates > 1 or spec.by_month or spec.consecutive):
        yield f'has together="{spec.together}", and a call that several share has one date. Take away what it says of more dates'
    if spec.in_order and spec.together is None:
        yield 'has in_order=True, and goes with no others. Name their call: together="…"'


class _Problems:
    def __init__(self, processor: Processor, processors: Mapping[str, Processor], calendars: Mapping[str, Calendar]) -> None:
        self.processor = processor
        self.processors = processors
        self.calendars = calendars
        self.key = processor.writes.key_on_date if isinstance(processor.writes, Table) else ()

    def all(self) -> Iterator[str]:
        yield from self._contents()
        yield from self.of_table()

    def of_table(self) -> Iterator[str]:
        """What is wrong with a table and what must be true of it."""
        yield from self._shares()
        yield from amount_problems(self.processor)
        yield from need_problems(self.processor)
        yield from spec_problems(self.processor, self.processors)
        specs = self.processor.run.values() if isinstance(self.processor.run, Mapping) else [self.processor.run]
        for spec in specs:
            if isinstance(spec, Called):
                yield from _call_problems(spec)
        if isinstance(self.processor.writes, Table):
            yield from _table_problems(self.processor.writes)
        checks = (*self.processor.expectations, *self.processor.rules)
        for words, count in Counter(map(str, checks)).items():
            if count > 1:
                yield f'declares "{words}" twice. Keep one'
        for check in checks:
            if isinstance(self.processor.writes, Table) or isinstance(check, (Rows, AtMost)):
                yield from self._check(check)
            else:
                yield f'writes files, of which "{check}" cannot be asked. Rows() can'

    def _shares(self) -> Iterator[str]:
        shares = [need.required for need in self.processor.needs]
        shares += [check.share for check in self.processor.expectations if isinstance(check, (CalendarKeys, KeysOf))]
        shares += [rule.share for rule in self.processor.rules]
        for share in shares:
            if not 0.0 < share <= 1.0:
                yield f"has a share of {share:g}. {_SHARES}"

    def _contents(self) -> Iterator[str]:
        """Columns that say what rows were computed from: where they are, and whether there is anything to say."""
        columns = [need.hash for need in self.processor.needs if need.hash]
        own = self.processor.writes
        taken = {*own.key, own.date, own.updated, own.hash, *own.only} if isinstance(own, Table) else set()
        for column, count in Counter(columns).items():
            if count > 1 or column in taken:
                yield f'has a need with hash="{column}", a column that is taken. Give it one of its own'
        if columns and not (isinstance(own, Table) and own.updated):
            yield f'has a need with hash="{columns[0]}", but does not tell when its rows were written. Table(…, updated="…") does'
        for need in self.processor.needs:
            for name in need.upstreams if need.hash else ():
                other = self.processors.get(name)
                if other and other.also:
                    yield f'has a need with hash="{need.hash}", but {name} fills several tables: no one hash tells them'
                elif other and not (isinstance(other.writes, Table) and other.writes.hash and other.writes.updated):
                    yield (
                        f'has a need with hash="{need.hash}", but {name} does not tell when its rows were written and what is in '
                        'them. Table(…, updated="…", hash="…") does'
                    )

    def _check(self, check: object) -> Iterator[str]:
        match check:
            case CalendarKeys():
                calendar = self.calendars.get(self.processor.calendar)
                if calendar is not None and not isinstance(calendar, Schedule):
                    yield f'expects keys of calendar "{calendar.name}", which has none. Rows() or KeysOf(…) need none'
            case KeysOf():
                yield from self._keys_of(check)
            case UniqueKey():
                if not self.key:
                    yield f"has the rule {check}, but its table names no key. Give it: Table(…, key=(…))"
            case Allowed(values=values):
                yield from self._among(check.among)
                kinds = {float if type(value) is int else type(value) for value in values}
                if len(kinds) != 1:
                    yield f"allows {check.column} {'values of several types' if kinds else 'no value'}. Name values of one type"
            case MatchingKeys():
                yield from self._among(check.among)
                yield from self._matching(check)
            case NotNull(among=among) | Positive(among=among):
                yield from self._among(among)
            case _:
                pass

    def _keys_of(self, check: KeysOf) -> Iterator[str]:
        key = (check.column,) if check.column else self.key
        yield from self._in_a_table(check.processor, str(check))
        if not key:
            yield f'expects "{check}", but its table names no key. Give it, or KeysOf(…, column=…)'
        if not check.also_in:
            return
        yield from self._in_a_table(check.also_in, str(check))
        if check.looks_back or check.at_least:
            yield f'expects "{check}": also_in takes keys of the same date, without at_least. Take one of them away'
        third = self.processors.get(check.also_in)
        if third and isinstance(third.writes, Table) and not set(key) & set(third.writes.key):
            yield f'expects "{check}", but that table\'s key has no column of it. Name it there in key=(…)'

    def _matching(self, rule: MatchingKeys) -> Iterator[str]:
        yield from self._in_a_table(rule.processor, str(rule))
        own = rule.named or self.key
        if rule.column and rule.columns:
            yield f'has the rule "{rule}" with column and columns. Take one of them away'
        if not own:
            yield f'has the rule "{rule}", but its table names no key. Give it, or MatchingKeys(…, column=…)'
        if rule.theirs and len(rule.theirs) != len(own):
            yield f'has the rule "{rule}" of {len(own)} columns, and theirs are {len(rule.theirs)}. Name as many'

    def _among(self, among: str | None) -> Iterator[str]:
        name = among_parts(among)[1]
        other = self.processors.get(name or "")
        if other is None:
            return
        if not isinstance(other.writes, Table) or not other.writes.key_on_date:
            yield f'judges rows among "{among}", but {name} writes no table with a key'

    def _in_a_table(self, name: str, words: str) -> Iterator[str]:
        other = self.processors.get(name)
        if other is not None and not isinstance(other.writes, Table):
            yield f'reads keys of {name} ("{words}"), which writes files. Name a processor that writes a table'


def _table_problems(table: Table) -> Iterator[str]:
    if not all(table.name.partition(".")) or "." in table.short:
        yield f'writes a table called "{table.name}". Call it dataset.table; the target says which project'
    if table.date_type == "STRING" and not _SORTED.fullmatch(table.format):
        yield f'has dates in the format "{table.format}", which do not sort. Year, month, day, as in %Y-%m-%d'
    if table.date_type == "TIMESTAMP" and not _is_zone(table.zone):
        yield f'has dates in the zone "{table.zone}", which is not known. Zones are called like Europe/Berlin'


def _is_zone(name: str) -> bool:
    # Few tables name a zone, and a plan that meets none need not load any.
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
