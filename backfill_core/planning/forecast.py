"""How far each layer is, will be after a plan, and can be at most."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.graph import Pipeline
from backfill_core.model.processor import Layer
from backfill_core.plan import Forecast


def forecasts(
    pipeline: Pipeline, coverage: Coverage, selected: Collection[str], planned: Mapping[str, DateSet], dates: DateSet
) -> tuple[Forecast, ...]:
    """A forecast for each measured layer that the selection reaches, over ``dates``."""
    reached = {pipeline.processors[name].layer for name in selected}
    return tuple(
        forecast(coverage, layer, planned.get(layer.measured_by[0], DateSet()), dates)
        for layer in pipeline.layers
        if layer.measured_by
        and pipeline.runs_in(layer.name)
        and (layer.name in reached or any(layer.name in pipeline.before[name] for name in reached))
    )


def forecast(coverage: Coverage, layer: Layer, planned: DateSet, dates: DateSet) -> Forecast:
    """One layer over ``dates``, when every planned date succeeds."""
    assert layer.measured_by is not None
    name, key = layer.measured_by
    covered = coverage.processors[name]
    return Forecast(
        layer=layer.name,
        key=coverage.counted(name, key),
        wanted=coverage.keys_wanted(name, dates),
        now=coverage.keys_there(name, key, dates),
        after=coverage.keys_there(name, key, dates - planned) + coverage.keys_wanted(name, planned & dates),
        ceiling=coverage.keys_wanted(name, covered.expected & dates),
    )
