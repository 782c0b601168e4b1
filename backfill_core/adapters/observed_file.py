"""What a run last observed of its target, in a file: for those who may not look themselves while it holds the warehouse."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from backfill_core.coverage import DateFacts
from backfill_core.dates import Span

_SCHEMA = 1
#: Facts by day, and those that are by a name first.
_BY_DAY = ("rows", "distinct", "oldest", "newest", "hashes")
_BY_NAME = ("made_from", "keys", "checks", "shares")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The facts of every table of a graph, and when they were so."""

    at: datetime
    run: str
    #: Fingerprint of the graph that asked for them.
    graph: str
    #: The days that were looked at, by processor.
    reach: Mapping[str, Span]
    facts: Mapping[str, DateFacts]


class ObservedFile:
    """One target's last observation. It holds no state of anything: without it one looks again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, observed: Observed) -> None:
        """Replaces what was there, as a whole or not at all. Where it cannot be written the old one goes: it would mislead."""
        body = {
            "schema": _SCHEMA,
            "at": observed.at.isoformat(),
            "run": observed.run,
            "graph": observed.graph,
            "reach": {name: [str(span.first), str(span.last)] for name, span in observed.reach.items()},
            "facts": {name: _told(facts) for name, facts in observed.facts.items()},
        }
        draft = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(gzip.compress(json.dumps(body, separators=(",", ":")).encode(), compresslevel=1))
            os.replace(draft, self.path)
        except OSError:
            for path in (draft, self.path):
                with suppress(OSError):
                    path.unlink()

    def read(self) -> Observed | None:
        """None where there is none that can be read."""
        try:
            data = json.loads(gzip.decompress(self.path.read_bytes()))
            if data["schema"] != _SCHEMA:
                return None
            return Observed(
                at=datetime.fromisoformat(data["at"]),
                run=data["run"],
                graph=data["graph"],
                reach={name: Span(*map(date.fromisoformat, days)) for name, days in data["reach"].items()},
                facts={name: _read(facts) for name, facts in data["facts"].items()},
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            return None


def _told(facts: DateFacts) -> dict[str, Any]:
    told = {each.name: getattr(facts, each.name) for each in fields(facts) if each.name != "also"}
    return {name: value for name, value in told.items() if value != {}} | {
        "also": {n: _told(part) for n, part in facts.also.items()}
    }


def _read(data: Mapping[str, Any]) -> DateFacts:
    found: dict[str, Any] = {name: _days(data.get(name, {})) for name in _BY_DAY}
    found |= {name: {key: _days(days) for key, days in data.get(name, {}).items()} for name in _BY_NAME}
    return DateFacts(exists=data["exists"], also={name: _read(part) for name, part in data["also"].items()}, **found)


def _days(found: Mapping[str, Any]) -> dict[int, Any]:
    return {int(day): tuple(value) if isinstance(value, list) else value for day, value in found.items()}
