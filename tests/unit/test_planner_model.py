"""The planner against a model that goes unit by unit, on random graphs, calendars, tables and requests."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from brute_planner import Model, reads
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from backfill_core.coverage import NO_FACTS, Coverage, DateFacts, together
from backfill_core.dates import DateSet, Span, day_number, day_of
from backfill_core.graph import Declared, Edge, Pipeline, edges_of
from backfill_core.model.calendar import Calendar, CalendarDays, EveryDay, Monthly, Schedule, Season, Weekly, calendar_days
from backfill_core.model.expectations import (
    Allowed,
    AtMost,
    CalendarKeys,
    Expectation,
    KeysOf,
    MatchingKeys,
    NotNull,
    Rows,
    Rule,
    UniqueKey,
    among_parts,
)
from backfill_core.model.needs import Need
from backfill_core.model.processor import Layer, Output, Processor
from backfill_core.model.reviews import NO_REVIEWS, Accepted, Reviews, Waiver
from backfill_core.model.runs import SOURCE, Python
from backfill_core.model.table import Table
from backfill_core.model.units import Unit
from backfill_core.model.windows import SAME_DATE, SEASON_TO_DATE, CalendarDates, Days, LastGames, Window
from backfill_core.plan import Cascade, Order, Plan, Request
from backfill_core.planning.contents import content_column
from backfill_core.planning.judge import judge_coverage, window_map
from backfill_core.planning.make_plan import make_plan
from backfill_core.planning.work import KINDS

BASE = day_number(date(2024, 10, 22))
#: Days of the world, counted from BASE.
LENGTH = 22
THOROUGH = os.environ.get("THOROUGH") == "1"


def fill(_dates: object, _ctx: object) -> tuple[()]:
    """What processors run that are planned and never called."""
    return ()


def examples(normal: int, thorough: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        deadline=None,
        max_examples=thorough if THOROUGH else normal,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


# A warehouse in memory


class Row(NamedTuple):
    key: str
    #: Tells rows of one key apart: the table's key is (key, n).
    n: int
    value: int | None
    written: int


#: Rows of each processor by day number; a table that is not there yet is left out.
Tables = Mapping[str, Mapping[int, tuple[Row, ...]]]


@dataclass(frozen=True, kw_only=True, repr=False)
class World:
    """Everything a plan is made from."""

    declared: tuple[Declared, ...]
    calendars: dict[str, CalendarDays]
    tables: dict[str, dict[int, tuple[Row, ...]]]
    reach: dict[str, Span]
    request: Request
    #: What rows say of their content where it is not what they rest on now; None: some row says nothing.
    said: dict[str, dict[int, str | None]] = field(default_factory=dict)
    reviews: Reviews = NO_REVIEWS

    def __repr__(self) -> str:
        lines = [repr(each.value) for each in self.declared if isinstance(each.value, (Layer, Processor))]
        for calendar in self.calendars.values():
            seasons = ", ".join(str(season.span) for season in calendar.seasons)
            lines.append(f"{calendar.name}: {calendar.expected.to_json()} {calendar.others} [{seasons}] {calendar.horizon}")
        keys = self.calendars["schedule"].keys
        lines.append(f"keys {' '.join(''.join(sorted(keys[n])) for n in sorted(keys))}")
        for name, days in self.tables.items():
            lines.append(f"{name} holds")
            for n, rows in days.items():
                found = " ".join(f"{row.key}{row.n}{'' if row.value else '-'}@{row.written}" for row in rows)
                lines.append(f"  {day_of(n)} {found}")
        lines += [f"reach {name} {span}" for name, span in self.reach.items()]
        lines += [f"{name} says {days}" for name, days in self.said.items()]
        return "\n".join([*lines, repr(self.reviews), repr(self.request)])

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(f"\n{self!r}\n")

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline.build(self.declared, runtime="local")

    @property
    def calendar_of(self) -> dict[str, CalendarDays]:
        return {name: self.calendars[processor.calendar] for name, processor in self.pipeline.processors.items()}

    def facts(self) -> dict[str, DateFacts]:
        found = {}
        for name, processor in self.pipeline.processors.items():
            also = {short: facts_of(self, part, short) for short, part in processor.parts.items()}
            found[name] = together(facts_of(self, processor, name), also)
        return found


def season_start(calendar: CalendarDays, number: int) -> int:
    starts = [day_number(season.span.first) for season in calendar.seasons]
    return max((start for start in starts if start <= number), default=number if starts else 0)


def keys_on(tables: Tables, name: str, number: int) -> set[str]:
    return {row.key for row in tables.get(name, {}).get(number, ())}


def window_start(window: Window, upstream: CalendarDays, number: int) -> int:
    """The first day of a window, were there no seasons."""
    match window:
        case Days(count=count) | LastGames(within=count):
            return number - count
        case CalendarDates(count=count):
            before = [n for n in upstream.expected.numbers() if n < number]
            return before[-count:][0] if before else number
        case _:
            return BASE


def wanted_keys(check: KeysOf, name: str, known: Mapping[str, CalendarDays], tables: Tables, number: int) -> set[str]:
    """The keys that another processor's rows ask for on a day. ``known`` has the calendar of each processor."""
    calendar, upstream = known[name], known[check.processor]
    first = window_start(check.window, upstream, number)
    earlier = [keys_on(tables, check.processor, n) for n in range(max(BASE, season_start(calendar, number), first), number)]
    if check.window == SAME_DATE:
        wanted = keys_on(tables, check.processor, number)
        least = check.at_least
    else:
        wanted = set().union(*earlier)
        least = max(check.at_least, 1)
    wanted = {key for key in wanted if sum(key in keys for keys in earlier) >= least}
    return wanted & keys_on(tables, check.also_in, number) if check.also_in else wanted


