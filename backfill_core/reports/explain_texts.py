"""An explanation as lines of text: what a line is about stands before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from backfill_core.attempts import Attempt
from backfill_core.coverage import Coverage, Key, State
from backfill_core.graph import EdgeKind
from backfill_core.planning.explanation import Expected, Explanation, Held, Kept, NeedSeen, Standing, WantedKey
from backfill_core.reports.pace_texts import duration_words
from backfill_core.reports.words import Head, dates_words, key_words, number, plural

#: Columns that the word before a line takes.
_LABEL = 9


def explain_lines(
    told: Explanation,
    coverage: Coverage,
    head: Head,
    attempts: Sequence[Attempt] | None,
    doing: str,
    *,
    more: bool,
    file: str,
) -> list[str]:
    """What is told of a unit; its last line is what to type next, ``doing``. Of no ``attempts`` nobody knows."""
    between = ": " if told.state in (State.INVALID, State.NOT_EXPECTED) else " "
    state = f"{told.state}{between}{told.detail}" if told.detail else str(told.state)
    lines = [head.line(), f"{told.processor} {told.day}: {state}"]
    last = ""
    for label, text in _told(told, coverage, attempts, more=more, file=file):
        lines.append(f"{label if label != last else '':{_LABEL}}{text}")
        last = label
    return [*lines, f"next: {doing}"]


def _told(
    told: Explanation, coverage: Coverage, attempts: Sequence[Attempt] | None, *, more: bool, file: str
) -> Iterator[tuple[str, str]]:
    """(what it is about, line); a line that begins with blanks goes into the one before it."""
    keys = f"{plural(told.calendar_keys, key_words(told.calendar_key).removesuffix('s'))} on " if told.calendar_keys else ""
    yield "where", f"layer {told.layer}; {keys}calendar {told.calendar}"
    yield "holds", _held(told.held, file)
    yield from _wants(told.expected, told.rules, told.held.rows)
    for table in told.also:
        yield "table", f"{table.name}: {table.state}"
        yield "holds", _held(table.held, "")
        yield from _wants(table.expected, table.rules, table.held.rows)
    for newer in told.newer:
        dates = dates_words(newer.dates, coverage.calendar(newer.upstream).expected)
        yield "newer", f"{newer.upstream} {dates}, written up to {_instant(newer.newest)}"
    for waiver in told.waivers:
        until = f", until {waiver.until}" if waiver.until else ""
        yield "waived", f"{waiver.reason} ({waiver.who}, {waiver.when}{until})"
    for accepted in told.accepted:
        yield "accepted", f"{accepted.reason} ({accepted.who}, {accepted.when})"
    idle = told.state is State.NOT_EXPECTED  # then what nothing is expected of either says nothing
    for need in told.needs:
        for line in _need(need) if (need.wanted and not need.keyless) or not idle else ():
            yield "reads" if need.kind is EdgeKind.READS else "needs", line
    for line in _in_plan(told):
        yield "plan", line
    for line in _spoils(told, coverage):
        yield "spoils", line
    for attempt in attempts or ():
        yield "tried", _attempt(attempt)
    if not attempts and told.in_plan.standing is not Standing.SOURCE:
        yield "tried", "not known: the journal cannot be read" if attempts is None else "never, as far as the journal goes"
    if more:
        yield "tried", "and more before. See them: --limit"


def _wants(expected: Iterable[Expected], rules: Iterable[Kept], rows: int) -> Iterator[tuple[str, str]]:
    """What must be true of one table."""
    for each in expected:
        for line in _expected(each):
            yield "wants", line
    for kept in rules:
        for line in _kept(kept, rows):
            yield "rules", line


def _held(held: Held, file: str) -> str:
    written = ""
    if held.oldest is not None and held.newest is not None:
        first, last = _instant(held.oldest), _instant(held.newest)
        written = f", written {last if first == last else f'{first} to {last}'}"
    if file:
        return f"file {file}{written}" if held.rows else f"no file {file}"
    rows = f"{plural(held.rows, 'row')}, {plural(held.distinct, 'key')}{written}" if held.rows else "no rows"
    return f"{rows}: nothing expects them (surplus)" if held.unexpected else rows


def _expected(expected: Expected) -> Iterator[str]:
    if not expected.wanted:
        yield f"{expected.expectation}: of which none is known"
    else:
        enough = "enough" if expected.enough else "too few"
        yield f"{expected.expectation}: {number(expected.there)} of {number(expected.wanted)}, {enough}"
    columns = expected.columns
    if expected.absent:
        yield f"  lacks {_named(columns, expected.absent, [_lacking(one) for one in expected.first_absent])}"
    if expected.excess:
        yield f"  too many rows in {_named(columns, expected.excess, [_lacking(one) for one in expected.first_excess])}"
    if expected.surplus:
        yield f"  surplus {_named(columns, expected.surplus, [_key(key) for key in expected.first_surplus])}"


def _named(columns: Sequence[str], count: int, names: Sequence[str]) -> str:
    """``7 games: a, b and 5 more``; without columns rows are named."""
    words = " and ".join(map(key_words, columns)) or "rows"
    words = words.removesuffix("s") if count == 1 and (not columns or columns[0].endswith("_id")) else words
    more = f" and {number(count - len(names))} more (--limit)" if count > len(names) else ""
    return f"{number(count)} {words}: {', '.join(names)}{more}"


def _lacking(one: WantedKey) -> str:
    return f"{_key(one.key)} (has {one.rows} of {one.wanted} rows)" if one.rows else _key(one.key)


def _key(key: Key) -> str:
    return "/".join("NULL" if part is None else part for part in key)


def _kept(kept: Kept, rows: int) -> Iterator[str]:
    broken = "" if kept.holds else ": broken"
    if kept.good is not None and kept.judged is not None:
        wanted = "" if kept.share is None or kept.share == 1 else f", {_percent(kept.share)} is enough"
        yield f"{kept.rule}: {number(kept.good)} of {plural(kept.judged, 'row')}{wanted}{broken}"
    else:
        most = "" if kept.most is None else f", {kept.most:,.10g} at most"
        yield f"{kept.rule}: {plural(rows, 'row')}{most}{broken}"
    if kept.breaking:
        how = "several rows have" if kept.shared else "broken by"
        yield f"  {how} {_named(kept.columns, kept.breaking, [_key(key) for key in kept.first_breaking])}"


def _need(need: NeedSeen) -> Iterator[str]:
    who = " or ".join(need.upstreams) + (" (soft)" if need.kind is EdgeKind.SOFT else "")
    if need.span is None:
        yield f"{who}, {need.window}: the window holds no day"
        return
    same = need.span.first == need.span.last
    where = need.window if same else f"{need.window} ({need.span})"
    yield f"{who}, {where}: {_how_much(need, same=same)}"
    for lack in need.lacks:
        planned = ""
        if lack.planned:
            planned = ", planned" if lack.planned == lack.dates else f", {len(lack.planned)} of them planned"
        named = "" if len(need.upstreams) == 1 else f"{lack.processor} "
        if not same:
            count = f"{len(lack.dates)} " if len(lack.dates) > 1 else ""
            yield f"  {count}{named}{lack.state}: {dates_words(lack.dates)}{planned}"
        else:
            yield f"  {named}{lack.state}{planned}"


def _how_much(need: NeedSeen, *, same: bool) -> str:
    if need.keyless:
        return "holds no row, and its keys are what is wanted here"
    if not need.wanted:
        return "nothing is expected of it"
    met = "met" if need.met else "not met"
    if need.kind is EdgeKind.READS:
        return ("there" if need.there else "not there") if same else f"{need.there} of {plural(need.wanted, 'date')}"
    if same:
        return met
    wants = "" if need.kind is EdgeKind.SOFT else f", {_percent(need.share)} is enough"
    return f"{need.there} of {plural(need.wanted, 'date')}{wants}: {met}"


def _in_plan(told: Explanation) -> Iterator[str]:
    seen = told.in_plan
    match seen.standing:
        case Standing.PLANNED | Standing.WITHHELD:
            withheld = ", which will withhold it" if seen.standing is Standing.WITHHELD else ""
            yield f"planned: {seen.why}{withheld}"
            if seen.degraded:
                yield "  it will run on less than all it wants"
            if seen.unsettled:
                yield "  it is looked at again at its turn, and skipped if it is complete then"
        case Standing.BLOCKED:
            for cause in seen.causes:
                yield f"blocked by {cause.processor} {dates_words(cause.dates)}: {cause.why}"
        case Standing.PENDING:
            yield f"not yet: {seen.why}"
        case Standing.STALE:
            yield "not planned: what is stale is planned with --cascade"
        case Standing.COMPLETE:
            yield "nothing to do"
        case Standing.NOT_EXPECTED:
            yield "not planned: nothing is expected" + (f": {seen.why}" if seen.why else "")
        case Standing.OUTSIDE:
            yield f"not planned: {seen.why}"
        case Standing.SOURCE:
            yield "never planned: others fill it, and it is only looked at"


def _spoils(told: Explanation, coverage: Coverage) -> Iterator[str]:
    if not told.spoils:
        return
    for name, dates in told.spoils_directly.items():
        yield f"{name} {dates_words(dates, coverage.calendar(name).expected, most=1)}"
    units = sum(map(len, told.spoils.values()))
    direct = sum(map(len, told.spoils_directly.values()))
    if units > direct:
        yield f"and further: in all {plural(units, 'date')} of {plural(len(told.spoils), 'processor')}"


def _attempt(attempt: Attempt) -> str:
    call = ""
    if attempt.batch is not None:
        seconds = attempt.seconds
        took = "it never came home" if seconds is None else f"{seconds:.1f} s" if seconds < 10 else duration_words(seconds)
        call = f" (call {attempt.batch}, {plural(attempt.units, 'unit')}: {took})"
    word = f"{attempt.word or 'no word'}{', degraded' if attempt.degraded else ''}"
    why = f": {attempt.why}" if attempt.why else ""
    return f"{attempt.run} {attempt.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC {word}{why}{call}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _instant(micros: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
