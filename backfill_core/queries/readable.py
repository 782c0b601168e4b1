"""Statements as a person reads them: one clause a line, and what their parameters are as comments. Nothing else is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from backfill_core.queries.dialect import Query

#: Quoted texts and names, signs that open and close, words with the signs that stick to them.
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|[()]|[^\s()'\"`]+|\s+")
#: Words that begin a clause. LEFT and FULL take the JOIN after them along.
_CLAUSES = frozenset(("SELECT", "FROM", "WHERE", "GROUP", "JOIN", "LEFT", "FULL", "UNION", "WITH"))
_BEFORE_JOIN = frozenset(("LEFT", "FULL"))
_INDENT = "  "


def statement_lines(asker: str, query: Query) -> list[str]:
    """A statement under the name of who asks it and its parameters."""
    params = [f"--   {name} = {_value(value)}" for name, value in query.params.items()]
    return [f"-- {asker}", *params, f"{readable(query.text)};", ""]


def readable(text: str) -> str:
    """The statement with each clause on a line of its own, indented by the query it is in."""
    tokens = _TOKEN.findall(text)
    lines, line, before = [], "", ""
    #: Of each open parenthesis, whether a query stands in it.
    inside: list[bool] = []
    for place, token in enumerate(tokens):
        query = not inside or inside[-1]
        closes = token == ")" and inside.pop()
        if closes or (query and token in _CLAUSES and before not in _BEFORE_JOIN):
            lines.append(line)
            line = _INDENT * sum(inside)
        if token == "(":
            inside.append(_next_word(tokens[place + 1 :]) in ("SELECT", "WITH"))
        if not token.isspace():
            before = token
        line += token if line.strip() or not token.isspace() else ""
    return "\n".join(each.rstrip() for each in (*lines, line) if each.strip())


def _next_word(tokens: Iterable[str]) -> str:
    return next((token for token in tokens if not token.isspace() and token != "("), "")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} values, {value[0]} to {value[-1]}" if len(value) > 3 else ", ".join(map(str, value))
    return repr(value) if isinstance(value, str) else str(value)