def facts_of(world: World, processor: Processor, name: str) -> DateFacts:
    """What one question about a table of the processor would come to."""
    tables, calendar = world.tables, world.calendars[processor.calendar]
    days = DateSet.of_span(world.reach[processor.name]).numbers()
    held = {n: tables[name][n] for n in days if n in tables.get(name, {})}
    shares: dict[str, dict[int, tuple[int, int, int]]] = {}
    for check in processor.expectations:
        # A comparison with a table that is not there is not asked.
        if isinstance(check, KeysOf) and {check.processor, check.also_in or check.processor} <= tables.keys():
            found = shares.setdefault(str(check), {})
            for n in days:
                wanted, own = (
                    wanted_keys(check, processor.name, world.calendar_of, tables, n),
                    {row.key for row in held.get(n, ())},
                )
                if check.window != SAME_DATE and day_of(n) not in calendar.expected:
                    wanted = set()
                if wanted or own:
                    found[n] = (len(wanted & own), len(wanted), len(own - wanted))
    if name not in tables:
        return replace(NO_FACTS, shares=shares)
    checks: dict[str, dict[int, tuple[int, int]]] = {}
    for rule in processor.rules:
        if isinstance(rule, (NotNull, Allowed)):
            other = among_parts(rule.among)[1]
            judged = {n: [row for row in rows if not other or row.key in keys_on(tables, other, n)] for n, rows in held.items()}
            checks[str(rule)] = {n: (sum(row.value is not None for row in rows), len(rows)) for n, rows in judged.items() if rows}
        if isinstance(rule, MatchingKeys) and rule.processor in tables:
            found = {n: keys_on(tables, rule.processor, n) for n in held}
            checks[str(rule)] = {n: (sum(row.key in found[n] for row in rows), len(rows)) for n, rows in held.items()}
    table = processor.writes
    assert isinstance(table, Table)
    counted = {n: {key: sum(row.key == key for row in rows) for key in sorted({r.key for r in rows})} for n, rows in held.items()}
    return DateFacts(
        rows={n: len(rows) for n, rows in held.items()},
        distinct={n: len({(row.key, row.n) for row in rows}) for n, rows in held.items()},
        oldest={n: min(row.written for row in rows) for n, rows in held.items()} if table.updated else {},
        newest={n: max(row.written for row in rows) for n, rows in held.items()} if table.updated else {},
        hashes=hashes_of(held) if table.hash else {},
        made_from={edge.hash: said_of(world, edge, list(held)) for edge in edges_of(processor) if edge.hash and processor.needs},
        keys={"game": counted},
        checks=checks,
        shares=shares,
    )


def hashes_of(days: Mapping[int, tuple[Row, ...]]) -> dict[int, str]:
    """A row without a value has no hash, and so its date has none."""
    told = {n: rows for n, rows in days.items() if all(row.value is not None for row in rows)}
    return {n: " ".join(sorted(f"{row.key}{row.n}{row.value}" for row in rows)) for n, rows in told.items()}


