"""Functions in processes of their own: each call has one to itself, and one that is done takes the next call."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from multiprocessing import get_context, parent_process
from typing import Any, NoReturn

from backfill_core.adapters.author_code import failure_words
from backfill_core.ports import RunContext

#: Makes a new process able to import what functions stand in: a function that can be found by its name, and what it is given.
Prepare = tuple[Callable[..., object], tuple[Any, ...]]


class WorkerEndedError(Exception):
    """A process ended in the middle of its work: killed, or out of memory."""


class TimeUpError(Exception):
    """A call took longer than it may, and its process was killed."""


class NoCursor:
    """What stands where a cursor would: whoever asks a process of its own for one is told so."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            "a function with process=True has no cursor: the warehouse is open in another process. "
            "Read ctx.files, and return rows or a frame; or take process=True away"
        )


@dataclass(frozen=True, slots=True)
class _Worker:
    pool: ProcessPoolExecutor
    pid: int


class WorkerProcesses:
    """Processes that wait for work, as many as there were calls at once. Used from several threads.

    Each is a pool of one: a process that dies or is killed takes no other call with it.
    """

    def __init__(self, prepare: Prepare) -> None:
        self.prepare = prepare
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: dict[int, _Worker] = {}
        self._closed = False

    def call(
        self, function: Callable[[Any, Any], Any], dates: list[date], tables: Mapping[str, str], files: Any, limit: float | None
    ) -> Any:
        """What the function returns there. Raises what it raises; WorkerEndedError; TimeUpError after ``limit`` seconds."""
        worker = self._take()
        well = False
        try:
            name = (function.__module__, function.__qualname__)
            future = worker.pool.submit(_work, name, dates, dict(tables), files)
            if not wait([future], limit).done:
                raise TimeUpError(f"killed after {limit:g} s")
            answer = future.result()
            well = True
            return answer
        except BrokenExecutor as error:
            why = (
                "killed, for the run was stopped" if self._closed else "its process ended in the middle: killed, or out of memory"
            )
            raise WorkerEndedError(why) from error
        except TimeUpError:
            raise
        except Exception:
            well = True
            raise
        finally:
            self._give_back(worker, well=well)

    def close(self) -> None:
        """Ends all of them, whatever they do."""
        with self._lock:
            self._closed = True
            workers = [*self._idle, *self._busy.values()]
            self._idle = []
        for worker in workers:
            _end(worker)

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise WorkerEndedError("the run was stopped")
            worker = self._idle.pop() if self._idle else None
            if worker:
                self._busy[worker.pid] = worker
                return worker
        # Not a fork: threads are under way here, and what they hold would stay held in the child.
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=self.prepare)
        try:
            worker = _Worker(pool, pool.submit(os.getpid).result())
        except BrokenExecutor as error:
            raise WorkerEndedError("no process could be started for it") from error
        with self._lock:
            self._busy[worker.pid] = worker
            closed = self._closed
        if closed:
            _end(worker)
        return worker

    def _give_back(self, worker: _Worker, *, well: bool) -> None:
        with self._lock:
            del self._busy[worker.pid]
            keep = well and not self._closed
            if keep:
                self._idle.append(worker)
        if not keep:
            _end(worker)


def _end(worker: _Worker) -> None:
    with suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGKILL)
    worker.pool.shutdown(wait=True, cancel_futures=True)


def _begin(prepare: Callable[..., object], given: tuple[Any, ...]) -> None:
    """In the new process: who started it decides when it ends, and a Ctrl-C in the terminal does not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    prepare(*given)


def _follow() -> None:
    """Ends this process when the one that started it does, however that went."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(name: tuple[str, str], dates: list[date], tables: dict[str, str], files: Any) -> Any:
    """In the other process: calls the function of that name."""
    module, qualified = name
    try:
        found: Any = import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part)
        answer = found(dates, RunContext(cursor=NoCursor(), tables=tables, files=files))
        return list(answer) if isinstance(answer, Iterator) else answer
    except BaseException as error:  # an author's own class may not survive the way back, its words do
        raise RuntimeError(failure_words(error)) from None
