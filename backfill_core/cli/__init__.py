"""The commands. One file each: parse, call, print, exit code. Each loads only when it is used."""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import NoReturn

import click

from backfill_core.errors import BackfillError, ExitCode, InvalidProject

#: What writing to somebody who has left comes to: a pipe without a reader, a terminal that was closed.
GONE = (errno.EPIPE, errno.EIO)

#: Every command, with the line that the overview shows for it.
COMMANDS = {
    "accept": "Record stale dates as reviewed.",
    "cancel": "Ask a run to stop: what is in flight comes home.",
    "config": "Every setting, and where it came from.",
    "continue": "Let a paused run go on.",
    "coverage": "What every layer and table holds.",
    "create-tables": "Make the declared tables that are not there.",
    "doctor": "Whether a target is fit for a run.",
    "execute": "Carry a plan out, layer by layer, through its gates.",
    "explain": "Why one date of one processor is as it is.",
    "gaps": "What is missing, as a list for --dates-file.",
    "graph": "Layers and processors, and what each reads.",
    "impact": "What a re-run of some dates spoils.",
    "logs": "What a run did, call by call.",
    "pause": "Ask a run to start nothing new.",
    "plan": "What is missing, why, and what would be done.",
    "report": "The completion report of a run.",
    "resume": "Go on with what a run did not finish.",
    "retry": "Carry out again just what failed in a run.",
    "runs": "The runs of this project.",
    "status": "Where a run stands.",
    "throttle": "Change how many calls of a run are in flight.",
    "validate": "Judge the gates and rules of all layers.",
    "waive": "Say that some dates are not waited for.",
    "waivers": "What was waived and accepted, and what still holds.",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called, so that help starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (the library's signature)
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            import difflib

            close = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f' Did you mean "{close[0]}"?' if close else ""
            raise click.UsageError(f'no command "{cmd_name}".{hint}', ctx=ctx)
        module = cmd_name.replace("-", "_")
        module = f"{module}_" if iskeyword(module) else module
        command: click.Command = import_module(f"backfill_core.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--project", metavar="DIR", default=".", help="Folder of the project (default: here or above).")
@click.version_option(package_name="backfill-core", prog_name="backfill")
@click.pass_context
def cli(ctx: click.Context, project: str) -> None:
    """Finds what every layer of a pipeline is missing by looking at the tables, and fills it."""
    ctx.obj = project


def main() -> None:
    """The entry point."""
    import gc

    # Loading modules makes many objects and no garbage: collecting after every 700 of them is a tenth of a plan's time.
    gc.set_threshold(500_000)
    _leave(run())


def run(words: Sequence[str] | None = None) -> int:
    """Carries out a command line, that of the process or another, and returns its exit code.

    A user's error is a line or two on stderr, never a traceback.
    """
    from backfill_core.cli.output import say

    written = sys.stdout
    try:
        given = cli.main(words, standalone_mode=False)
        code = given if isinstance(given, int) else ExitCode.OK
    except SystemExit as ended:
        reader_left = sys.stdout is not written  # click puts another there when a pipe breaks
        code = ended.code if isinstance(ended.code, int) and not reader_left else ExitCode.OK
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        code = ExitCode.USAGE
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "backfill"
        said = error.format_message().rstrip(".")
        say([f"error: {said}{'' if said.endswith('?') else '.'} See: {where} --help"], err=True)
        code = ExitCode.USAGE
    except click.Abort:
        print("\nnothing was run", file=sys.stderr)
        code = ExitCode.INTERRUPTED
    except BackfillError as error:
        lines = [str(p) for p in error.problems] if isinstance(error, InvalidProject) else [str(error)]
        paths = [str(fact) for fact in error.facts.values() if isinstance(fact, Path)]
        say([f"{error.label}: {line}" for line in lines], err=True, whole=paths)
        code = error.exit_code
    except OSError as error:
        code = _unwritten(error)
    return int(code)


def _unwritten(error: OSError) -> int:
    """The exit code where output could not be written: none of our doing when its reader has gone."""
    if isinstance(error, BrokenPipeError):
        return 0
    if error.errno != errno.ENOSPC:
        raise error
    print("error: no space left to write to. Nothing more was done", file=sys.stderr)
    return 2


def _leave(code: int) -> NoReturn:
    """Ends the process without taking its modules apart, which would be an eighth of a plan's time."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is said: a Ctrl-C now ends it without a word
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code if error.errno in GONE else _unwritten(error)
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)
