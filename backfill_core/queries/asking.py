"""From what a processor declares to the question about its table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date

from backfill_core.coverage import DateFacts, together
from backfill_core.dates import ONE_DAY, DateSet, Span
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.expectations import (
    Allowed,
    CalendarKeys,
    KeysOf,
    MatchingKeys,
    NotNull,
    Offending,
    Positive,
    UniqueKey,
    among_parts,
)
from backfill_core.model.processor import Processor
from backfill_core.model.table import Files, Table
from backfill_core.model.windows import SeasonToDate
from backfill_core.planning.windows import WindowMap
from backfill_core.queries.question import (
    BreakingQuestion,
    ColumnCheck,
    KeyComparison,
    KeyMatch,
    KeysQuestion,
    OffendingQuery,
    OffendingQuestion,
    TableQuestion,
)


def questions_about(
    pipeline: Pipeline, processor: Processor, calendars: Mapping[str, CalendarDays], span: Span
) -> dict[str, TableQuestion]:
    """What to ask of each table that a processor fills; its first is by the processor's name, and stands first."""
    parts = {name: question_about(pipeline, part, calendars, span, measured=False) for name, part in processor.parts.items()}
    return {processor.name: question_about(pipeline, processor, calendars, span)} | parts


def facts_together(answers: Mapping[str, DateFacts], name: str) -> DateFacts:
    """The answers to all questions about one processor, as its facts."""
    return together(answers[name], {part: facts for part, facts in answers.items() if part != name})


def question_about(
    pipeline: Pipeline,
    processor: Processor,
    calendars: Mapping[str, CalendarDays],
    span: Span,
    *,
    measured: bool = True,
) -> TableQuestion:
    """What to ask of a processor's first table to judge its dates in ``span``; ``measured``: with the keys that layers count."""
    table = processor.writes
    assert isinstance(table, Table), "files are not asked in SQL"
    counted = [column for name, column in _measures(pipeline) if measured and name == processor.name]
    wanted = [check.column for check in processor.expectations if isinstance(check, CalendarKeys)]
    pairs = [
        _comparison(pipeline, processor, check, calendars, span) for check in processor.expectations if isinstance(check, KeysOf)
    ]
    return TableQuestion(
        processor=processor.name,
        table=table,
        span=span,
        keys=tuple(dict.fromkeys(wanted + counted)),
        made_from=tuple(need.hash for need in processor.needs if need.hash),
        checks=tuple(
            _column_check(pipeline, table, rule)
            for rule in processor.rules
            if isinstance(rule, (NotNull, Positive, Allowed, MatchingKeys))
        ),
        comparisons=tuple(pair for pair in pairs if pair is not None),
        offending=tuple(_offending(pipeline, processor, rule) for rule in processor.rules if isinstance(rule, Offending)),
    )


def keys_questions(
    pipeline: Pipeline, processor: Processor, calendars: Mapping[str, CalendarDays], day: date, missing: frozenset[str]
) -> dict[str, KeysQuestion]:
    """By expectation, what to ask to name the keys that a day lacks; ``missing`` tables are not there yet."""
    question = question_about(pipeline, processor, calendars, Span(day, day)).without(missing)
    return {
        pair.name: KeysQuestion(processor=processor.name, table=question.table, day=day, pair=pair, absent=question.absent)
        for pair in question.comparisons
    }


def breaking_questions(
    pipeline: Pipeline, processor: Processor, day: date, broken: Collection[str]
) -> dict[str, BreakingQuestion | OffendingQuestion]:
    """By rule, what to ask to name the keys of the rows that break it, or the rows of one in SQL; nothing without a key."""
    table = processor.writes
    assert isinstance(table, Table)
    found: dict[str, BreakingQuestion | OffendingQuestion] = {}
    for rule in processor.rules:
        if str(rule) not in broken:
            continue
        if isinstance(rule, Offending):
            query = _offending(pipeline, processor, rule)
            found[str(rule)] = OffendingQuestion(processor=processor.name, table=table, day=day, rule=query)
            continue
        check = None if isinstance(rule, UniqueKey) else _column_check(pipeline, table, rule)
        question = BreakingQuestion(processor=processor.name, table=table, day=day, check=check)
        if question.key:
            found[str(rule)] = question
    return found


def _offending(pipeline: Pipeline, processor: Processor, rule: Offending) -> OffendingQuery:
    return OffendingQuery(
        name=rule.name,
        file=sql_path(pipeline, processor.name, rule.sql),
        tables=tables_named(pipeline, (processor.name, *rule.reads)),
    )


def tables_named(pipeline: Pipeline, names: tuple[str, ...]) -> dict[str, Table]:
    """The tables of those processors, by the name that SQL files give in braces."""
    return {short: table for name in names for short, table in pipeline.processors[name].tables.items()}


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


def _column_check(pipeline: Pipeline, table: Table, rule: NotNull | Positive | Allowed | MatchingKeys) -> ColumnCheck:
    column, other = among_parts(rule.among)
    found = pipeline.processors[other].writes if other else None
    among_table = found if isinstance(found, Table) else None
    if isinstance(rule, MatchingKeys):
        matched = pipeline.processors[rule.processor].writes
        assert isinstance(matched, Table)
        own = rule.named or table.key_on_date
        theirs = rule.theirs or (own if rule.named else _matching(own, matched))
        match = KeyMatch(own=own, theirs=theirs, other=matched)
        return ColumnCheck(name=str(rule), match=match, among=column, among_table=among_table)
    return ColumnCheck(
        name=str(rule),
        column=rule.column,
        positive=isinstance(rule, Positive),
        values=rule.values if isinstance(rule, Allowed) else (),
        among=column,
        among_table=among_table,
    )


def _comparison(
    pipeline: Pipeline, processor: Processor, check: KeysOf, calendars: Mapping[str, CalendarDays], span: Span
) -> KeyComparison | None:
    """What to ask for an expectation; None where no day of the span has anything before it."""
    upstream = pipeline.processors[check.processor]
    table, other = processor.writes, upstream.writes
    third = pipeline.processors[check.also_in].writes if check.also_in else None
    assert isinstance(table, Table) and isinstance(other, Table) and not isinstance(third, Files)
    calendar = calendars[processor.calendar]
    own = (check.column,) if check.column else table.key_on_date
    pair = KeyComparison(
        name=str(check),
        own=own,
        theirs=own if check.column else _matching(own, other),
        other=other,
        at_least=check.at_least,
        third=third,
        third_columns=tuple(column for column in own if third and column in third.key),
    )
    if not check.looks_back:
        if not check.at_least:
            return pair
        pair = replace(pair, seasons=_seasons(calendar, span))
        return pair if pair.seasons else None
    days = calendar.expected & DateSet.of_span(span)
    if isinstance(check.window, SeasonToDate):
        pair = replace(pair, to_date=True, days=days, seasons=_seasons(calendar, span))
        return pair if pair.seasons else None
    window = WindowMap(window=check.window, consumer=calendar, upstream=calendars[upstream.calendar])
    pair = replace(pair, days=days, reaches=_reaches(window, days.numbers()))
    return pair if pair.reaches else None


def _reaches(window: WindowMap, days: list[int]) -> tuple[tuple[int, int], ...]:
    """The days that the windows of ``days`` hold, each with the last of ``days`` whose window holds it.

    Windows of ascending days begin in ascending order: a day is held by the last window that does not begin after it.
    """
    begins = [first for first, _ in window.bounds(days)]
    found = []
    for seen in range(begins[0], days[-1]) if days else ():
        last = days[bisect_right(begins, seen) - 1]
        if last > seen:
            found.append((seen, last))
    return tuple(found)


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
