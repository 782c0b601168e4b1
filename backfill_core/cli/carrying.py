"""Carrying a plan out, for the commands that do: show it, ask, run it, say what it came to."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import click

from backfill_core.cli import GONE
from backfill_core.cli.output import say, warn
from backfill_core.cli.reasons import Reason, Reasoned
from backfill_core.cli.terms import AskedTerms, asks_terms
from backfill_core.errors import BadUsage, ExitCode, PlanDrifted, did_you_mean

if TYPE_CHECKING:
    from backfill_core.coverage import Coverage
    from backfill_core.drain import Drain
    from backfill_core.plan import Plan
    from backfill_core.project.session import Session
    from backfill_core.project.targets import OpenWarehouse

#: Makes the plan from what the warehouse holds: the plan, the coverage it rests on, and both in words, the last line of which
#: says how to carry it out.
Planning = Callable[["OpenWarehouse"], "tuple[Plan, Coverage, list[str]]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a plan is carried out, as a person says it."""

    terms: AskedTerms
    retry_exhausted: bool
    #: Why a date may hold fewer keys than before; None: it may not.
    allow_shrink: str | None
    #: Gates that pass whatever they find, each with why.
    override_gate: tuple[tuple[str, str], ...]
    allow_blocked: bool
    dry_run: bool
    yes: bool
    skip_preflight: bool
    wait: bool
    log_format: Literal["text", "json"]


