"""Coverage as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.plan import Forecast
from backfill_core.planning.carried import Carried
from backfill_core.reports.jsons import carried_into, measures
from backfill_core.reports.plan_texts import calendar_words
from backfill_core.reports.words import Head, dates_words, key_words, number, percent, plural

_COLUMNS = (
    ("COMPL", State.COMPLETE),
    ("PART", State.PARTIAL),
    ("MISS", State.MISSING),
    ("INVAL", State.INVALID),
    ("STALE", State.STALE),
    ("PEND", State.PENDING),
)
_GAPS = (State.MISSING, State.PARTIAL, State.INVALID, State.STALE, State.PENDING)


def coverage_lines(
    coverage: Coverage,
    pipeline: Pipeline,
    head: Head,
    groups: Mapping[str, DateSet],
    notes: Iterable[str] = (),
    doing: str = "backfill plan",
) -> list[str]:
    """Each layer's measure, each processor's dates by state, then what is not expected; before it, each group's part of it.

    ``notes`` stand first: that less was looked at. ``doing`` is what to type next.
    """
    span = DateSet.of_span(coverage.span)
    lines = [head.line(), *notes, *calendar_words(coverage)]
    for title, dates in groups.items():
        lines += _group_lines(title, dates, coverage, pipeline)
    lines += [
        _measure_line(one, pipeline) + _over_words(carried_into(pipeline, coverage, one), pipeline)
        for one in measures(pipeline, coverage)
    ]
    lines += _table(coverage, pipeline, span)
    lines += _not_expected_lines(coverage, pipeline, span)
    for name in pipeline.processors:
        beyond = coverage.processors[name].findings.surplus & span
        if beyond:
            lines.append(f"surplus: {name} {dates_words(beyond)}: rows that nothing expects")
    for why, far in (("beyond what the calendar knows", True), ("nothing tells", False)):
        told = {name: _days(_unknown(coverage, name, far) & span) for name in pipeline.processors}
        lines += [f"unknown: {dates}, {why}: {who}" for dates, who in _alike(pipeline, told) if dates]
    return [*lines, f"next: {doing}"]


def _unknown(coverage: Coverage, name: str, far: bool) -> DateSet:
    """Dates of which nobody knows: those ``far`` beyond the calendar, or those on which something is expected."""
    unknown, known = coverage.processors[name].states[State.UNKNOWN], coverage.calendar(name).known()
    return unknown - known if far else unknown & known


def _group_lines(title: str, dates: DateSet, coverage: Coverage, pipeline: Pipeline) -> list[str]:
    """A group's measures in a line, then a line for each processor that lacks something in it."""
    measured = "  ".join(
        f"{pipeline.layer(one.layer).short} {number(one.now)}/{number(one.wanted)}" for one in measures(pipeline, coverage, dates)
    )
    lines = [f"{title}  {measured}"]
    for name in pipeline.processors:
        covered = coverage.processors[name]
        gaps = [f"{len(covered.states[state] & dates)} {state}" for state in _GAPS if covered.states[state] & dates]
        if gaps:
            lines.append(f"  {name}: {', '.join(gaps)} of {len(covered.expected & dates)}")
    return lines


def _measure_line(one: Forecast, pipeline: Pipeline) -> str:
    return (
        f"{pipeline.layer(one.layer).short} {number(one.now)} of {number(one.wanted)} {key_words(one.key)}, "
        f"{percent(one.now, one.wanted)}, ceiling {percent(one.ceiling, one.wanted)}"
    )


def _over_words(over: Carried | None, pipeline: Pipeline) -> str:
    """How much of the layer before has come into a layer."""
    if over is None or not over.held:
        return ""
    return f"; of {pipeline.layer(over.before).short}'s {number(over.held)}: {percent(over.carried, over.held)}"


def _table(coverage: Coverage, pipeline: Pipeline, span: DateSet) -> list[str]:
    width = max(map(len, pipeline.processors)) + 1
    lines = [f"{'':{width}}{'EXPECT':>6}" + "".join(f"{word:>6}" for word, _ in _COLUMNS) + f"{'CEIL':>6}"]
    for name in pipeline.processors:
        covered = coverage.processors[name]
        expected = covered.expected & span
        counts = "".join(f"{len(covered.states[state] & span):>6}" for _, state in _COLUMNS)
        calendar = coverage.calendar(name).expected & span
        ceiling = f"{100 * len(expected) / len(calendar):.0f} %" if calendar else "-"
        lines.append(f"{name:{width}}{len(expected):>6}{counts}{ceiling:>6}")
    return lines


def _not_expected_lines(coverage: Coverage, pipeline: Pipeline, span: DateSet) -> list[str]:
    """Why days are not expected, processors of the same reasons together."""
    told = {}
    for name in pipeline.processors:
        found = coverage.processors[name].why_not_expected()
        told[name] = ", ".join(f"{len(days & span)} {why}" for why, days in found.items() if days & span)
    lines = [f"  {who}: {why or 'none'}" for why, who in _alike(pipeline, told)]
    return ["days not expected (CEIL is what is expected of the calendar's dates):", *lines]


def _alike(pipeline: Pipeline, told: Mapping[str, str]) -> list[tuple[str, str]]:
    """(words, who) of processors of which the same is told: by name, by layer where all of it is meant, or as the rest."""
    groups: dict[str, list[str]] = {}
    for name, words in told.items():
        groups.setdefault(words, []).append(name)
    biggest = max(groups, key=lambda words: len(groups[words]))
    listed = [(words, _who(pipeline, names)) for words, names in groups.items() if words != biggest]
    return [*listed, (biggest, "all others" if listed else "all")]


def _who(pipeline: Pipeline, names: Iterable[str]) -> str:
    left, parts = list(names), []
    for layer in pipeline.layers:
        within = [processor.name for processor in pipeline.within(layer.name)]
        if within and set(within) <= set(left):
            parts.append(f"all of {layer.name}")
            left = [name for name in left if name not in within]
    return ", ".join(parts + left)


def _days(dates: DateSet) -> str:
    return f"{plural(len(dates), 'day')}, {dates_words(dates)}" if dates else ""
