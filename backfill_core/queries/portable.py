"""GoogleSQL that every engine reads the same way, so that it needs no translator.

Loading the translator costs a tenth of a cold plan. What follows is deliberately narrow: a text with any word, function or
sign that is not listed here goes to the translator.
"""

from __future__ import annotations

import re

#: Comments, quoted strings without escapes, parameters, tables in braces, numbers, words and signs.
_TOKEN = re.compile(
    r"\s+|--[^\n]*|/\*.*?\*/|(?P<string>'[^'\\]*')|(?P<param>@\w+)|\{\w+\}|\d+(?:\.\d+)?"
    r"|(?P<word>[A-Za-z_]\w*)(?P<call>\s*\()?|<=|>=|<>|!=|[=<>+*(),.\-]",
    re.DOTALL,
)
# fmt: off
#: Words after which a parenthesis is no call of a function.
_BEFORE_PARENTHESIS = frozenset((
    "AND", "AS", "BETWEEN", "EXISTS", "FROM", "IN", "JOIN", "NOT", "ON", "OR", "SELECT", "THEN",
    "USING", "WHEN", "WHERE", "WITH",
))
#: Functions that take and give the same everywhere.
_FUNCTIONS = frozenset(("ABS", "COALESCE", "COUNT", "MAX", "MIN", "SUM"))
#: Words that mean something else, or nothing, in one of the engines.
_APART = frozenset((
    "ARRAY", "BEGIN", "CALL", "CAST", "CREATE", "CURRENT_DATE", "CURRENT_TIMESTAMP", "DATE",
    "DATETIME", "DECLARE", "DELETE", "EXCEPT", "EXTRACT", "FOR", "GROUPING", "INSERT", "INTERVAL",
    "LIKE", "LIMIT", "MERGE", "OFFSET", "ORDER", "OVER", "PARTITION", "PIVOT", "QUALIFY", "RANGE",
    "ROWS", "STRUCT", "TABLESAMPLE", "TIMESTAMP", "UNNEST", "UNPIVOT", "UPDATE", "WINDOW",
))
# fmt: on


def is_portable(text: str) -> bool:
    """Whether a GoogleSQL query can be sent to any engine once its parameters and tables are written in its way."""
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return False
        word = (token["word"] or "").upper()
        if word in _APART or (token["call"] and word not in _FUNCTIONS | _BEFORE_PARENTHESIS):
            return False
        at = token.end()
    return True


def with_params(text: str, marker: str) -> str:
    """A portable query with ``marker`` before its parameters' names; strings and comments are left as they are."""
    return _TOKEN.sub(lambda token: marker + token["param"][1:] if token["param"] else token[0], text)
