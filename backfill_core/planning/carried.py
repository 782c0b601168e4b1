"""How much of what one layer holds has come into the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.model.processor import Layer


@dataclass(frozen=True, slots=True)
class Carried:
    """Keys that a layer before holds, and how many of them are in a layer too."""

    before: str
    held: int
    carried: int

    def to_json(self) -> dict[str, Any]:
        return {"layer": self.before, "held": self.held, "carried": self.carried}


def carried(pipeline: Pipeline, coverage: Coverage, layer: Layer, dates: DateSet) -> Carried | None:
    """Of a measured layer and the nearest one before it that counts the same keys of the same calendar; None: there is none."""
    assert layer.measured_by is not None
    name, key = layer.measured_by
    for before in reversed(pipeline.layers[: pipeline.layers.index(layer)]):
        if before.name not in pipeline.before[layer.name] or not before.measured_by:
            continue
        upstream, its_key = before.measured_by
        if coverage.calendar_of[upstream] != coverage.calendar_of[name] or its_key != key or not coverage.calendar(name).keys:
            continue
        theirs, ours = (coverage.keys_by_day(each, key, dates) for each in (upstream, name))
        shared = sum(len(keys & ours[day]) for day, keys in theirs.items())
        return Carried(before.name, sum(map(len, theirs.values())), shared)
    return None
