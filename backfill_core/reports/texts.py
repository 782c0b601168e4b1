"""Plan, coverage and run as lines of text, 80 columns wide."""

from __future__ import annotations

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet
from backfill_core.events import Word
from backfill_core.gates import Verdict, judge_gate
from backfill_core.graph import Pipeline
from backfill_core.model.processor import Gate, Layer
from backfill_core.plan import Blocked, Forecast, Plan, Stage
from backfill_core.reports.jsons import measures
from backfill_core.reports.words import dates_words, number, percent, plural, reasons_words
from backfill_core.run_state import RunState

_NAME = 32


def plan_lines(plan: Plan, pipeline: Pipeline, coverage: Coverage, zone: str) -> list[str]:
    """A plan as people read it; its last line is what to type next."""
    request = plan.request
    lines = [f"plan {plan.hash[:8]}  {request.target}  {request.span} {zone}  through {request.through}"]
    lines += _calendar_lines(coverage)
    if plan.units:
        lines.append(f"  {'':{_NAME}}{'UNITS':>6}  DATES")
    for place, stage in enumerate(plan.stages, start=1):
        lines += _stage_lines(place, stage, pipeline, coverage)
    if plan.not_planned:
        told = ", ".join(f"{len(dates)} {why}" for why, dates in plan.not_planned.items())
        to_do = plan.asked - sum(map(len, plan.not_planned.values()))
        lines.append(f"asked for {plural(plan.asked, 'date')}: {to_do} to do, {told}")
    if plan.blocked:
        lines.append(f"blocked: {plural(plan.blocked_units, 'unit')}")
        lines += _blocked_lines(plan.blocked)
    lines += [forecast_line(one, pipeline) for one in plan.forecast]
    short = pipeline.layer(request.through).short
    lines.append(f"next: backfill execute --through {short}" if plan.units else "nothing to do. next: backfill coverage")
    return lines


def _calendar_lines(coverage: Coverage) -> list[str]:
    lines = []
    for name, days in sorted(coverage.calendars.items()):
        if days.keys:
            expected = days.expected & DateSet.of_span(coverage.span)
            games = sum(len(days.keys.get(day, ())) for day in expected.numbers())
            known = f" (schedule known to {days.horizon})" if days.horizon else ""
            lines.append(f"{number(len(expected))} {name} dates, {number(games)} games{known}")
    return lines


def _stage_lines(place: int, stage: Stage, pipeline: Pipeline, coverage: Coverage) -> list[str]:
    lines = [f"{place} {stage.layer}" + ("" if stage.processors else ": nothing to do")]
    for planned in stage.processors:
        calendar = coverage.calendars[coverage.calendar_of[planned.name]].expected
        lines.append(f"  {planned.name:{_NAME}}{len(planned.dates):>6}  {dates_words(planned.dates, calendar, most=2)}")
        lines.append(f"  {'':{_NAME}}        {reasons_words(planned.reasons, planned.degraded)}")
    layer = pipeline.layer(stage.layer)
    lines += [f"  gate: {gate_words(layer, gate)}" for gate in layer.gates]
    return lines


def gate_words(layer: Layer, gate: Gate) -> str:
    of = f" of {gate.of}" if gate.of else ""
    return f"{layer.short} at least {100 * gate.at_least:.0f} % of {gate.key}{of}, by date"


def _blocked_lines(blocked: tuple[Blocked, ...]) -> list[str]:
    """A line a root cause, with what it costs."""
    roots: dict[tuple[str, str], tuple[DateSet, int, set[str]]] = {}
    for entry in blocked:
        for cause in entry.because:
            dates, units, names = roots.get((cause.processor, cause.why), (DateSet(), 0, set()))
            roots[cause.processor, cause.why] = (
                dates | cause.dates,
                units + len(entry.dates),
                names | {entry.processor},
            )
    return [
        f"  {name} {dates_words(dates)}: {why} -> {plural(units, 'unit')} of {plural(len(names), 'processor')}"
        for (name, why), (dates, units, names) in sorted(roots.items())
    ]


def forecast_line(one: Forecast, pipeline: Pipeline) -> str:
    """``L4 game_id 275 (15.0 %) -> 1,613 (88.0 %), ceiling 1,621 (88.5 %)``."""
    short = pipeline.layer(one.layer).short
    return (
        f"{short} {one.key} {number(one.now)} ({percent(one.now, one.wanted)}) -> {number(one.after)} "
        f"({percent(one.after, one.wanted)}), ceiling {number(one.ceiling)} ({percent(one.ceiling, one.wanted)})"
    )


