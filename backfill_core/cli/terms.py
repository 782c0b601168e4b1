"""Options of ``backfill execute`` that say on what terms a run goes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import click

from backfill_core.cli.numbers import Whole
from backfill_core.errors import BadUsage, did_you_mean

if TYPE_CHECKING:
    from backfill_core.project.session import Session
    from backfill_core.scheduling.terms import Terms

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Duration(click.ParamType[timedelta]):
    """A length of time, as 2h30m, 90m or 45s."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = _DURATION.fullmatch(value)
        length = (
            timedelta(**dict(zip(("hours", "minutes", "seconds"), map(_number, found.groups()), strict=True))) if found else None
        )
        return length or self.fail(f"{value!r} is no length of time. Type it as 2h, 90m or 1h30m.", param, ctx)


class TimeOfDay(click.ParamType[time]):
    """A time of day, as 06:00."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> time:
        if isinstance(value, time):
            return value
        found = _CLOCK.fullmatch(value)
        return time(int(found[1]), int(found[2])) if found else self.fail(f"{value!r} is no time of day. Type HH:MM.", param, ctx)


class Cap(click.ParamType[tuple[str, int]]):
    """How many calls of a service may be in flight, as NAME=N."""

    name = "cap"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        name, _, count = value.rpartition("=")
        if not name or not count.isdecimal() or not int(count):
            self.fail(f"{value!r}: type NAME=N, with N 1 or more.", param, ctx)
        return name, int(count)


class Failures(click.ParamType[str]):
    """A number of units, or a share of those planned, as 10 or 5%."""

    name = "failures"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        number = str(value).removesuffix("%")
        if not number.isdecimal() or not int(number) or (str(value).endswith("%") and int(number) > 100):
            self.fail(f"{value!r}: type a number of units, 1 or more, or a share of them as 5%.", param, ctx)
        return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTerms:
    """What a person asked of the way a run goes."""

    concurrency: int | None
    services: tuple[tuple[str, int], ...]
    priority: str
    pipelined: bool
    canary: int | None
    max_failures: str | None
    fail_fast: bool
    max_units: int | None
    max_duration: timedelta | None
    deadline: time | None

    def terms(self, session: Session, units: int, now: datetime, ticks: float) -> Terms:
        """The terms for a plan of so many units; it is ``now``, and ``ticks`` on the run's clock. Raises BadUsage."""
        from dataclasses import replace

        from backfill_core.project.set_names import services_of
        from backfill_core.project.terms import terms_of
        from backfill_core.scheduling.terms import Priority

        known = services_of(session.pipeline)
        for name, _ in self.services:
            if name not in known:
                services = ", ".join(sorted(known)) or "none"
                raise BadUsage(message=f'no service "{name}".{did_you_mean(name, known)} Services: {services}')
        found = terms_of(session, concurrency=self.concurrency, services=dict(self.services))
        return replace(
            found,
            priority=Priority(self.priority),
            pipelined=self.pipelined,
            canary=self.canary or 0,
            max_units=self.max_units,
            max_failures=1 if self.fail_fast else self.failures(units),
            stop_at=self.stop_at(now, ticks),
        )

    def failures(self, units: int) -> int | None:
        """So many failed units stop a run of so many."""
        if self.max_failures is None:
            return None
        if self.max_failures.endswith("%"):
            return max(1, -(-units * int(self.max_failures[:-1]) // 100))
        return int(self.max_failures)

    def stop_at(self, now: datetime, ticks: float) -> float | None:
        """When everything must have come home, on the run's clock, which is at ``ticks`` ``now``."""
        left = [self.max_duration] if self.max_duration is not None else []
        if self.deadline is not None:
            ends = now.replace(hour=self.deadline.hour, minute=self.deadline.minute, second=0, microsecond=0)
            ends = ends if ends > now else ends + timedelta(days=1)
            # As instants, for the clock may be put back or forward in between.
            left.append(ends.astimezone(UTC) - now.astimezone(UTC))
        return ticks + min(left).total_seconds() if left else None


def asks_terms(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as ``terms``."""

    @functools.wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        asked = {name: given.pop(name) for name in AskedTerms.__dataclass_fields__}
        if asked["fail_fast"] and asked["max_failures"]:
            raise BadUsage(message="--fail-fast means --max-failures 1. Type one of them")
        return function(*args, terms=AskedTerms(**asked), **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _number(text: str | None) -> int:
    return int(text or 0)


_OPTIONS = (
    click.option("--concurrency", type=Whole(1, 256), metavar="N", help="Calls in flight at most (default: the settings')."),
    click.option(
        "--service", "services", type=Cap(), multiple=True, metavar="NAME=N", help="Calls of a service in flight; repeatable."
    ),
    click.option(
        "--priority",
        type=click.Choice(["oldest", "newest", "critical-path"]),
        default="critical-path",
        help="What leaves first of all that is ready (default: what most work waits for).",
    ),
    click.option("--pipelined", is_flag=True, help="Let each date go on as soon as its gates pass, rather than layer by layer."),
    click.option("--canary", type=Whole(), metavar="N", help="N dates of each layer first; if one fails, stop."),
    click.option(
        "--max-failures", type=Failures(), metavar="N|P%", help="Stop when so many units failed, or that share of the plan."
    ),
    click.option("--fail-fast", is_flag=True, help="Stop when one unit failed."),
    click.option(
        "--max-units",
        type=Whole(),
        metavar="N",
        help="Call at most so many units, then stop: exit 5 (1 if some failed or are blocked).",
    ),
    click.option(
        "--max-duration", type=Duration(), metavar="TIME", help="Be done after 2h, 90m, …: start nothing that ends later."
    ),
    click.option("--deadline", type=TimeOfDay(), metavar="HH:MM", help="The same by the clock, in the project's time zone."),
)
