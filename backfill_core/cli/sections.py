"""Help of commands with many options: what belongs together stands under one heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

#: Headings in their order, each with the names of the options below it. What is named nowhere stands under the last.
SECTIONS: Mapping[str, Sequence[str]] = {
    "When": ("first", "last", "season", "dates", "dates_file", "today"),
    "Which part": ("target", "layers", "from_layer", "through", "processors", "exclude"),
    "What counts as work": (
        "reasons",
        "cascade",
        "force",
        "older_than",
        "include_warmup",
        "limit",
        "oldest_first",
        "newest_first",
        "most_unblocking",
        "plan_file",
        "failed",
        "cause",
    ),
    "How it goes": ("concurrency", "services", "priority", "pipelined", "wait"),
    "When it stops": ("canary", "max_failures", "fail_fast", "max_units", "max_duration", "deadline"),
    "What is let pass": ("allow_blocked", "retry_exhausted", "allow_shrink", "override_gate", "skip_preflight"),
    "Other options": (),
}


class Sectioned(click.Command):
    """A command whose options stand under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write(self, ctx, formatter)


class SectionedGroup(click.Group):
    """The same, of one that has commands of its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write(self, ctx, formatter)
        self.format_commands(ctx, formatter)


def _write(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    *_, last = SECTIONS
    heading_of = {name: heading for heading, names in SECTIONS.items() for name in names}
    place_of = {name: place for place, name in enumerate(heading_of)}
    found: dict[str, list[tuple[str, str]]] = {heading: [] for heading in SECTIONS}
    for param in sorted(command.get_params(ctx), key=lambda param: place_of.get(param.name or "", len(place_of))):
        record = param.get_help_record(ctx)
        if record is not None:
            found[heading_of.get(param.name or "", last)].append(record)
    for heading, records in found.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)
