"""The pure decisions, each against a model that goes day by day through plain sets."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from backfill_core.coverage import DateFacts, Findings, ProcessorCoverage, State, together
from backfill_core.dates import DateSet, Span, day_number, day_of
from backfill_core.model.calendar import CalendarDays, Season
from backfill_core.model.windows import SAME_DATE, SEASON_TO_DATE, CalendarDates, Days, LastGames, Window
from backfill_core.plan import Plan, PlannedProcessor, Request, Stage
from backfill_core.planning.drift import drift
from backfill_core.planning.need_met import need_met
from backfill_core.planning.newer import newer_in_window
from backfill_core.planning.state import state
from backfill_core.planning.windows import WindowMap
from backfill_core.planning.work import forced

BASE = day_number(date(2024, 10, 22))
DAYS = st.sets(st.integers(BASE, BASE + 40), max_size=30)
WINDOWS: st.SearchStrategy[Window] = st.one_of(
    st.just(SAME_DATE),
    st.just(SEASON_TO_DATE),
    st.integers(1, 9).map(Days),
    st.integers(1, 5).map(CalendarDates),
    st.integers(1, 9).map(lambda within: LastGames(3, "team", within)),
)


def dates(numbers: set[int]) -> DateSet:
    return DateSet.from_numbers(sorted(numbers))


def calendar(expected: set[int], cut: int | None) -> CalendarDays:
    """A calendar of one season without name, or of two that meet at ``cut``."""
    seasons: tuple[Season, ...] = ()
    if cut is not None:
        spans = (Span(day_of(BASE), day_of(cut - 1)), Span(day_of(cut), day_of(BASE + 40)))
        seasons = tuple(Season(str(span), span) for span in spans)
    return CalendarDays(name="c", expected=dates(expected), seasons=seasons)


def looked_at(window: Window, day: int, upstream: set[int], cut: int | None) -> set[int]:
    """The days a day looks at, one by one."""
    season = cut if cut is not None and day >= cut else (BASE if cut is not None else 0)
    earlier = list(range(max(season, BASE - 20), day))
    match window:
        case Days(count=count) | LastGames(within=count):
            return {other for other in earlier if day - other <= count}
        case CalendarDates(count=count):
            counted = sorted(other for other in upstream if other < day)[-count:]
            return {other for other in earlier if counted and other >= counted[0]}
        case _:
            return {day} if window == SAME_DATE else set(earlier)


CUTS = st.one_of(st.none(), st.integers(BASE + 5, BASE + 30))


@settings(deadline=None, max_examples=300)
@given(window=WINDOWS, upstream=DAYS, days=DAYS, cut=CUTS)
def test_a_window_answers_both_ways(window: Window, upstream: set[int], days: set[int], cut: int | None) -> None:
    known = calendar(upstream, cut)
    windows = WindowMap(window=window, consumer=known, upstream=known)
    ordered = sorted(days)
    bounds = dict(zip(ordered, windows.bounds(ordered), strict=True))
    for day in ordered:
        first, last = bounds[day]
        inside = {other for other in upstream if first <= other <= last}
        assert inside == looked_at(window, day, upstream, cut) & upstream
        for other in upstream:
            reached = day_of(day) in windows.dependents(dates({other}))
            assert reached == (other in inside), (window, day - BASE, other - BASE)


@settings(deadline=None, max_examples=300)
@given(window=WINDOWS, expected=DAYS, good=DAYS, days=DAYS, cut=CUTS, share=st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_need_met(window: Window, expected: set[int], good: set[int], days: set[int], cut: int | None, share: float) -> None:
    known = calendar(expected, cut)
    windows = WindowMap(window=window, consumer=known, upstream=known)
    verdict = need_met(dates(days), windows, share, expected=dates(expected), good=dates(good))
    met, degraded = set(), set()
    for day in days:
        wanted = looked_at(window, day, expected, cut) & expected
        have = wanted & good
        if not wanted:
            met.add(day)
            degraded |= {day} if window == SAME_DATE else set()
        elif len(have) * 10 >= len(wanted) * round(share * 10):
            met.add(day)
            degraded |= {day} if have != wanted else set()
    assert verdict.met == dates(met)
    assert verdict.unmet == dates(days - met)
    assert verdict.degraded == dates(degraded)


@settings(deadline=None, max_examples=200)
@given(sets=st.lists(DAYS, min_size=9, max_size=9))
def test_state(sets: list[set[int]]) -> None:
    asked, unknown, off, warm, recent, empty, short, broken, stale = sets
    found = state(
        Findings(
            asked=dates(asked),
            unknown=dates(unknown),
            not_expected={"off-day": dates(off), "warm-up": dates(warm)},
            recent=dates(recent),
            empty=dates(empty),
            short=dates(short),
            broken={"unique key": dates(broken)},
            stale={"upstream": dates(stale)},
        )
    )
    wanted: dict[State, set[int]] = {each: set() for each in State}
    for day in asked:
        if day in unknown:
            wanted[State.UNKNOWN].add(day)
        elif day in off or day in warm:
            wanted[State.NOT_EXPECTED].add(day)
        elif day in recent and (day in empty or day in short):
            wanted[State.PENDING].add(day)
        elif day in empty:
            wanted[State.MISSING].add(day)
        elif day in short:
            wanted[State.PARTIAL].add(day)
        elif day in broken:
            wanted[State.INVALID].add(day)
        elif day in stale:
            wanted[State.STALE].add(day)
        else:
            wanted[State.COMPLETE].add(day)
    assert found == {name: dates(days) for name, days in wanted.items()}


def _plan(missing: set[int], partial: set[int]) -> Plan:
    reasons = {"missing": dates(missing), "partial 1/2": dates(partial - missing)}
    chosen = {why: found for why, found in reasons.items() if found}
    stage = Stage(layer="l", processors=(PlannedProcessor(name="p", reasons=chosen),) if chosen else (), gates=())
    request = Request(target="t", span=Span(day_of(BASE), day_of(BASE + 40)), today=day_of(BASE + 41), through="l")
    return Plan(request=request, graph="g", stages=(stage,), blocked=(), not_planned={}, asked=41)


@settings(deadline=None, max_examples=200)
@given(was_missing=DAYS, was_partial=DAYS, is_missing=DAYS, is_partial=DAYS)
def test_drift(was_missing: set[int], was_partial: set[int], is_missing: set[int], is_partial: set[int]) -> None:
    def reasons(missing: set[int], partial: set[int]) -> dict[int, str]:
        return dict.fromkeys(partial, "partial") | dict.fromkeys(missing, "missing")

    was, now = reasons(was_missing, was_partial), reasons(is_missing, is_partial)
    found = drift(_plan(was_missing, was_partial), _plan(is_missing, is_partial))
    assert found.new.get("p", DateSet()) == dates(now.keys() - was.keys())
    assert found.dropped.get("p", DateSet()) == dates(was.keys() - now.keys())
    assert found.changed.get("p", DateSet()) == dates({day for day in was.keys() & now.keys() if was[day] != now[day]})
    assert bool(found) == bool(now.keys() - was.keys() or any(was.get(day) != why for day, why in now.items()))


@settings(deadline=None, max_examples=200)
@given(days=DAYS, reach=st.integers(0, 12))
def test_date_sets(days: set[int], reach: int) -> None:
    chosen = dates(days)
    assert chosen.numbers() == sorted(days)
    assert DateSet.from_json(chosen.to_json()) == chosen
    assert sum((run.last - run.first).days + 1 for run in chosen.runs()) == len(days) == len(chosen)
    assert set(chosen.spread(reach).numbers()) == {day + step for day in days for step in range(reach + 1)}


@settings(deadline=None, max_examples=100)
@given(missing=DAYS, partial=DAYS)
def test_a_plan_reads_back_what_it_wrote(missing: set[int], partial: set[int]) -> None:
    plan = _plan(missing, partial)
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()


def test_forced_are_expected_dates_with_old_rows_and_a_warm_up_only_when_asked() -> None:
    asked, warming = DateSet.between(0, 9), DateSet.between(0, 2)
    facts = DateFacts(rows=dict.fromkeys((1, 4, 5, 6), 1), oldest={1: 5_000_000, 4: 5_000_000, 5: 20_000_000})
    findings = Findings(asked=asked, not_expected={"warm-up": warming}, empty=DateSet.from_numbers([3, 7, 8, 9]))
    covered = ProcessorCoverage(name="p", findings=findings, states=state(findings), facts=facts)
    since = datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert forced(covered, since, include_warmup=False) == DateSet.from_numbers([4, 6]), "6 does not tell when"
    assert forced(covered, since, include_warmup=True) == DateSet.from_numbers([0, 1, 2, 4, 6])


@settings(max_examples=60, deadline=None)
@given(
    window=st.one_of(WINDOWS, st.integers(30, 400).map(Days), st.integers(20, 90).map(CalendarDates)),
    count=st.integers(50, 2500),
    seed=st.integers(0, 2**32),
    levels=st.integers(1, 4),
)
def test_newer_in_window_against_day_by_day(window: Window, count: int, seed: int, levels: int) -> None:
    chance = Random(seed)
    days = [BASE + n for n in range(count) if chance.random() < 0.9]
    calendar = CalendarDays(name="c", expected=DateSet.from_numbers(days))
    stamps = [chance.choice(range(levels)) * 10**6 for _ in range(levels)]
    oldest = {day: day + chance.choice(stamps) for day in days if chance.random() < 0.9}
    newest = {day: day - 3 + chance.choice(stamps) for day in days if chance.random() < 0.9}
    mapped = WindowMap(window=window, consumer=calendar, upstream=calendar)
    found = newer_in_window(DateSet.from_numbers(days), oldest, newest, mapped)
    wanted = set()
    for day, (first, last) in zip(days, mapped.bounds(days), strict=True):
        seen = [newest[other] for other in range(first, last + 1) if other in newest]
        if day in oldest and seen and max(seen) > oldest[day]:
            wanted.add(day)
    assert set(found.numbers()) == wanted


def test_a_processor_of_several_tables_was_written_when_any_of_them_was() -> None:
    first, second = DateFacts(rows={1: 1}, oldest={1: 5}, newest={1: 6}), DateFacts(oldest={1: 4, 2: 7}, newest={1: 5, 2: 9})
    both = together(first, {"second": second})
    assert (both.rows, both.oldest, both.newest) == ({1: 1}, {1: 4, 2: 7}, {1: 6, 2: 9})
    assert (both.also, together(first, {})) == ({"second": second}, first)
