"""Whole numbers that options take."""

from __future__ import annotations

from typing import Any

import click


class Whole(click.IntRange):
    """A whole number of ``least`` or more, ``most`` at most."""

    def __init__(self, least: int = 1, most: int | None = None) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            found: int = super().convert(value, param, ctx)
        except click.BadParameter as error:
            bounds = f"{self.min} or more" if self.max is None else f"{self.min} to {self.max}"
            raise click.BadParameter(f"{value!r} will not do. Type a whole number, {bounds}.", ctx, param) from error
        return found