def coverage_lines(coverage: Coverage, pipeline: Pipeline, head: str, groups: dict[str, DateSet]) -> list[str]:
    """Layers' measures, then each processor's dates by state; once more for each group of dates."""
    lines = [head, *_calendar_lines(coverage)]
    for one in measures(pipeline, coverage):
        short = pipeline.layer(one.layer).short
        lines.append(
            f"{short} {number(one.now)} of {number(one.wanted)} {one.key}, {percent(one.now, one.wanted)}, "
            f"ceiling {percent(one.ceiling, one.wanted)}"
        )
    for title, dates in groups.items():
        lines.append(f"{title:{_NAME}}{'EXPECT':>7}{'COMPL':>7}{'PART':>6}{'MISS':>6}{'INVAL':>6}{'STALE':>6}{'PEND':>6}")
        for name in pipeline.processors:
            covered = coverage.processors[name]
            counts = {state: len(covered.states[state] & dates) for state in State}
            lines.append(
                f"{name:{_NAME}}{len(covered.expected & dates):>7}{counts[State.COMPLETE]:>7}{counts[State.PARTIAL]:>6}"
                f"{counts[State.MISSING]:>6}{counts[State.INVALID]:>6}{counts[State.STALE]:>6}{counts[State.PENDING]:>6}"
            )
    whys: dict[str, list[str]] = {}
    span = DateSet.of_span(coverage.span)
    for name in pipeline.processors:
        covered = coverage.processors[name]
        told = ", ".join(f"{len(d & span)} {why}" for why, d in covered.why_not_expected().items() if d & span)
        whys.setdefault(told, []).append(name)
    lines.append("not expected, in days:")
    for told, names in whys.items():
        who = "all others" if len(names) > 3 else ", ".join(names)
        lines.append(f"  {who}: {told or 'none'}")
    lines += [
        f"surplus: {name} {dates_words(dates)}: rows that nothing expects"
        for name in pipeline.processors
        if (dates := coverage.processors[name].findings.surplus & span)
    ]
    lines.append("next: backfill plan")
    return lines


def run_lines(state: RunState, pipeline: Pipeline) -> list[str]:
    """A run by processor: where its units ended, and why those that were lost are lost."""
    assert state.plan is not None
    lines = [f"{'':{_NAME}}{'DONE':>6}{'UNITS':>7}{'FAILED':>7}{'BLOCKED':>8}{'WITHHELD':>9}{'SKIPPED':>8}"]
    before = state.plan.blocked_dates()
    for name, planned in state.plan.planned().items():
        words = {word: len(state.dates(word, name)) for word in Word}
        blocked = words[Word.BLOCKED] + len(before.get(name, DateSet()))
        lines.append(
            f"{name:{_NAME}}{words[Word.DONE]:>6}{len(planned.dates):>7}{words[Word.FAILED]:>7}{blocked:>8}"
            f"{words[Word.WITHHELD]:>9}{words[Word.SKIPPED]:>8}"
        )
    lines += [
        f"{ending.word}: {ending.processor} {dates_words(ending.dates)}: {ending.why}"
        for ending in state.endings
        if ending.word not in (Word.DONE, Word.SKIPPED)
    ]
    if state.plan.blocked:
        lines += ["blocked when planned:", *_blocked_lines(state.plan.blocked)]
    for verdict in state.verdicts:
        lines += verdict_lines(verdict, pipeline)
    return lines


def verdict_lines(verdict: Verdict, pipeline: Pipeline) -> list[str]:
    """One gate's verdict; a closed one with its failing dates, a few of them with their numbers."""
    layer = pipeline.layer(verdict.layer)
    gate = next(gate for gate in layer.gates if gate.name == verdict.gate)
    words = gate_words(layer, gate)
    blocked = f", {len(verdict.blocked)} blocked" if verdict.blocked else ""
    if verdict.passed:
        return [f"gate passed: {words}: {len(verdict.judged) - len(verdict.blocked)} dates{blocked}"]
    few = ", ".join(
        f"{day} has {verdict.counts[n][0]} of {verdict.counts[n][1]}"
        for day, n in list(zip(verdict.failed, verdict.failed.numbers(), strict=True))[:3]
    )
    more = f" and {len(verdict.failed) - 3} more dates" if len(verdict.failed) > 3 else ""
    whole = " The whole layer is closed." if verdict.closes_layer else ""
    first = verdict.failed.first
    return [f"gate closed: {words}: {few}{more}{blocked}.{whole} Look: backfill validate --dates {first}"]


def judged_gates(coverage: Coverage, pipeline: Pipeline, layers: list[str], dates: DateSet) -> list[Verdict]:
    """Every gate of those layers, judged on what the tables hold."""
    return [
        judge_gate(gate, layer.name, coverage, dates, DateSet())
        for layer in pipeline.layers
        if layer.name in layers
        for gate in layer.gates
    ]
