"""Options by which somebody says why: kept by files, journal and reports, each time on one line."""

from __future__ import annotations

from typing import Any

import click

from backfill_core.reports.wrapping import one_line


class Reason(click.ParamType[str]):
    """Why something is done, in words."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        why = one_line(str(value)).strip()
        return why or self.fail("it is empty. Say why, for whoever reads it later.", param, ctx)


class Reasoned(click.ParamType[tuple[str, str]]):
    """Something that is set aside, and why, as NAME=WHY."""

    name = "reasoned"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, _, why = one_line(value).partition("=")
        if not name.strip() or not why.strip():
            self.fail(f"{value!r}: type NAME=WHY, a reason that whoever reads the report will understand.", param, ctx)
        return name.strip(), why.strip()