def said_of(world: World, edge: Edge, days: list[int]) -> dict[int, str]:
    """What a table's rows say they were computed from: mostly, what their need holds now."""
    held = {name: world.tables.get(name, {}) for name in edge.upstreams}
    facts = {
        name: DateFacts(rows={n: len(rows) for n, rows in each.items()}, hashes=hashes_of(each)) for name, each in held.items()
    }
    now = content_column(edge.hash or "", edge, window_map(world.pipeline, edge, world.calendars), days).texts(facts)
    texts = now | {n: text for n, text in world.said.get(edge.downstream, {}).items() if n in days}
    return {n: text for n, text in texts.items() if text is not None}


def perfect_rows(
    processor: Processor, known: Mapping[str, CalendarDays], tables: Tables, number: int, written: int
) -> tuple[Row, ...]:
    """What a run that does all it should writes for a day, from what its upstreams hold now."""
    each: dict[str, int] = {}
    least = 0
    for check in processor.expectations:
        match check:
            case CalendarKeys(at_least=at_least, exactly=exactly):
                each |= dict.fromkeys(known[processor.name].keys.get(number, ()), exactly or at_least)
            case KeysOf():
                each = dict.fromkeys(wanted_keys(check, processor.name, known, tables, number), 1) | each
            case Rows(at_least=at_least, exactly=exactly):
                least = exactly or at_least
            case AtMost():
                pass
    rows = [Row(key, n, 1, written) for key, count in sorted(each.items()) for n in range(count)]
    rows += [Row("A", 10 + n, 1, written) for n in range(least - len(rows))]
    return tuple(rows)


# Random worlds


@st.composite
def calendars(draw: st.DrawFn) -> dict[str, CalendarDays]:
    world = Span(day_of(BASE), day_of(BASE + LENGTH - 1))
    found = [calendar_days(each, world) for each in (EveryDay("every"), Weekly("weekly", weekday=2), Monthly("monthly", day=31))]
    off = draw(st.sets(st.integers(0, LENGTH - 1), max_size=8))
    cut = draw(st.one_of(st.none(), st.integers(4, LENGTH - 4), st.integers(8, 14)))
    on = sorted(set(range(LENGTH)) - off)
    parts = [[n for n in on if n < (LENGTH if cut is None else cut)], [n for n in on if cut is not None and n >= cut]]
    spans = [Span(day_of(BASE + part[0]), day_of(BASE + part[-1])) for part in parts if part]
    labelled = draw(st.sets(st.sampled_from(sorted(off)), max_size=2)) if off else set()
    games = draw(st.lists(st.sampled_from(["AB", "A", "ABC", "BC", "C"]), min_size=5, max_size=5))
    found.append(
        CalendarDays(
            name="schedule",
            expected=DateSet.from_numbers([BASE + n for n in on]),
            others=(("preseason", DateSet.from_numbers(sorted(BASE + n for n in labelled))),) if labelled else (),
            keys={BASE + n: frozenset(games[n % 5]) for n in on},
            seasons=tuple(Season(str(place), span) for place, span in enumerate(spans)),
            horizon=draw(st.sampled_from([None, None, day_of(BASE + LENGTH - 4)])),
        )
    )
    return {calendar.name: calendar for calendar in found}


SCHEDULE = Schedule("schedule", files="*.csv", date="d", key="k", season="s", type="t", expected=("regular",))
LOOK_BACK: st.SearchStrategy[Window] = st.one_of(
    st.integers(1, 6).map(Days),
    st.integers(1, 4).map(CalendarDates),
    st.integers(1, 6).map(lambda within: LastGames(3, "team", within)),
    st.just(SEASON_TO_DATE),
)
WINDOWS = st.one_of(st.just(SAME_DATE), LOOK_BACK)
SHARES = st.sampled_from([None, 0.5, 0.8, 0.9, 1.0])


