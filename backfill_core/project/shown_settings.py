"""Settings as a person may see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from backfill_core.project.settings import SECRET_WORDS

#: Where a command holds something that is shown to nobody.
_HELD = re.compile(rf"(?i)([\w-]*(?:{'|'.join(SECRET_WORDS)})[\w-]*=|bearer\s+)[^\s'\"]+")


def leaves(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every single setting with its path."""
    for name, field in type(model).model_fields.items():
        yield from _leaves(getattr(model, name), (*path, field.alias or name))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, BaseModel):
        yield from leaves(value, path)
    elif isinstance(value, dict) and value:
        for key, each in sorted(value.items()):
            yield from _leaves(each, (*path, key))
    else:
        yield path, value


def masked(path: tuple[str, ...], value: Any) -> str:
    """A setting as it may be shown: nothing of what looks like a secret, nor of what a URL has before its host."""
    if value is None or value == {}:
        return ""
    if any(word in path[-1].lower() for word in SECRET_WORDS):
        return "***"
    return _HELD.sub(r"\1***", re.sub(r"://[^/@]+@", "://***@", str(value)))
