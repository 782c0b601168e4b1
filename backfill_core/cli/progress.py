"""What a person sees while a run is under way: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

import click

from backfill_core.events import (
    BatchStarted,
    DrainAsked,
    Event,
    GateJudged,
    RunStarted,
    UnitsEnded,
    Word,
)
from backfill_core.gates import Verdict
from backfill_core.reports.gate_texts import verdict_line
from backfill_core.reports.run_texts import duration_words, pace_words
from backfill_core.reports.trouble_texts import trouble_line
from backfill_core.reports.words import dates_words, plural, wrapped
from backfill_core.run_state import RunState

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress:
    """A listener that shows a run's events."""

    def __init__(self, again: str) -> None:
        #: What to type to go on after a stop.
        self.again = again
        self.state = RunState("")
        self._unheard = False
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as Bars

            self._bar = Bars(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}")
            )
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def heard(self, run: str, events: Iterable[Event]) -> None:
        for event in events:
            self.state.name = run
            self.state.apply(event)
            line = self._line(event)
            if line:
                self._print("\n".join(wrapped([line])))
        if self._bar is not None and self._task is not None:
            done = self.state.units - self.state.left
            self._bar.update(self._task, completed=done, pace=pace_words(self.state))

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        elif not self._unheard:
            try:
                click.echo(line)
            except OSError:  # a run goes on when the one who watched has left; status and report tell it all
                self._unheard = True

    def _line(self, event: Event) -> str:
        match event:
            case RunStarted():
                if self._bar is not None:
                    self._task = self._bar.add_task(f"run {self.state.name}", total=self.state.units, pace="")
                return f"run {self.state.name}  {plural(self.state.units, 'unit')}  watch: backfill status {self.state.name}"
            case BatchStarted() | UnitsEnded(word=Word.DONE) if self._bar is not None:
                return ""
            case UnitsEnded(word=Word.DONE):
                done = self.state.units - self.state.left
                days = f"{event.dates.span} ({len(event.dates)})" if len(event.dates) > 1 else str(event.dates.first)
                return f"done {event.processor} {days}  {done:,}/{self.state.units:,}"
            case UnitsEnded(word=Word.SKIPPED):
                return f"skipped {event.processor} {dates_words(event.dates, most=1)}: {event.why}"
            case UnitsEnded():
                tried = f" ({event.attempts} attempts)" if event.attempts > 1 else ""
                return f"{event.word}: {event.processor} {dates_words(event.dates, most=1)}: {event.why}{tried}"
            case GateJudged():
                return verdict_line(Verdict.from_json(event.verdict))
            case DrainAsked():
                slowest = f" (the slowest call so far took {duration_words(event.slowest)})" if event.slowest else ""
                return (
                    f"stopping: {plural(event.in_flight, 'unit')} in flight come home first{slowest}; nothing new starts. "
                    f"Ctrl-C again stops now. To go on: {self.again}"
                )
            case _:
                return trouble_line(event, self.state.name)