@st.composite
def needs(draw: st.DrawFn, name: str, upstreams: list[str]) -> tuple[Need, ...]:
    found = []
    for _ in range(draw(st.integers(0, 3)) if upstreams else 0):
        chosen = draw(st.lists(st.sampled_from(upstreams), min_size=1, max_size=2, unique=True))
        on = chosen[0] if len(chosen) == 1 else tuple(chosen)
        soft = draw(st.integers(0, 3)) == 3
        found.append(Need(on, window=draw(WINDOWS), soft=soft, share=draw(SHARES)))
    if draw(st.integers(0, 4)) == 4:
        with_other = upstreams and draw(st.integers(0, 5)) == 5
        on = (name, draw(st.sampled_from(upstreams))) if with_other else name
        found.append(Need(on, window=draw(LOOK_BACK), soft=draw(st.integers(0, 3)) == 3, share=draw(SHARES)))
    return tuple(found)


@st.composite
def history(draw: st.DrawFn, wanted: tuple[Expectation, ...]) -> tuple[Need, ...]:
    """Mostly, a need of the window from which keys come: without it the window itself is taken to be needed."""
    found = [check for check in wanted if isinstance(check, KeysOf) and check.window != SAME_DATE]
    return tuple(Need(check.processor, window=draw(LOOK_BACK), share=draw(SHARES)) for check in found if draw(st.integers(0, 3)))


@st.composite
def told(draw: st.DrawFn, wanted: tuple[Need, ...], telling: set[str], updated: str | None) -> tuple[Need, ...]:
    """The needs, some of which say what rows were computed from, where all of their upstreams tell it."""
    return tuple(
        replace(need, hash=f"from{place}") if updated and telling.issuperset(need.upstreams) and draw(st.integers(0, 2)) else need
        for place, need in enumerate(wanted)
    )


@st.composite
def expectations(draw: st.DrawFn, calendar: str, upstreams: list[str]) -> tuple[Expectation, ...]:
    kinds = ["rows"] + ["keys"] * 2 * (calendar == "schedule") + ["of", "of", "history"] * bool(upstreams)
    share = draw(st.sampled_from([1.0, 0.9, 0.5]))
    found: list[Expectation] = []
    match draw(st.sampled_from(kinds)):
        case "rows":
            found.append(draw(st.sampled_from([Rows(), Rows(at_least=2), Rows(exactly=1), Rows(exactly=3)])))
        case "keys":
            each = draw(st.sampled_from([{}, {"at_least": 2}, {"exactly": 1}, {"exactly": 2}]))
            found.append(CalendarKeys("game", share=share, **each))
        case "of":
            also = draw(st.sampled_from([None, None, *upstreams]))
            least = draw(st.sampled_from([0, 0, 0, 1, 2]))
            of = draw(st.sampled_from(upstreams))
            # Keys on enough earlier dates are not combined with a third table's: no table does.
            found.append(KeysOf(of, share=share, column="game", at_least=least, also_in=None if least else also))
        case _:
            least = draw(st.integers(0, 3))
            of = draw(st.sampled_from(upstreams))
            window = draw(st.one_of(st.just(SEASON_TO_DATE), LOOK_BACK))
            found.append(KeysOf(of, share=share, column="game", at_least=least, window=window))
    if upstreams and draw(st.integers(0, 4)) == 4:
        found.append(AtMost(draw(st.sampled_from([1.0, 1.5, 3.0])), of=draw(st.sampled_from(upstreams))))
    elif draw(st.integers(0, 6)) == 6 and not isinstance(found[0], Rows):
        found.append(Rows())
    return tuple(found)


@st.composite
def rules(draw: st.DrawFn, upstreams: list[str]) -> tuple[Rule, ...]:
    found: list[Rule] = [UniqueKey(share=draw(st.sampled_from([1.0, 0.5])))] if draw(st.booleans()) else []
    if draw(st.booleans()):
        among = draw(st.sampled_from([None, None, *(f"game in {name}" for name in upstreams)]))
        share = draw(st.sampled_from([1.0, 0.5]))
        plain: Rule = NotNull("value", share=share, among=among)
        found.append(draw(st.sampled_from([plain, Allowed("value", values=(1, 2), share=share, among=among)])))
    if upstreams and draw(st.integers(0, 3)) == 3:
        found.append(MatchingKeys(draw(st.sampled_from(upstreams)), column="game", share=draw(st.sampled_from([1.0, 0.5]))))
    return tuple(found)


