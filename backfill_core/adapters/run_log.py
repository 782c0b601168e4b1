"""A run's log: a file of its own, a line an event."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Literal

from backfill_core.events import Event, Heartbeat, RunStarted
from backfill_core.reports.event_json import event_json
from backfill_core.reports.event_texts import event_line
from backfill_core.run_state import RunState

Shape = Literal["text", "json"]

#: Fields that would make a line of a log as long as a plan.
_LARGE = ("plan", "before", "after")


class RunLog:
    """A listener that writes ``<run>.log`` in a folder. The journal is the record: a log that cannot be written stops nothing."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder
        self.shape = shape
        self._broken = False
        self._state = RunState("")
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def heard(self, run: str, events: Iterable[Event]) -> None:
        if self._broken:
            return
        lines = [self._line(run, event) for event in events]
        try:
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._file = (self.folder / f"{run}.log").open("a", encoding="utf-8")
            self._file.write("".join(f"{line}\n" for line in lines if line))
            self._file.flush()
        except OSError:
            self._broken = True

    def _line(self, run: str, event: Event) -> str:
        self._state.name = run
        self._state.apply(event)
        if isinstance(event, Heartbeat):
            return ""
        if self.shape == "text":
            line = event_line(event, self._state)
            return f"{event.at:%Y-%m-%dT%H:%M:%S}Z {line}" if line else ""
        found = {name: value for name, value in event_json(event, run).items() if name not in _LARGE}
        if isinstance(event, RunStarted) and self._state.plan:
            found["plan"] = self._state.plan.hash
        return json.dumps(found)
