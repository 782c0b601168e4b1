"""A plan as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.plan import Blocked, Closure, Forecast, Plan, PlannedProcessor, Stage
from backfill_core.reports.gate_texts import gate_words
from backfill_core.reports.words import Head, dates_words, key_words, number, percent, plural, reasons_words

#: Columns of a processor's name at most; a longer one has a line of its own.
_NAME = 34
#: Root causes that are told, names told of causes that do as well as each other, and processors with stale dates.
_CAUSES = 7
_TOGETHER = 3
_STALE = 7


def plan_lines(
    plan: Plan,
    pipeline: Pipeline,
    coverage: Coverage,
    head: Head,
    doing: str,
    *below: str,
    notes: Iterable[str] = (),
    beside: Callable[[str], str] = "backfill {}".format,
) -> list[str]:
    """A plan as people read it; its last line is what to type next: ``doing``, where there is anything to do.

    ``below`` stands before it: what the plan may take and cost. ``notes`` stand first: that less was looked at. ``beside`` gives
    another command the same target and day.
    """
    through = pipeline.layer(plan.request.through)
    lines = [head.line(), *notes, f"through {through.name}" + "".join(f": {words}" for words in calendar_words(coverage))]
    name = min(max((len(planned.name) for planned in plan.planned().values()), default=0), _NAME) + 2
    if plan.units:
        lines.append(f"{'':{name}}{'UNITS':>7}  {'DATES':22}  WHY")
    for place, stage in enumerate(plan.stages, start=1):
        closures = {closure.gate: closure for closure in plan.closures if closure.layer == stage.layer}
        lines += _stage_lines(place, stage, pipeline, coverage, closures, name)
    if plan.not_planned:
        told = ", ".join(f"{len(dates)} {why}" for why, dates in plan.not_planned.items())
        to_do = plan.asked - sum(map(len, plan.not_planned.values()))
        lines.append(f"asked for {plural(plan.asked, 'date')}: {to_do} to do, {told}")
    if plan.blocked:
        lines.append(f"blocked: {plural(plan.blocked_units, 'unit')}, by what would unblock most:")
        lines += blocked_lines(plan.blocked)
    lines += [forecast_line(one, pipeline) for one in plan.forecast]
    lines += _first(
        [f"stale, not planned: {name} {dates_words(dates, most=2)}" for name, dates in plan.stale.items()],
        _STALE,
        f"stale, not planned: {plural(sum(map(len, list(plan.stale.values())[_STALE:])), 'date')} of {{}} more",
    )
    lines += filter(None, below)
    return [*lines, f"next: {doing}" if plan.units else _nothing_to_do(plan, beside)]


def _nothing_to_do(plan: Plan, beside: Callable[[str], str]) -> str:
    if not plan.blocked:
        return f"nothing to do. next: {beside('coverage')}"
    (root, _), (dates, _) = max(sorted(_roots(plan.blocked).items()), key=lambda each: sum(map(len, each[1][1].values())))
    return f"nothing to do: what lacks is blocked. next: {beside(f'explain {root} {dates.last}')}"


def calendar_words(coverage: Coverage) -> list[str]:
    """Of each calendar with keys: its dates and keys in the span, and how far it is known."""
    words = []
    for name, days in sorted(coverage.calendars.items()):
        if days.keys:
            expected = days.expected & DateSet.of_span(coverage.span)
            games = sum(len(days.keys.get(day, ())) for day in expected.numbers())
            known = f" (schedule known to {days.horizon})" if days.horizon else ""
            words.append(f"{plural(len(expected), f'{name} date')}, {number(games)} {key_words(days.key)}{known}")
    return words


def _stage_lines(
    place: int, stage: Stage, pipeline: Pipeline, coverage: Coverage, closures: Mapping[str, Closure], name: int
) -> list[str]:
    lines = [f"{place} {stage.layer}" + ("" if stage.processors else ": nothing to do")]
    for planned in stage.processors:
        lines += _processor_lines(planned, coverage, name)
    layer = pipeline.layer(stage.layer)
    shown = [(gate, closures.get(gate.name)) for gate in layer.gates if gate.name in stage.gates]
    return lines + [f"  gate {gate_words(layer, gate)}{_closure_words(closure)}" for gate, closure in shown]


def _closure_words(closure: Closure | None) -> str:
    if closure is None:
        return ""
    units = sum(map(len, closure.withheld.values()))
    then = f", which withholds {plural(units, 'unit')}" if units else ""
    return f": fails on {dates_words(closure.dates, most=2)}{then}"


def _processor_lines(planned: PlannedProcessor, coverage: Coverage, name: int) -> list[str]:
    calendar = coverage.calendars[coverage.calendar_of[planned.name]].expected
    shown = dates_words(planned.dates, calendar, most=1)
    dates, comma, runs = shown.partition(", ")
    why = reasons_words(planned.reasons, planned.degraded)
    above = [f"  {planned.name}"] if len(planned.name) > name - 2 else []
    line = f"  {'' if above else planned.name:{name - 2}}{number(len(planned.dates)):>7}  {dates:22}  "
    if comma:
        why = f"{runs.rpartition(' in ')[2]}: {why}"
    return [*above, line + why]


def blocked_lines(blocked: tuple[Blocked, ...]) -> list[str]:
    """A line a root cause, with what it costs, the dearest first; causes of the same units (any would do) together.

    The cheapest of many are counted.
    """
    roots: list[tuple[list[str], DateSet, str, dict[str, DateSet]]] = []
    for (name, why), (dates, victims) in sorted(_roots(blocked).items()):
        for names, known_dates, known_why, known in roots:
            if (known_dates, known_why) == (dates, why) and known.items() & victims.items():
                names.append(name)
                known |= {victim: days | known.get(victim, DateSet()) for victim, days in victims.items()}
                break
        else:
            roots.append(([name], dates, why, victims))
    lines = [
        f"  {_joined(names)} {dates_words(dates)}: {why} -> blocks {plural(sum(map(len, victims.values())), 'unit')} of "
        f"{plural(len(victims), 'processor')}"
        for names, dates, why, victims in sorted(roots, key=lambda root: -sum(map(len, root[3].values())))
    ]
    return _first(lines, _CAUSES, "  and {} more causes, which block no more. See all: --format json")


def _joined(names: list[str]) -> str:
    """Names of causes that do as well as each other; of many, the first."""
    if len(names) > _TOGETHER:
        names = [*names[: _TOGETHER - 1], f"{len(names) - _TOGETHER + 1} more"]
    return " and ".join(names)


def _first(lines: list[str], most: int, rest: str) -> list[str]:
    """The first lines, and in place of two or more beyond them one that says how many."""
    return lines if len(lines) <= most + 1 else [*lines[:most], rest.format(len(lines) - most)]


def _roots(blocked: tuple[Blocked, ...]) -> dict[tuple[str, str], tuple[DateSet, dict[str, DateSet]]]:
    """By (processor, why) at the root: its dates there, and what it blocks by processor."""
    roots: dict[tuple[str, str], tuple[DateSet, dict[str, DateSet]]] = {}
    for entry in blocked:
        for cause in entry.because:
            dates, victims = roots.get((cause.processor, cause.why), (DateSet(), {}))
            victims[entry.processor] = victims.get(entry.processor, DateSet()) | entry.dates
            roots[cause.processor, cause.why] = (dates | cause.dates, victims)
    return roots


def forecast_line(one: Forecast, pipeline: Pipeline) -> str:
    """``L4 games 275 (15.0 %) -> 1,613 (88.0 %), ceiling 1,621 (88.5 %)``."""
    short = pipeline.layer(one.layer).short
    now, after, ceiling = (f"{number(n)} ({percent(n, one.wanted)})" for n in (one.now, one.after, one.ceiling))
    if one.after == one.ceiling:
        return f"{short} {key_words(one.key)} {now} -> {after}, the ceiling"
    return f"{short} {key_words(one.key)} {now} -> {after}, ceiling {ceiling}"