@st.composite
def further(draw: st.DrawFn, name: str, calendar: str, upstreams: list[str]) -> Output:
    """A second table of a processor."""
    settles = draw(st.one_of(st.none(), st.none(), st.integers(1, 6).map(Days)))
    updated = draw(st.sampled_from([None, "written"]))
    table = Table(f"set.{name}2", date="day", key=("day", "game", "n"), updated=updated, settles_after=settles)
    return Output(table, complete_when=draw(expectations(calendar, upstreams)), rules=draw(rules(upstreams)))


@st.composite
def projects(draw: st.DrawFn) -> tuple[Declared, ...]:
    """Layers in a partial order whose names do not follow it, and processors that read those before them."""
    labels = draw(st.permutations(["ada", "bob", "cyd"]))[: draw(st.integers(1, 3))]
    layers: list[Layer] = []
    allowed: dict[str, set[str]] = {}
    for place, label in enumerate(labels):
        after = draw(st.sets(st.sampled_from(labels[:place]))) if place else set()
        layers.append(Layer(label, after=tuple(sorted(after))))
        allowed[label] = {label}.union(*(allowed[before] for before in after))
    processors: list[Processor] = []
    telling: set[str] = set()
    names = draw(st.permutations(["p", "q", "r", "s", "t", "u", "v"]))[: draw(st.integers(2, 7))]
    for name in names:
        layer = draw(st.sampled_from(labels))
        calendar = draw(st.sampled_from(["every", "schedule", "schedule", "schedule", "weekly", "monthly"]))
        upstreams = [other.name for other in processors if other.layer in allowed[layer]]
        source = draw(st.integers(0, 4 if upstreams else 2)) == 0
        updated, hashed = ("written" if draw(st.integers(0, 3)) else None), draw(st.booleans())
        also = () if draw(st.integers(0, 3)) else (draw(further(name, calendar, [] if source else upstreams)),)
        if updated and hashed and not also:
            telling.add(name)
        wanted = draw(expectations(calendar, [] if source else upstreams))
        processors.append(
            Processor(
                name,
                layer=layer,
                calendar=calendar,
                writes=Table(
                    f"set.{name}",
                    date="day",
                    key=("day", "game", "n"),
                    updated=updated,
                    hash="content" if hashed else None,
                    settles_after=draw(st.one_of(st.none(), st.none(), st.integers(1, 6).map(Days))),
                ),
                run=SOURCE if source else Python(fill),
                also=also,
                needs=() if source else draw(told(draw(needs(name, upstreams)) + draw(history(wanted)), telling, updated)),
                complete_when=wanted,
                rules=draw(rules([] if source else upstreams)),
                warmup=draw(st.one_of(st.none(), st.none(), st.integers(1, 4).map(Days))),
            )
        )
    values: list[Layer | Processor | Calendar] = [
        *layers,
        *processors,
        EveryDay("every"),
        Weekly("weekly", weekday=2),
        Monthly("monthly", day=31),
        SCHEDULE,
    ]
    return tuple(Declared(value, "t.py", 1) for value in values)


FATES = ("full", "nothing", "half", "twice", "null", "surplus", "more", "mixed")
#: What became of a day, and when it was written.
FATE = st.tuples(st.sampled_from(FATES), st.integers(0, 3))


