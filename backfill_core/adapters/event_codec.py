"""Events as JSON text and back, for journals and logs."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import Any, get_args

from backfill_core.dates import DateSet
from backfill_core.events import Control, Event, Instruction, Word

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
_FIELDS: dict[type[Any], tuple[str, ...]] = {
    kind: tuple(f.name for f in fields(kind)) for kind in (*_KINDS.values(), Instruction)
}


def encode(event: Event | Instruction) -> tuple[str, str]:
    """(kind, body) of an event, or of an instruction."""
    body = {name: getattr(event, name) for name in _FIELDS[type(event)]}
    return type(event).__name__, _ENCODER.encode(body)


def decode(kind: str, body: str) -> Event:
    """Reads what ``encode`` wrote of an event. Raises KeyError or TypeError for a kind or field this version does not know."""
    event: Event = _KINDS[kind](**_fields(body))
    return event


def decode_instruction(body: str) -> Instruction:
    """Reads what ``encode`` wrote of an instruction."""
    return Instruction(**_fields(body))


def _fields(body: str) -> dict[str, Any]:
    found = {name: _rich(value) for name, value in json.loads(body).items()}
    for name, kind in (("word", Word), ("control", Control)):
        if name in found:
            found[name] = kind(found[name])
    return found


def _plain(value: object) -> object:
    if isinstance(value, DateSet):
        return {"$dates": value.to_json()}
    if isinstance(value, datetime):
        return {"$at": value.isoformat()}
    raise TypeError(f"{type(value).__name__} is no part of an event")


#: Made once: a run of a million units writes some millions of events.
_ENCODER = json.JSONEncoder(default=_plain, separators=(",", ":"))


def _rich(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        if "$dates" in value:
            return DateSet.from_json(value["$dates"])
        if "$at" in value:
            return datetime.fromisoformat(value["$at"])
    return tuple(value) if isinstance(value, list) else value
