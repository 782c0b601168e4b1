"""The commands. One file each: parse, call, print, exit code. Each loads only when it is used."""

from __future__ import annotations

import sys
from importlib import import_module

import click

#: Every command, with the line that the overview shows for it.
COMMANDS = {
    "coverage": "What every layer and table holds.",
    "execute": "Carry a plan out, layer by layer, through its gates.",
    "graph": "Layers and processors, and what each reads.",
    "plan": "What is missing, why, and what would be done.",
    "report": "The completion report of a run.",
    "status": "Where a run stands.",
    "validate": "Judge the gates and rules of all layers.",
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
        command: click.Command = import_module(f"backfill_core.cli.{cmd_name}").command
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
    """The entry point. A user's error is a line or two on stderr, never a traceback."""
    from backfill_core.errors import BackfillError, InvalidProject

    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except click.Abort:
        code = 130
    except BackfillError as error:
        lines = [str(p) for p in error.problems] if isinstance(error, InvalidProject) else [str(error)]
        for line in lines:
            print(f"{error.label}: {line}", file=sys.stderr)
        code = int(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
