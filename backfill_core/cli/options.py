"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from backfill_core.cli.dates import chosen_dates
from backfill_core.cli.numbers import Whole
from backfill_core.dates import DateSet, parse_day
from backfill_core.errors import BadUsage, did_you_mean

if TYPE_CHECKING:
    from backfill_core.project.look import Asking


class Day(click.ParamType[date]):
    """A day, as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return parse_day(value)
        except ValueError as error:
            why = f": {error}" if str(error).startswith("days go") else ". Type YYYY-MM-DD."
            self.fail(f"{value!r} is no date{why}", param, ctx)


class Dates(click.ParamType[DateSet]):
    """Days and ranges, as D,D..D."""

    name = "dates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> DateSet:
        if isinstance(value, DateSet):
            return value
        try:
            found = DateSet.from_json([part.strip() for part in value.split(",") if part.strip()])
        except ValueError as error:
            self.fail(f"{value!r}: {error}. Type dates as YYYY-MM-DD, ranges as D..D, with commas between.", param, ctx)
        return found or self.fail("no date was given.", param, ctx)


DATES = Dates()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asked of a project: where, when, and of which part."""

    project: Path
    target: str | None
    asking: Asking
    #: The same as it was typed, to be typed again.
    typed: str = ""

    def again(self, command: str) -> str:
        """That command with the same words."""
        return f"backfill {command} {self.typed}".rstrip()

    def beside(self, command: str) -> str:
        """That command, which names its dates, with those of the words that are about no dates."""
        words = ["--today", str(self.asking.today)] if self.asking.today else []
        words += ["--target", self.target] if self.target else []
        return f"backfill {command} {shlex.join(words)}".rstrip()