_OPTIONS = (
    click.option("--allow-blocked", is_flag=True, help="Exit 0 although units were blocked when planned."),
    click.option("--retry-exhausted", is_flag=True, help="Call units too that failed the same way again and again."),
    click.option(
        "--allow-shrink", type=Reason(), metavar="WHY", help="Let a date hold fewer keys than before; the journal keeps why."
    ),
    click.option(
        "--override-gate",
        type=Reasoned(),
        multiple=True,
        metavar="NAME=WHY",
        help="Let a gate pass whatever it finds; journal and report keep why. Repeatable.",
    ),
    click.option("--skip-preflight", is_flag=True, help="Do not ask first whether the target is fit for it."),
    click.option("--wait", is_flag=True, help="Wait while another run holds what this one needs."),
    click.option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", help="Of the run's log, .backfill/logs/RUN.log."
    ),
    click.option("--dry-run", is_flag=True, help="Show the plan and write nothing at all."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def carries_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a run; the command gets a `How` as ``how``."""

    @functools.wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        how = How(**{each.name: given.pop(each.name) for each in fields(How)})
        return function(*args, how=how, **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return asks_terms(command)


def carry_out_plan(
    session: Session, planning: Planning, how: How, *, again: str, left: str, beside: Callable[[str], str] = "backfill {}".format
) -> None:
    """Shows the plan, asks on a terminal, and carries it out. Ends the process with the run's exit code.

    ``again`` is the command that was typed, ``left`` the one that shows what is left of its request; ``beside`` gives another
    command the same target.
    """
    from backfill_core.cli.progress import Progress
    from backfill_core.cli.waiting import free_warehouse, waited_for_tables
    from backfill_core.drain import Drain
    from backfill_core.planning.drift import drift
    from backfill_core.project.carry_out import carry_out
    from backfill_core.project.earlier_calls import exhausted_units
    from backfill_core.reports.run_texts import closing_lines
    from backfill_core.reports.words import plural

    agreed, overrides = None, _overrides(how, session)
    drain = Drain()
    with _signals_obeyed(drain) as begins:
        if how.dry_run or (sys.stdin.isatty() and not how.yes):
            # Looking needs no file for itself alone, and whoever is asked may take their time.
            with free_warehouse(session, read_only=True, wait=how.wait) as warehouse:
                agreed, _, lines = planning(warehouse)
            if how.dry_run:
                say([*lines[:-1], "dry run: nothing was written", lines[-1]])
                return
            say(lines[:-1] if agreed.units else lines)
            if agreed.units and not click.confirm(f"Execute {agreed.units:,} units?"):
                click.echo("nothing was run")
                sys.exit(ExitCode.INTERRUPTED)
        with free_warehouse(session, read_only=False, wait=how.wait) as warehouse:
            plan, coverage, lines = planning(warehouse)
            while plan.units and waited_for_tables(session, plan, wait=how.wait):
                plan, coverage, lines = planning(warehouse)
            blocked = plan.blocked_units and not how.allow_blocked
            if agreed is None:
                why = [f"exit 1: {plural(plan.blocked_units, 'unit')} blocked when planned"] if blocked else []
                _say(lines[:-1] if plan.units else [*lines[:-1], *why, lines[-1]])
            elif drift(agreed, plan):
                raise PlanDrifted(hash=agreed.hash[:8], moved=str(drift(agreed, plan)), again=again)
            if not plan.units:
                sys.exit(ExitCode.INCOMPLETE if blocked else ExitCode.OK)
            if not how.skip_preflight:
                _preflight(session, warehouse, plan)
            exhausted = {} if how.retry_exhausted else exhausted_units(session, plan, coverage)
            now = datetime.now(ZoneInfo(session.settings.timezone))
            terms = how.terms.terms(session, plan.units, now, monotonic())
            begins()
            with Progress() as progress:
                state = carry_out(
                    session,
                    warehouse,
                    plan,
                    coverage,
                    command="backfill " + shlex.join(sys.argv[1:]),
                    terms=terms,
                    drain=drain,
                    listeners=(progress,),
                    allow_blocked=how.allow_blocked,
                    overrides=overrides,
                    exhausted=exhausted,
                    log_shape=how.log_format,
                )
        if failed := state.first_failed:
            left = beside(f"explain {failed.processor} {failed.day}")
        _say(closing_lines(state, left))
        assert state.ended is not None
        if drain.at_once or drain.abandoned:
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(state.ended.exit_code)  # calls that nobody waits for must not hold the process
        sys.exit(state.ended.exit_code)


def _say(lines: list[str]) -> None:
    """Prints them. A run goes on, and ends as it ends, when the one who watched has left: status and report tell it all."""
    try:
        say(lines)
    except OSError as error:
        if error.errno not in GONE:
            raise


def _overrides(how: How, session: Session) -> dict[str, str]:
    """The guards that somebody set aside, with what they said. Raises BadUsage for a gate that nothing declares."""
    from backfill_core.project.carry_out import ALLOW_SHRINK, GATE, SKIP_PREFLIGHT

    known = [gate.name for layer in session.pipeline.layers for gate in layer.gates]
    for name, _ in how.override_gate:
        if name not in known:
            raise BadUsage(message=f'no gate "{name}".{did_you_mean(name, known)} Gates: {", ".join(known) or "none"}')
    said = {SKIP_PREFLIGHT: "the target was not looked at first"} if how.skip_preflight else {}
    said |= {GATE + name: why for name, why in how.override_gate}
    return said | ({ALLOW_SHRINK: how.allow_shrink} if how.allow_shrink else {})


def _preflight(session: Session, warehouse: OpenWarehouse, plan: Plan) -> None:
    """Says what was found. Raises PreflightFailed for what would spoil the run."""
    from backfill_core.project.preflight import refuse_unfit

    warn(f"{finding.what}." for finding in refuse_unfit(session, warehouse, plan))


@contextmanager
def _signals_obeyed(drain: Drain) -> Iterator[Callable[[], None]]:
    """Gives what is to be called when the run begins.

    Before, Ctrl-C and SIGTERM leave, and nothing was run. Then the first drains, the second stops now, a third at once. A closed
    terminal changes nothing.
    """

    def leave(number: int, frame: object) -> None:  # noqa: ARG001  (the signature of a signal handler)
        raise KeyboardInterrupt

    def stop(number: int, frame: object) -> None:  # noqa: ARG001
        if drain.at_once:
            os.write(2, b"\nstopped. What was in flight is looked at again by: backfill resume\n")
            os._exit(ExitCode.INTERRUPTED)
        drain.ask()

    def handle(handler: Callable[[int, object], None]) -> None:
        signal.signal(signal.SIGINT, handler)
        signal.signal(signal.SIGTERM, handler)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    handle(leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield lambda: handle(stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
