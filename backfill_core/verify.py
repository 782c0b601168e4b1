"""Verification: what runners claim, held against what the tables hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from backfill_core.coverage import DateFacts, State
from backfill_core.dates import DateSet, Span
from backfill_core.events import Claim, Failure, Outcome, Word
from backfill_core.graph import Pipeline
from backfill_core.live import Live, Refusal
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.table import Table
from backfill_core.model.units import Batch, Unit
from backfill_core.ports import BatchResult, Warehouse
from backfill_core.queries.asking import facts_together, questions_about, tables_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Units of one processor whose call failed the same way."""

    processor: str
    dates: DateSet
    failure: Failure
    why: str
    #: Seconds after which the service wants to be asked again.
    retry_after: float | None = None


@dataclass(slots=True)
class Taken:
    """What came of a call for one of its processors, sorted: each of its dates in one place."""

    #: The words that are final already.
    words: list[Refusal] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    #: Dates whose claims have to be looked at.
    claimed: DateSet = field(default_factory=DateSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What looking at claimed dates of one processor came to."""

    words: list[Refusal]
    #: Dates that are not there and may be tried again, by what they lack.
    absent: dict[str, DateSet]


_NO_WORD = Outcome(claim=Claim.FAILED, failure=Failure.UNKNOWN, why="its call came home without a word on it")


class Verifier:
    """Looks at tables during a run, and finds the words that they bear out. What it sees goes into ``live``."""

    def __init__(
        self,
        pipeline: Pipeline,
        warehouse: Warehouse,
        live: Live,
        calendars: Mapping[str, CalendarDays],
        *,
        allow_shrink: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.warehouse = warehouse
        self.live = live
        self.calendars = calendars
        self.allow_shrink = allow_shrink
        #: Calls that were verified inside the transaction that wrote.
        self.inside = 0
        #: Dates whose rows changed although nobody here was to change them, by processor, until somebody takes them.
        self.underneath: dict[str, DateSet] = {}
        #: Tables that were there when somebody looked: no run takes one away.
        self._there: set[str] = set()
        #: Dates that left in a call, by processor.
        self._touched: dict[str, DateSet] = {}
        #: When the call of each claimed date started that was good before it, by processor and day number.
        self._renewed: dict[str, dict[int, datetime]] = {}
        #: Why nobody knows what became of a unit's call.
        self._doubts: dict[str, dict[int, str]] = {}

    def leaves(self, batch: Batch) -> None:
        """A call is about to leave: what its dates hold is expected to change."""
        for name in batch.processors:
            self.expects(name, batch.dates)

    def expects(self, name: str, dates: DateSet) -> None:
        """What a processor's dates hold is expected to change."""
        self._touched[name] = self._touched.get(name, DateSet()) | dates

    def look(self, name: str, dates: DateSet) -> None:
        """Looks at a table again, over the span of those dates."""
        self.look_at({name: dates})

    def look_at(self, wanted: Mapping[str, DateSet]) -> None:
        """Looks again at the tables of several processors side by side, each over the span of its dates."""
        tables = {name: self._tables_of(name) for name in wanted}
        unseen = {table.dataset for each in tables.values() for table in each if table.name not in self._there}
        if unseen:
            self._there |= self.warehouse.schema(sorted(unseen)).keys()
        asked = {
            name: questions_about(self.pipeline, self.pipeline.processors[name], self.calendars, dates.span)
            for name, dates in wanted.items()
        }
        missing = frozenset(table.name for each in tables.values() for table in each) - self._there
        questions = [question.without(missing) for about in asked.values() for question in about.values()]
        answers = iter(self.warehouse.observe_all(questions))
        for name, about in asked.items():
            self._take_in(name, wanted[name].span, facts_together(dict(zip(about, answers, strict=False)), name))

    def _tables_of(self, name: str) -> list[Table]:
        """The tables that questions about a processor may be asked of."""
        upstreams = (up for edge in self.pipeline.edges_into[name] for up in edge.upstreams)
        return list(tables_named(self.pipeline, (name, *upstreams)).values())

    def _take_in(self, name: str, seen: Span, facts: DateFacts) -> None:
        span, old = DateSet.of_span(seen), self.live.covered[name]
        others = (span & old.findings.asked) - self._touched.get(name, DateSet())
        moved = DateSet.from_numbers([day for day in others.numbers() if _trace(old.facts, day) != _trace(facts, day)])
        if moved:
            self.underneath[name] = self.underneath.get(name, DateSet()) | moved
        self.live.absorb(name, facts, span)

    def settled(self, name: str, dates: DateSet) -> list[Refusal]:
        """Of dates at their turn whose expectation was open when planned, those that need no call any more."""
        looked = self.live.may_be_settled(name, dates)
        if not looked:
            return []
        self.look(name, looked)
        covered = self.live.covered[name]
        return [
            (Word.SKIPPED, "found complete", looked & covered.good),
            (Word.SKIPPED, "no longer expected", looked & covered.states[State.NOT_EXPECTED]),
        ]

    def found(self, name: str, calls: Mapping[int, datetime]) -> list[Refusal]:
        """Of dates that a call of an earlier run may have made, those that need none any more. ``calls`` say when theirs left."""
        dates = DateSet.from_numbers(list(calls))
        if not dates:
            return []
        before = dates & self.live.covered[name].good
        self.look(name, dates)
        covered = self.live.covered[name]
        # Those that were good before are to be written anew: a table that does not tell when it was has not been.
        old = before - self.live.written_since(name, before, calls) if covered.facts.oldest else before
        return [
            (Word.SKIPPED, "found complete", (dates & covered.good) - old),
            (Word.SKIPPED, "no longer expected", dates & covered.states[State.NOT_EXPECTED]),
        ]

    def absorb(self, came: Sequence[tuple[Batch, BatchResult]]) -> None:
        """Takes in what runners saw in the transactions that wrote, of several calls at once; before `take` of each."""
        seen: dict[str, DateSet] = {}
        for batch, result in came:
            for name, facts in result.facts.items():
                self.live.take_in(name, facts, batch.dates)
                seen[name] = seen.get(name, DateSet()) | batch.dates
        for name, dates in seen.items():
            self.live.judge_again(name, dates)

    def take(self, batch: Batch, result: BatchResult, started: datetime) -> dict[str, Taken]:
        """Sorts a call's outcomes, by processor in its order. A unit that has none came to nobody knows what."""
        found = {name: Taken() for name in batch.processors}
        for name, taken in found.items():
            of: dict[Outcome, list[int]] = {}
            for number, day in zip(batch.dates.numbers(), batch.dates, strict=True):
                of.setdefault(result.outcomes.get(Unit(name, day), _NO_WORD), []).append(number)
            for outcome, days in of.items():
                self._sort(taken, name, DateSet.from_numbers(days), outcome, started, inside=name in result.facts)
        return found

    def _sort(self, taken: Taken, name: str, dates: DateSet, outcome: Outcome, started: datetime, *, inside: bool) -> None:
        if outcome.claim is Claim.DECLINED:
            taken.words.append((Word.DECLINED, outcome.why, dates))
        elif outcome.claim is Claim.DONE and inside:
            self.inside += 1
            taken.words += self._borne_out(name, dates)
        else:
            if outcome.claim is Claim.DONE:
                taken.claimed |= dates
                if outcome.why:  # a claim with a reservation: told if the rows are not there
                    self._doubts.setdefault(name, {}).update(dict.fromkeys(dates.numbers(), outcome.why))
            failure = outcome.failure or Failure.PERMANENT
            if outcome.claim is Claim.DONE or failure is Failure.UNKNOWN:
                again = dates & self.live.covered[name].good
                self._renewed.setdefault(name, {}).update(dict.fromkeys(again.numbers(), started))
            if outcome.claim is Claim.FAILED:
                lost = Lost(processor=name, dates=dates, failure=failure, why=outcome.why, retry_after=outcome.retry_after)
                taken.lost.append(lost)
                if failure is Failure.UNKNOWN:
                    self._doubts.setdefault(name, {}).update(dict.fromkeys(dates.numbers(), outcome.why))

    def verify(self, claims: Mapping[str, DateSet], last: Callable[[str], DateSet]) -> Iterator[tuple[str, Verified]]:
        """Looks at claimed dates of several processors: what each came to.

        A date that ``last`` names of its processor has been tried again, and gets a word whatever it holds.
        """
        if not claims:
            return
        before = {
            name: {day: self.live.covered[name].facts.distinct.get(day, 0) for day in dates.numbers()}
            for name, dates in claims.items()
        }
        self.look_at(claims)
        for name, dates in claims.items():
            yield name, self._verified(name, dates, last(name), before[name])

    def _verified(self, name: str, dates: DateSet, last: DateSet, before: Mapping[int, int]) -> Verified:
        shrunk = {} if self.allow_shrink else self._shrunk(name, before)
        dates -= DateSet.from_numbers(list(shrunk))
        renewed = self._renewed.get(name, {})
        written = (dates - DateSet.from_numbers([day for day in dates.numbers() if day in renewed])) | self.live.written_since(
            name, dates & DateSet.from_numbers(list(renewed)), renewed
        )
        covered = self.live.covered[name]
        if self.pipeline.processors[name].rerun == "appends":
            last |= DateSet.from_numbers(list(covered.facts.rows)) & dates
        there = dates & (covered.good & written | covered.states[State.NOT_EXPECTED])
        again = dates - there - last
        words = [(Word.FAILED, why, DateSet.from_numbers([day])) for day, why in shrunk.items()]
        words += self._borne_out(name, there) + [
            (Word.FAILED, why, days) for why, days in self._lacking(name, dates & last - there)
        ]
        self._forget(name, [*shrunk, *(dates - again).numbers()])
        return Verified(words=words, absent=dict(self._lacking(name, again)))

    def _shrunk(self, name: str, before: Mapping[int, int]) -> dict[int, str]:
        """Days that hold fewer distinct keys than before their call, in words."""
        after = self.live.covered[name].facts.distinct
        return {
            day: f"shrank, {had} keys -> {after.get(day, 0)}; it is too late to undo"
            for day, had in before.items()
            if after.get(day, 0) < had
        }

    def _lacking(self, name: str, dates: DateSet) -> list[tuple[str, DateSet]]:
        """What a table lacks on dates, in words, behind what is known of a call that was lost."""
        found: dict[str, list[int]] = {}
        doubts = self._doubts.get(name, {})
        for why, days in self.live.shortfalls(name, dates).items():
            for day in days.numbers():
                found.setdefault(f"{doubts[day]}; {why}" if day in doubts else why, []).append(day)
        return [(why, DateSet.from_numbers(days)) for why, days in found.items()]

    def _forget(self, name: str, days: list[int]) -> None:
        for kept in (self._renewed.get(name), self._doubts.get(name)):
            if kept:
                for day in days:
                    kept.pop(day, None)

    def _borne_out(self, name: str, dates: DateSet) -> list[Refusal]:
        """The word that its table bears out for each of the claimed dates."""
        covered = self.live.covered[name]
        done = dates & covered.good
        unexpected = dates & covered.states[State.NOT_EXPECTED]
        failed = self.live.shortfalls(name, dates - done - unexpected)
        return [
            (Word.DONE, "", done),
            (Word.SKIPPED, "no longer expected", unexpected),
            *((Word.FAILED, why, days) for why, days in failed.items()),
        ]


def _trace(facts: DateFacts, day: int) -> tuple[int | None, int | None]:
    """What shows that a date's rows are others than they were."""
    return facts.rows.get(day), facts.newest.get(day)