def _several(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


target_option = click.option("--target", metavar="NAME", help="Target in the settings (default: theirs).")
format_option = click.option(
    "--format", "shape", type=click.Choice(["text", "json"]), default="text", help="For people or programs."
)
show_sql_option = click.option("--show-sql", is_flag=True, help="Print each statement that is sent, to stderr.")
observe_option = click.option(
    "--observe",
    "observed",
    type=click.Choice(["rows", "partitions"]),
    default="rows",
    help="What to look at: rows, or on BigQuery the metadata of partitions alone: rows there or not.",
)
last_observed_option = click.option(
    "--last-observed", is_flag=True, help="What a run last observed, without looking: for while one holds the warehouse."
)
today_option = click.option("--today", type=Day(), help="Take this day as today.")

_SPAN = (
    click.option("--from", "first", type=Day(), help="First date (default: that of the settings)."),
    click.option("--to", "last", type=Day(), help="Last date (default: yesterday, or where the calendar ends if earlier)."),
    click.option("--season", metavar="NAME", help="The dates of one season, as the calendar names it."),
    today_option,
    target_option,
)
_SELECTION = (
    click.option("--through", metavar="LAYER", help="Last layer (default: all)."),
    click.option("--from-layer", metavar="LAYER", help="First layer (default: all)."),
    click.option("--layer", "layers", multiple=True, metavar="LAYER", help="Only this layer; repeatable."),
    click.option(
        "--processor",
        "processors",
        multiple=True,
        metavar="NAME",
        help="Only this processor; repeatable. +NAME takes what it reads too, NAME+ what reads it.",
    ),
    click.option("--exclude", multiple=True, metavar="NAME", help="Not this processor; repeatable, + as above."),
    click.option("--dates", metavar="D,D..D", help="Only these dates and ranges."),
    click.option(
        "--dates-file", metavar="FILE", help="Only the dates of a file: JSON, or CSV (first column, or one headed date)."
    ),
)


_WORK = (
    click.option(
        "--reason", "reasons", metavar="KIND,KIND", help="Only missing, partial, invalid, stale, unsettled or forced units."
    ),
    click.option(
        "--cascade",
        type=click.Choice(["direct", "all"]),
        is_flag=False,
        flag_value="direct",
        help="Plan stale units too, and what the plan makes stale: what reads it, or that and all further.",
    ),
    click.option("--force", is_flag=True, help="Rewrite all rows written before now; needs dates or a processor."),
    click.option("--older-than", metavar="DATE[THH:MM]", help="Rewrite rows written before this time, in UTC."),
    click.option("--include-warmup", is_flag=True, help="With --force or --older-than: dates of the warm-up too."),
    click.option("--limit", type=Whole(), metavar="N", help="At most so many dates."),
    click.option("--oldest-first", is_flag=True, help="With --limit: the oldest dates (default)."),
    click.option("--newest-first", is_flag=True, help="With --limit: the newest dates."),
    click.option("--most-unblocking", is_flag=True, help="With --limit: the dates that most units wait for."),
)


def asks_span(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a span; the command gets an `Ask`."""
    return _several(*_SPAN)(_gathered(function))


def asks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a span and of a selection; the command gets an `Ask`."""
    return _several(*_SPAN, *_SELECTION)(_gathered(function))


def asks_work(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a span, of a selection and of what counts as work; the command gets an `Ask`."""
    return _several(*_SPAN, *_SELECTION, *_WORK)(_gathered(function))


_SPAN_NAMES = ("first", "last", "season", "today")
_WORD_NAMES = ("through", "from_layer", "layers", "processors", "exclude")
_DATES_NAMES = ("dates", "dates_file")
#: What `--limit` takes first, by the option that says so.
_ORDERS = {"oldest_first": "oldest", "newest_first": "newest", "most_unblocking": "most-unblocking"}
_WORK_NAMES = ("reasons", "cascade", "force", "older_than", "include_warmup", "limit", *_ORDERS)
_SHARED = ("target", *_SPAN_NAMES, *_WORD_NAMES, *_DATES_NAMES, *_WORK_NAMES)


def _gathered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Takes the shared options out of a command's arguments and hands them over as one value."""

    @click.pass_context
    @functools.wraps(function)
    def command(context: click.Context, /, **given: Any) -> Any:
        from backfill_core.planning.selection import Words
        from backfill_core.project.look import Asking

        shared = {name: given.pop(name) for name in _SHARED if name in given}
        dates = chosen_dates(shared.get("dates"), shared.get("dates_file"))
        if shared.get("season") and (shared["first"] or shared["last"] or dates):
            raise BadUsage(message="--season says which dates already. Take --from, --to and --dates away, or --season")
        asking = Asking(
            dates=dates,
            words=Words(**{name: shared[name] for name in _WORD_NAMES if name in shared}),
            **{name: shared[name] for name in _SPAN_NAMES},
            **(_work(shared) if "limit" in shared else {}),
        )
        ask = Ask(project=Path(context.obj), target=shared["target"], asking=asking, typed=_typed(context))
        return function(ask, **given)

    return command


def observing(ask: Ask, observed: Literal["rows", "partitions"], last_observed: bool) -> Ask:
    """The same, of what is to be looked at. Raises BadUsage."""
    if last_observed and observed != "rows":
        raise BadUsage(message=f"--observe {observed} and --last-observed contradict each other. Type one of them")
    return replace(ask, asking=replace(ask.asking, observed="last" if last_observed else observed))


def _work(shared: Mapping[str, Any]) -> dict[str, Any]:
    """What counts as work, checked. Raises BadUsage."""
    if shared["force"] and shared["older_than"]:
        raise BadUsage(message="--force means --older-than now. Type one of them")
    named = any(shared[name] for name in ("dates", "dates_file", "season", "processors", "first", "last"))
    if shared["force"] and not named:
        raise BadUsage(message="--force rewrites what is complete: say which part, with --processor or --dates")
    if shared["include_warmup"] and not (shared["force"] or shared["older_than"]):
        raise BadUsage(message="--include-warmup goes with --force or --older-than")
    return {
        "reasons": _kinds(shared),
        "cascade": shared["cascade"] or "none",
        "force": shared["force"],
        "older_than": _instant(shared["older_than"]) if shared["older_than"] else None,
        "include_warmup": shared["include_warmup"],
        "limit": shared["limit"],
        "order": _order(shared),
    }


def _kinds(shared: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of reasons asked for, in their order; none: all. Raises BadUsage for those that nothing could have."""
    from backfill_core.planning.work import KINDS

    if shared["reasons"] is None:
        return ()
    kinds = [kind.strip() for kind in shared["reasons"].split(",") if kind.strip()]
    if not kinds:
        raise BadUsage(message=f"--reason is empty. Reasons: {', '.join(KINDS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise BadUsage(message=f'no reason "{kind}".{did_you_mean(kind, KINDS)} Reasons: {", ".join(KINDS)}')
    if "stale" in kinds and not shared["cascade"]:
        raise BadUsage(message="--reason stale plans nothing without --cascade. Add it")
    if "forced" in kinds and not (shared["force"] or shared["older_than"]):
        raise BadUsage(message="--reason forced plans nothing without --force or --older-than. Add one")
    return tuple(sorted(set(kinds), key=KINDS.index))


def _order(shared: Mapping[str, Any]) -> str:
    given = [name for name in _ORDERS if shared[name]]
    words = [f"--{name.replace('_', '-')}" for name in given]
    if len(given) > 1:
        raise BadUsage(message=f"{' and '.join(words)} contradict each other. Type one of them")
    if given and shared["limit"] is None:
        raise BadUsage(message=f"{words[0]} says which dates a limit takes. Add --limit N, or take it away")
    return _ORDERS[given[0]] if given else "oldest"


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadUsage(message=f"--older-than {text} is no time. Type YYYY-MM-DD or YYYY-MM-DDTHH:MM") from error
    at = found if found.tzinfo else found.replace(tzinfo=UTC)
    if at > datetime.now(UTC):
        raise BadUsage(message=f"--older-than {text} is yet to come: what is rewritten before it would be rewritten again")
    return at


def _typed(context: click.Context) -> str:
    """The shared options as they were typed."""
    parts: list[str] = []
    for param in context.command.params:
        name = param.name or ""
        if name in _SHARED and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value = context.params[name]
            if isinstance(param, click.Option) and param.is_flag:
                parts += param.opts[:1] if value is True or value == param.flag_value else []
                continue
            for each in value if isinstance(value, tuple) else (value,):
                parts += [param.opts[0], str(each)]
    return shlex.join(parts)
