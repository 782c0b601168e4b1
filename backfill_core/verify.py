"""Verification: what runners claim, held against what the tables hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from backfill_core.coverage import State
from backfill_core.dates import DateSet
from backfill_core.events import Claim, Word
from backfill_core.graph import Pipeline
from backfill_core.live import Live, Refusal
from backfill_core.model.calendar import CalendarDays
from backfill_core.ports import BatchResult, Warehouse
from backfill_core.queries.asking import facts_together, questions_about, tables_named


class Verifier:
    """Looks at tables during a run, and finds the words that they bear out. What it sees goes into ``live``."""

    def __init__(self, pipeline: Pipeline, warehouse: Warehouse, live: Live, calendars: Mapping[str, CalendarDays]) -> None:
        self.pipeline = pipeline
        self.warehouse = warehouse
        self.live = live
        self.calendars = calendars
        #: Calls that were verified inside the transaction that wrote.
        self.inside = 0
        #: When the call of each claimed date started, by processor and day number.
        self._started: dict[str, dict[int, datetime]] = {}

    def look(self, name: str, dates: DateSet) -> None:
        """Looks at a table again, over the span of those dates."""
        processor = self.pipeline.processors[name]
        upstreams = tuple(up for edge in self.pipeline.edges_into[name] for up in edge.upstreams)
        tables = tables_named(self.pipeline, (name, *upstreams)).values()
        schema = self.warehouse.schema([table.dataset for table in tables])
        questions = questions_about(self.pipeline, processor, self.calendars, dates.span)
        missing = frozenset(table.name for table in tables if table.name not in schema)
        answers = self.warehouse.observe_all([question.without(missing) for question in questions.values()])
        facts = facts_together(dict(zip(questions, answers, strict=True)), name)
        self.live.absorb(name, facts, DateSet.of_span(dates.span))

    def settled(self, name: str, dates: DateSet) -> list[Refusal]:
        """Of dates at their turn whose expectation was open when planned, those that need no call any more."""
        looked = dates & self.live.may_be_settled(name)
        if not looked:
            return []
        self.look(name, looked)
        covered = self.live.covered[name]
        return [
            (Word.SKIPPED, "found complete", looked & covered.good),
            (Word.SKIPPED, "no longer expected", looked & covered.states[State.NOT_EXPECTED]),
        ]

    def take(self, name: str, result: BatchResult, started: datetime) -> tuple[list[Refusal], DateSet]:
        """Sorts a call's outcomes: the words that are final already, and the dates whose claims have to be looked at."""
        claimed: list[date] = []
        lost: dict[tuple[Word, str], list[date]] = {}
        for unit, outcome in result.outcomes.items():
            match outcome.claim:
                case Claim.DONE:
                    claimed.append(unit.day)
                case Claim.FAILED:
                    lost.setdefault((Word.FAILED, outcome.why), []).append(unit.day)
                case Claim.DECLINED:
                    lost.setdefault((Word.DECLINED, outcome.why), []).append(unit.day)
        words: list[Refusal] = [(word, why, DateSet.of(*days)) for (word, why), days in lost.items()]
        dates = DateSet.of(*claimed)
        if dates and name in result.facts:
            self.inside += 1
            self.live.absorb(name, result.facts[name], dates)
            return words + self._borne_out(name, dates), DateSet()
        self._started.setdefault(name, {}).update(dict.fromkeys(dates.numbers(), started))
        return words, dates

    def verify(self, name: str, dates: DateSet, last: DateSet) -> tuple[list[Refusal], dict[str, DateSet]]:
        """Looks at claimed dates: the words they got, and by reason those that are not there and may be tried again.

        A date in ``last`` has been tried again, and gets a word whatever it holds.
        """
        self.look(name, dates)
        written = self.live.written_since(name, dates, self._started[name])
        covered = self.live.covered[name]
        there = dates & (covered.good & written | covered.states[State.NOT_EXPECTED])
        again = dates - there - last
        return self._borne_out(name, dates - again), self.live.shortfalls(name, again)

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