def spoilt(rows: tuple[Row, ...], fate: str) -> tuple[Row, ...]:
    match fate:
        case "nothing":
            return ()
        case "half":
            return rows[: (len(rows) + 1) // 2]
        case "twice":
            return rows + rows[:1]
        case "null":
            return tuple(row._replace(value=None) for row in rows[:1]) + rows[1:]
        case "surplus":
            return (*rows, Row("Z", 0, 1, rows[0].written if rows else 0))
        case "more":
            return rows + tuple(row._replace(n=20) for row in rows)
        case "mixed":
            return tuple(row._replace(written=row.written - 150) for row in rows[:1]) + rows[1:]
        case _:
            return rows


@st.composite
def filled(draw: st.DrawFn, pipeline: Pipeline, known: Mapping[str, CalendarDays]) -> dict[str, dict[int, tuple[Row, ...]]]:
    """Tables, each filled from those before it, with holes and flaws on a few of its dates."""
    tables: dict[str, dict[int, tuple[Row, ...]]] = {}
    calendar_of = {name: known[processor.calendar] for name, processor in pipeline.processors.items()}
    filling = [(name, each) for p in pipeline.processors.values() for name, each in ((p.name, p), *p.parts.items())]
    for name, processor in filling:
        moods = ["full", "full", "nothing", "absent"] if pipeline.runs(processor.name) else ["full"] * 8 + ["nothing", "absent"]
        mood = draw(st.sampled_from(moods))
        if mood == "absent":
            continue
        slot = draw(st.integers(0, 3))
        odd = draw(st.dictionaries(st.integers(0, LENGTH - 1), FATE, max_size=5))
        own_dates = any(name in need.upstreams for need in processor.needs)
        calendar, tables[name] = known[processor.calendar], {}
        for n in range(BASE, BASE + LENGTH):
            fate, when = odd.get(n - BASE, (mood if day_of(n) in calendar.expected else "nothing", slot))
            written = 1000 + 100 * (slot if own_dates else when) + n - BASE
            rows = perfect_rows(processor, calendar_of, tables, n, written)
            rows = spoilt(rows or (Row("A", 0, 1, written),) * (fate == "surplus"), fate)
            if rows:
                tables[name][n] = rows
    return tables


@st.composite
def worlds(draw: st.DrawFn) -> World:
    known = draw(calendars())
    declared = draw(projects())
    pipeline = Pipeline.build(declared, runtime="local")
    first = draw(st.integers(0, LENGTH - 8))
    last = draw(st.integers(first + 3, LENGTH - 1))
    names = list(pipeline.processors)
    whole = draw(st.integers(0, 3)) < 3
    subset = st.none() if whole else st.one_of(st.none(), st.sets(st.sampled_from(names), min_size=1))
    layer_names = [layer.name for layer in pipeline.layers]
    dates = draw(st.none() if whole else st.one_of(st.none(), st.sets(st.integers(0, LENGTH - 1), max_size=8)))
    chosen = draw(subset) or ()
    request = Request(
        target="local",
        span=Span(day_of(BASE + first), day_of(BASE + last)),
        today=day_of(BASE + last + draw(st.integers(0, 3))),
        through=layer_names[-1] if whole else draw(st.sampled_from(layer_names)),
        processors=tuple(name for name in names if name in chosen),
        dates=None if dates is None else DateSet.from_numbers([BASE + n for n in sorted(dates)]),
        **draw(wishes()),
    )
    back = draw(st.sampled_from([LENGTH, LENGTH, 0, 3]))
    odd = st.dictionaries(st.integers(BASE, BASE + LENGTH - 1), st.sampled_from(["", "0", "x", None]), max_size=5)
    return World(
        declared=declared,
        calendars=known,
        tables=draw(filled(pipeline, known)),
        reach={name: Span(day_of(BASE + max(0, first - back)), request.span.last) for name in names},
        request=request,
        said={name: draw(odd) for name in names},
        reviews=draw(reviews(names, request.today)),
    )


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """What a person may want beyond what is missing; mostly nothing."""
    if draw(st.booleans()):
        return {}
    since = draw(st.one_of(st.none(), st.integers(1000, 1400)))
    cascade = draw(st.sampled_from(Cascade))
    limit = draw(st.one_of(st.none(), st.integers(1, 4))) if cascade is Cascade.NONE else None
    return {
        "older_than": None if since is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=since),
        "include_warmup": since is not None and draw(st.booleans()),
        "cascade": cascade,
        "reasons": tuple(kind for kind in KINDS if kind in draw(st.one_of(st.just(set()), st.sets(st.sampled_from(KINDS))))),
        "limit": limit,
        "order": draw(st.sampled_from([Order.OLDEST, Order.NEWEST])),
    }


@st.composite
def reviews(draw: st.DrawFn, names: list[str], today: date) -> Reviews:
    """Some waivers, one of which may have expired, and some dates accepted up to some instant."""
    if draw(st.booleans()):
        return NO_REVIEWS
    days = st.sets(st.integers(BASE, BASE + LENGTH - 1), min_size=1, max_size=6).map(sorted)
    waiver = st.builds(
        Waiver,
        processor=st.sampled_from(names),
        dates=days.map(DateSet.from_numbers),
        reason=st.sampled_from(["lost", "late"]),
        who=st.just("somebody"),
        when=st.just(today),
        until=st.sampled_from([None, None, today, today - timedelta(days=1)]),
    )
    accepted = st.builds(
        Accepted,
        processor=st.sampled_from(names),
        reason=st.just("fine"),
        who=st.just("somebody"),
        when=st.just(today),
        target=st.just("local"),
        newest=st.dictionaries(st.integers(BASE, BASE + LENGTH - 1), st.integers(1000, 1450), min_size=1, max_size=4),
    )
    return Reviews(waivers=tuple(draw(st.lists(waiver, max_size=3))), accepted=tuple(draw(st.lists(accepted, max_size=2))))


