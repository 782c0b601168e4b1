"""Programs run as children, each the head of a group of its own, so that it can be ended with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

#: Seconds between the request to end and the end.
_GRACE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended: its exit code, minus the signal's number if one killed it."""

    code: int
    #: Whether it was killed because its time was up, or because the run was stopped.
    timed_out: bool = False
    stopped: bool = False


class Children:
    """The programs under way. Used from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped: set[int] = set()
        self._closed = False

    def run(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path, limit: float | None
    ) -> Ended:
        """Runs a program to its end, its output at the end of ``log``. Raises OSError where it cannot be started.

        ``limit`` are seconds that it may take. What it leaves running is killed.
        """
        with log.open("ab") as output, self._lock:
            if self._closed:
                return Ended(code=-signal.SIGTERM, stopped=True)
            # A session of its own: no Ctrl-C of the terminal reaches it, and a signal to the group reaches all of it.
            child = subprocess.Popen(
                list(arguments),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running[child.pid] = child
        timed_out = False
        try:
            child.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
            _end([child])
        with self._lock:
            del self._running[child.pid]
            stopped = child.pid in self._stopped
            self._stopped.discard(child.pid)
            # Its group outlives it as long as it has members, and nobody else gets its number before.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        return Ended(code=child.returncode, timed_out=timed_out and not stopped, stopped=stopped)

    def close(self) -> None:
        """Ends all of them, and starts no more."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
            self._stopped.update(child.pid for child in running)
        _end(running)


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Asks programs and all that they started to end, and kills what has not a moment later."""
    for child in children:
        _signal(child, signal.SIGTERM)
    until = monotonic() + _GRACE
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, until - monotonic()))
    for child in children:
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
