"""Stale by content against a history that remembers what everything was computed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from backfill_core.coverage import DateFacts, State
from backfill_core.dates import DateSet, Span, day_number, day_of
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, calendar_days
from backfill_core.model.expectations import Rows
from backfill_core.model.needs import Need, any_of
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import SOURCE
from backfill_core.model.table import Table
from backfill_core.model.windows import days
from backfill_core.planning.contents import content_column
from backfill_core.planning.judge import judge_coverage, window_map

FIRST = day_number(date(2024, 5, 1))
LENGTH = 10
SPAN = Span(day_of(FIRST), day_of(FIRST + LENGTH - 1))
CALENDARS = {"daily": calendar_days(EveryDay("daily"), SPAN)}


def one(name: str, *needs: Need) -> Processor:
    table = Table(f"x.{name}", date="day", updated="at", hash="content")
    return Processor(name, layer="raw", calendar="daily", writes=table, needs=needs, complete_when=Rows(), run=SOURCE)


PROCESSORS = (
    one("a"),
    one("b"),
    one("same", Need("a", hash="made")),
    one("week", Need("a", window=days(3), hash="made")),
    one("either", any_of("a", "b", hash="made")),
    one("both", Need("a", hash="made"), Need("b", window=days(2), hash="back")),
)
PIPELINE = Pipeline.build([Declared(value, "t.py") for value in (EveryDay("daily"), Layer("raw"), *PROCESSORS)], "local")
DOWNSTREAM = [processor.name for processor in PROCESSORS if processor.needs]


@dataclass
class History:
    """What was written when, with which content, and from what: by processor and day."""

    clock: int = 0
    written: dict[str, dict[int, int]] = field(default_factory=lambda: {processor.name: {} for processor in PROCESSORS})
    #: None: a row has no hash.
    held: dict[str, dict[int, str | None]] = field(default_factory=lambda: {processor.name: {} for processor in PROCESSORS})
    seen: dict[tuple[str, int, str], dict[tuple[str, int], str | None]] = field(default_factory=dict)
    made_from: dict[str, dict[str, dict[int, str]]] = field(default_factory=lambda: {name: {} for name in DOWNSTREAM})

    def write(self, name: str, day: int, content: str | None) -> None:
        self.clock += 1
        self.written[name][day] = self.clock
        self.held[name][day] = content

    def remove(self, name: str, day: int) -> None:
        self.written[name].pop(day, None)
        self.held[name].pop(day, None)

    def rebuild(self, name: str, day: int) -> None:
        self.write(name, day, "built")
        for edge in PIPELINE.edges_into[name]:
            assert edge.hash
            self.seen[name, day, edge.hash] = self.window(name, day, edge.hash)
            column = content_column(edge.hash, edge, window_map(PIPELINE, edge, CALENDARS), [day])
            texts = self.made_from[name].setdefault(edge.hash, {})
            texts.pop(day, None)
            texts.update(column.texts(self.facts()))

    def window(self, name: str, day: int, column: str) -> dict[tuple[str, int], str | None]:
        """What the dates of a need hold now, of those that hold anything."""
        (need,) = (need for need in PIPELINE.processors[name].needs if need.hash == column)
        looked = [day] if str(need.window) == "same date" else range(day - int(str(need.window).split()[0]), day)
        return {(up, n): self.held[up][n] for up in need.upstreams for n in looked if n in self.held[up]}

    def stale(self, name: str, day: int) -> bool:
        for need in PIPELINE.processors[name].needs:
            assert need.hash
            now, then = self.window(name, day, need.hash), self.seen[name, day, need.hash]
            newer = any(self.written[up][n] > self.written[name][day] for up, n in now)
            if newer and (now != then or None in now.values()):
                return True
        return False

    def facts(self) -> dict[str, DateFacts]:
        return {
            name: DateFacts(
                rows=dict.fromkeys(written, 1),
                oldest=written,
                newest=written,
                hashes={day: text for day, text in self.held[name].items() if text is not None},
                made_from=self.made_from.get(name, {}),
            )
            for name, written in self.written.items()
        }


DAYS = st.integers(FIRST, FIRST + LENGTH - 1)
WRITES = st.tuples(st.sampled_from("ab"), DAYS, st.sampled_from(["x", "x", "x", "y", "removed", None]))
REBUILDS = st.tuples(st.sampled_from(DOWNSTREAM), DAYS, st.just("rebuilt"))


@settings(deadline=None, max_examples=150)
@given(steps=st.lists(st.one_of(WRITES, WRITES, REBUILDS), max_size=25))
def test_a_date_is_stale_when_something_newer_is_also_other_than_what_it_was_computed_from(
    steps: list[tuple[str, int, str | None]],
) -> None:
    history = History()
    for name in "ab":
        for day in range(FIRST, FIRST + LENGTH):
            history.write(name, day, "x")
    for name in DOWNSTREAM:
        for day in range(FIRST, FIRST + LENGTH):
            history.rebuild(name, day)
    for name, day, what in steps:
        match what:
            case "rebuilt":
                history.rebuild(name, day)
            case "removed":
                history.remove(name, day)
            case content:
                history.write(name, day, content)
    reach = dict.fromkeys(PIPELINE.processors, SPAN)
    coverage = judge_coverage(PIPELINE, CALENDARS, history.facts(), reach, span=SPAN, today=SPAN.last)
    for name in DOWNSTREAM:
        expected = [day for day in range(FIRST, FIRST + LENGTH) if history.stale(name, day)]
        assert coverage.processors[name].states[State.STALE] == DateSet.from_numbers(expected), name