# The planner and the model, in the same words


def covered(world: World, facts: Mapping[str, DateFacts]) -> Coverage:
    span, today = world.request.span, world.request.today
    reviews = world.reviews
    return judge_coverage(world.pipeline, world.calendars, facts, world.reach, span=span, today=today, reviews=reviews)


def modelled(world: World, facts: Mapping[str, DateFacts]) -> Model:
    return Model(world.pipeline, world.calendars, facts, world.reach, world.request, world.request.today, world.reviews).decide()


def units(name: str, dates: Iterable[date]) -> list[Unit]:
    return [Unit(name, day) for day in dates]


def states_of(coverage: Coverage) -> dict[Unit, str]:
    """The state of every unit; a unit in two states is in neither."""
    found: dict[Unit, str] = {}
    for name, each in coverage.processors.items():
        for state, dates in each.states.items():
            for unit in units(name, dates):
                found[unit] = f"{found[unit]} and {state}" if unit in found else str(state)
    return found


def reasons_of(plan: Plan) -> dict[Unit, str]:
    found: dict[Unit, str] = {}
    for processor in plan.planned().values():
        for why, dates in processor.reasons.items():
            for unit in units(processor.name, dates):
                found[unit] = f"{found[unit]} and {why}" if unit in found else why
    return found


def roots_of(plan: Plan) -> dict[Unit, set[tuple[str, str]]]:
    found: dict[Unit, set[tuple[str, str]]] = {}
    for blocked in plan.blocked:
        for unit in units(blocked.processor, blocked.dates):
            found.setdefault(unit, set()).update((cause.processor, cause.why) for cause in blocked.because)
    return found


@examples(300, 5000)
@given(world=worlds())
def test_the_planner_is_the_model(world: World) -> None:
    facts = world.facts()
    coverage = covered(world, facts)
    plan = make_plan(world.pipeline, coverage, world.request)
    in_order(world, plan)
    whole = modelled(world, facts)
    model = whole.limited()
    assert states_of(coverage) == model.states
    assert reasons_of(plan) == model.planned
    assert roots_of(plan) == model.blocked
    planned = plan.planned().values()
    assert {unit for each in planned for unit in units(each.name, each.degraded)} == model.degraded
    assert {unit for each in planned for unit in units(each.name, each.unsettled)} == model.unsettled
    stale = {unit for unit, state in model.states.items() if state == "stale" and model.asked(unit)}
    stale = {unit for unit in stale if unit.day in world.request.span and unit not in model.planned}
    assert {unit for name, dates in plan.stale.items() for unit in units(name, dates)} == stale
    assert {why: set(dates) for why, dates in plan.not_planned.items()} == model.not_planned(whole)
    assert plan.asked == len(model.dated())


def in_order(world: World, plan: Plan) -> None:
    """Nothing planned precedes what is planned and that it needs or reads, in the order of stages and processors."""
    order = [processor.name for stage in plan.stages for processor in stage.processors]
    stages = {processor.name: stage.layer for stage in plan.stages for processor in stage.processors}
    for name in order:
        assert stages[name] == world.pipeline.processors[name].layer
        for edge in world.pipeline.edges_into[name]:
            for upstream in edge.upstreams:
                assert upstream not in stages or upstream == name or order.index(upstream) < order.index(name)


def executed(world: World, plan: Plan) -> World:
    """The world after every planned unit did all it should, stage by stage, oldest dates first."""
    tables = {name: dict(days) for name, days in world.tables.items()}
    said = {name: dict(days) for name, days in world.said.items()}
    clock = 10_000
    for stage in plan.stages:
        for planned in stage.processors:
            processor = world.pipeline.processors[planned.name]
            for number in planned.dates.numbers():
                clock += 1
                said[planned.name].pop(number, None)
                for name, each in ((planned.name, processor), *processor.parts.items()):
                    table = tables.setdefault(name, {})
                    rows = perfect_rows(each, world.calendar_of, tables, number, clock)
                    table.pop(number, None)
                    if rows:
                        table[number] = rows
    return replace(world, tables=tables, said=said)


