"""What a project's file raises when it is loaded, in words for its author."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import backfill_core
from backfill_core.errors import did_you_mean

_UNKNOWN = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"(\w+)\.__init__\(\) missing \d+ required (?:keyword-only |positional )*arguments?: (.+)")
_UNNAMED = re.compile(r"(\w+)\.__init__\(\) takes .* positional argument")
_NOT_THERE = re.compile(r"cannot import name '(\w+)' from 'backfill_core'")


def error_words(error: BaseException) -> str:
    """The error in words: of a declaration that is written wrong, how it is written."""
    said = str(error)
    if found := _NOT_THERE.match(said):
        return f'backfill_core has no "{found[1]}".{did_you_mean(found[1], backfill_core.__all__)}'
    if isinstance(error, TypeError):
        if (found := _UNKNOWN.match(said)) and (known := _fields(found[1])):
            hint = did_you_mean(found[2], known) or f" It takes: {', '.join(known)}"
            return f"{found[1]} takes no {found[2]}=.{hint}"
        if (found := _MISSING.match(said)) and _fields(found[1]):
            names = [f"{name}=" for name in re.findall(r"'(\w+)'", found[2])]
            return f"{found[1]} wants {' and '.join(names)}, and it is not given"
        if (found := _UNNAMED.match(said)) and (known := _fields(found[1])):
            return f"{found[1]} takes {known[0]} alone without its name. Write the others as name=value: {', '.join(known[1:])}"
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def _fields(name: str) -> list[str]:
    """The fields of a declaration that authors import; none of any other class."""
    kind = getattr(backfill_core, name, None) if name in backfill_core.__all__ else None
    return [field.name for field in fields(kind)] if isinstance(kind, type) and is_dataclass(kind) else []
