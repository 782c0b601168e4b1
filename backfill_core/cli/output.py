"""What a command prints: lines that fit a terminal, and whole ones for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

import click

from backfill_core.reports.wrapping import one_line, wrapped

#: Columns of a terminal that does not say.
_COLUMNS = 80


def say(lines: Iterable[str], *, err: bool = False, whole: Iterable[str] = ()) -> None:
    """Prints lines. ``whole`` are texts that are never broken."""
    click.echo("\n".join(fitted(lines, sys.stderr if err else sys.stdout, whole=whole)), err=err)


def warn(warnings: Iterable[str]) -> None:
    """Prints warnings, to stderr."""
    for warning in warnings:
        say([f"warning: {warning}"], err=True)


def fitted(lines: Iterable[str], stream: TextIO, *, whole: Iterable[str] = ()) -> list[str]:
    """The lines as they go to a stream: broken at a terminal's width, one line each elsewhere."""
    flat = [one_line(line) for line in lines]
    return wrapped(flat, columns(stream), whole=whole) if stream.isatty() else flat


def columns(stream: TextIO) -> int:
    """The width of a terminal."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