def in_vain(world: World, unit: Unit) -> bool:
    """Whether no work can complete a unit: nothing is wanted of it, or what is wanted another processor's rows forbid."""
    processor = world.pipeline.processors[unit.processor]
    return any(vain_in(world, each, name, unit) for name, each in ((unit.processor, processor), *processor.parts.items()))


def vain_in(world: World, processor: Processor, name: str, unit: Unit) -> bool:
    number = day_number(unit.day)
    for rule in processor.rules:
        if isinstance(rule, MatchingKeys):
            rows = world.tables[name].get(number, ())
            matched = [row for row in rows if row.key in keys_on(world.tables, rule.processor, number)]
            if len(matched) < rule.share * len(rows):
                return True
    for check in processor.expectations:
        if isinstance(check, KeysOf) and not wanted_keys(check, unit.processor, world.calendar_of, world.tables, number):
            return True
        if isinstance(check, AtMost):
            count = len(world.tables[name].get(number, ()))
            others = world.tables.get(check.of, {}) if unit.day in world.reach[check.of] else {}
            if count > check.times * len(others.get(number, ())):
                return True
    return False


@examples(150, 3000)
@given(world=worlds())
def test_a_plan_after_a_perfect_execution_has_nothing_of_the_first(world: World) -> None:
    request = replace(world.request, limit=None, include_warmup=False)
    first = make_plan(world.pipeline, covered(world, world.facts()), request)
    assume(first.units)
    later = executed(world, first)
    facts = later.facts()
    coverage = covered(later, facts)
    done = reasons_of(first)
    vain = {unit for unit in done if in_vain(later, unit)}
    # What a direct cascade spoils further is stale then; what was done in vain is planned again, and so is what it spoils.
    again = replace(request, cascade=Cascade.NONE) if vain or request.cascade is Cascade.DIRECT else request
    # Of rows that do not say when they were written nobody knows that they were rewritten.
    if any(day_number(unit.day) not in facts[unit.processor].oldest for unit in done):
        again = replace(again, older_than=None)
    states, second = states_of(coverage), reasons_of(make_plan(later.pipeline, coverage, again))
    for unit in done.keys() - vain:
        assert states[unit] == "complete", unit
        assert second.get(unit, "unsettled").startswith("unsettled"), unit
    if not vain and not any(reads(processor) for processor in later.pipeline.processors.values()):
        assert second == {}
    whole = not later.request.processors and later.request.dates is None
    if not vain and whole:
        assert not second.keys() & done.keys()


def shuffled(value: Any, order: random.Random) -> Any:
    """The same mappings with their items in another order, all the way down."""
    if isinstance(value, DateFacts):
        return DateFacts(**{each.name: shuffled(getattr(value, each.name), order) for each in fields(value)})
    if isinstance(value, Mapping):
        items = [(key, shuffled(each, order)) for key, each in value.items()]
        order.shuffle(items)
        return dict(items)
    return value


@examples(60, 2000)
@given(world=worlds())
def test_saying_what_rows_were_computed_from_only_ever_takes_staleness_away(world: World) -> None:
    silent = replace(
        world,
        declared=tuple(
            replace(each, value=replace(each.value, needs=tuple(replace(need, hash=None) for need in each.value.needs)))
            if isinstance(each.value, Processor)
            else each
            for each in world.declared
        ),
    )
    says, says_not = (states_of(covered(each, each.facts())) for each in (world, silent))
    assert {unit for unit, state in says.items() if state != says_not[unit]} <= {u for u, s in says_not.items() if s == "stale"}
    event(f"stale: {'stale' in says_not.values()}, some acquitted: {says != says_not}")


@examples(80, 1000)
@given(world=worlds(), seed=st.integers(0, 999))
def test_the_same_inputs_give_the_same_bytes(world: World, seed: int) -> None:
    order, facts = random.Random(seed), world.facts()
    plan = make_plan(world.pipeline, covered(world, facts), world.request)
    declared = list(world.declared)
    order.shuffle(declared)
    other = replace(
        world, declared=tuple(declared), calendars=shuffled(world.calendars, order), reach=shuffled(world.reach, order)
    )
    again = make_plan(other.pipeline, covered(other, shuffled(facts, order)), other.request)
    assert json.dumps(again.to_json()) == json.dumps(plan.to_json())
