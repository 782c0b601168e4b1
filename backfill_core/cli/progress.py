"""What a person sees while a run is under way: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

import click

from backfill_core.cli.output import fitted
from backfill_core.errors import ExitCode
from backfill_core.events import BatchEnded, BatchStarted, Control, DrainAsked, Event, Instructed, RunEnded, UnitsEnded, Word
from backfill_core.reports.event_texts import event_line
from backfill_core.reports.words import plural
from backfill_core.run_state import RunState

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

#: Seconds between two pictures.
_APART = 0.25


class Progress:
    """A listener that shows a run's events."""

    def __init__(self) -> None:
        self.state = RunState("")
        self._unheard = False
        self._live: Live | None = None
        self._drawn = float("-inf")

    def __enter__(self) -> Progress:
        if sys.stdout.isatty():
            from rich.live import Live

            # Drawn from here alone, by the thread that changes the state.
            self._live = Live(get_renderable=self._picture, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._while_heard():
            if self._live is not None:
                self._live.stop()

    def heard(self, run: str, events: Iterable[Event]) -> None:
        for event in events:
            self.state.name = run
            self.state.apply(event)
            line = self._line(event)
            if line:
                self._print("\n".join(fitted([line], sys.stdout)))
        if self._live is not None and monotonic() - self._drawn > _APART:
            with self._while_heard():
                self._live.refresh()
            self._drawn = monotonic()

    def _picture(self) -> Group:
        from backfill_core.cli.bars import bars

        return bars(self.state, datetime.now(UTC))

    def _print(self, line: str) -> None:
        with self._while_heard():
            if self._unheard:
                return
            if self._live is not None:
                self._live.console.print(line, highlight=False, markup=False)
            else:
                click.echo(line)

    @contextmanager
    def _while_heard(self) -> Iterator[None]:
        """A run goes on when the one who watched has left, or closed the terminal; status and report tell it all."""
        try:
            yield
        except OSError:
            live, self._live, self._unheard = self._live, None, True
            if live is not None:
                with suppress(OSError):
                    live.stop()  # it has put itself in the place of the output

    def _line(self, event: Event) -> str:
        match event:
            case RunEnded(exit_code=ExitCode.USAGE):  # an error ended it, and is told behind
                left = plural(self.state.left, "unit")
                return f"run {self.state.name} ended early, {left} to go. To go on: backfill resume {self.state.name}"
            case BatchStarted() | BatchEnded() | RunEnded():
                return ""
            case UnitsEnded(word=Word.DONE) if self._live is not None:
                return ""
            case DrainAsked():
                return f"{event_line(event, self.state)}. Ctrl-C again stops now. To go on: backfill resume {self.state.name}"
            case Instructed(control=Control.PAUSE, refused=""):
                return f"{event_line(event, self.state)}. To go on: backfill continue {self.state.name}"
            case _:
                return event_line(event, self.state)
