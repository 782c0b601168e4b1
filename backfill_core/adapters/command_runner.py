"""The runner of `Command` specs: a program of anybody's, and the rows that it leaves as Parquet files."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from backfill_core.adapters.call_folder import CallFolders, mask_file, masked, tail
from backfill_core.adapters.child_process import Children, Ended
from backfill_core.calls import call_values
from backfill_core.events import Claim, Outcome
from backfill_core.model.command import Command
from backfill_core.model.templates import Pieces, TemplateError, environment_names, fill_text
from backfill_core.ports import BatchResult, Call
from backfill_core.queries.dialect import Names
from backfill_core.replies import outcome_of, same_for_all, words_of

#: Variable that names the folder for Parquet files.
OUT = "BACKFILL_OUT"


class Loader(Protocol):
    """An embedded warehouse's owner, who takes files in for those that cannot open it."""

    def load(self, call: Call, files: list[Path]) -> BatchResult:
        """Puts the rows of Parquet files in the place of a call's dates' rows, verified inside."""


class CommandRunner:
    """Runs `Command` specs in the project's folder."""

    def __init__(
        self,
        root: Path,
        folders: CallFolders,
        loader: Loader | None,
        environment: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        place: Names | None = None,
    ) -> None:
        """``loader`` is None where programs write into the warehouse themselves; ``environment`` is that of this process.

        ``variables`` are those that specs may name; a program gets no more of them than its spec names. ``place``
        is where the target keeps its tables.
        """
        self.root = root
        self.folders = folders
        self.loader = loader
        self.environment = os.environ if environment is None else environment
        self.variables = self.environment if variables is None else variables
        self.place = place or Names()
        self.children = Children()

    def run(self, call: Call) -> BatchResult:
        assert isinstance(call.spec, Command)
        secrets = [self.variables.get(name, "") for name in environment_names([call.spec.arguments, call.spec.environment])]
        try:
            return self._run(call, call.spec, secrets)
        except TemplateError as error:
            return _all(call, outcome_of("failed", f"nothing was run: {error}"))
        except OSError as error:  # of its folders and its log: a program that cannot be started is told of where it is started
            return _all(call, outcome_of("failed", f"its log or files cannot be kept: {error.strerror}: {error.filename}"))

    def close(self) -> None:
        """Kills what is under way."""
        self.children.close()

    def _run(self, call: Call, spec: Command, secrets: list[str]) -> BatchResult:
        pieces = Pieces(call_values(call, None, self.place), self.variables)
        arguments = [fill_text(each, pieces) for each in spec.arguments]
        given = {name: fill_text(value, pieces) for name, value in spec.environment.items()}
        log = self.folders.log(call)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {masked(shlex.join(arguments), secrets)}\n")
        with self.folders.out(call) as out:
            environment = {**self.environment, **given, OUT: str(out)}
            try:
                ended = self.children.run(arguments, folder=self.root, environment=environment, log=log, limit=spec.time_limit)
            except (OSError, ValueError) as error:
                return _all(call, outcome_of("failed", masked(_start_words(error, arguments[0]), secrets)))
            mask_file(log, secrets)
            outcome = _outcome(ended, spec, masked(words_of(_output(log)), secrets))
            files = sorted(out.glob("*.parquet"))
            if outcome.claim is Claim.DONE and files:
                return self._load(call, files)
        return _all(call, outcome)

    def _load(self, call: Call, files: list[Path]) -> BatchResult:
        if self.loader is None:
            why = f"it left files in ${OUT}, which this warehouse does not take in. Write into the table"
            return _all(call, outcome_of("failed", why))
        if len(call.batch.processors) > 1:
            return _all(call, outcome_of("failed", f"it left files in ${OUT} for several processors. Take together= away"))
        return self.loader.load(call, files)


def _outcome(ended: Ended, spec: Command, said: str) -> Outcome:
    words = f": {said}" if said else ""
    if ended.stopped:
        return outcome_of("transient", "killed, for the run was stopped")
    if ended.timed_out:
        return outcome_of("transient", f"killed after {spec.time_limit:g} s{words}")
    if ended.code < 0:
        return outcome_of("transient", f"killed by {signal.Signals(-ended.code).name}{words}")
    means = spec.meaning(ended.code)
    return outcome_of(means, "" if means == "done" else f"exit {ended.code}{words}")


def _output(log: Path) -> bytes:
    """What the program wrote last: nothing of the line above it, which names the command."""
    lines = tail(log).splitlines(keepends=True)
    marks = [place for place, line in enumerate(lines) if line.startswith(b"$ ")]
    return b"".join(lines[marks[-1] + 1 :] if marks else lines)


def _start_words(error: OSError | ValueError, program: str) -> str:
    if isinstance(error, FileNotFoundError) and error.filename == program:
        return f'no program "{program}". Install it, or name it by its path'
    if isinstance(error, OSError):
        return f"it could not be run: {error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return f"it could not be run: {error}"


def _all(call: Call, outcome: Outcome) -> BatchResult:
    return BatchResult(outcomes=same_for_all(call.batch, outcome))
