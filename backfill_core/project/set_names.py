"""Names of the graph that stand in a target's settings: a mistyped one would be passed over in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from backfill_core.errors import BadSettings, did_you_mean
from backfill_core.graph import Pipeline
from backfill_core.model.runs import Called, Service
from backfill_core.project.settings import Target
from backfill_core.project.settings_sources import origin, read_layers


def check_set_names(pipeline: Pipeline, root: Path, name: str, target: Target) -> None:
    """Raises BadSettings for the first name of a service, processor, table or dataset that the graph does not have."""
    for path, kind, given, known in _named(pipeline, target):
        for each in sorted(given.keys() - known):
            full = ("targets", name, *path, each)
            there = did_you_mean(each, known) or f" There are: {', '.join(sorted(known)) or 'none'}"
            problem = f'{".".join(full[:-1])}: no {kind} "{each}" in this project.{there}'
            raise BadSettings(where=origin(read_layers(root), full), problem=problem)


def services_of(pipeline: Pipeline) -> dict[str, Service]:
    """The services that the graph names on its runtime; of two of one name the more careful figures hold."""
    found: dict[str, Service] = {}
    for processor in pipeline.processors.values():
        spec = processor.spec_for(pipeline.runtime)
        if isinstance(spec, Called) and spec.shares:
            theirs = spec.service or Service(spec.shares)
            mine = found.setdefault(theirs.name, theirs)
            found[theirs.name] = replace(
                mine,
                in_flight=_least(mine.in_flight, theirs.in_flight),
                per_minute=_least(mine.per_minute, theirs.per_minute),
            )
    return found


def _named(pipeline: Pipeline, target: Target) -> Iterator[tuple[tuple[str, ...], str, Mapping[str, object], Collection[str]]]:
    """Settings that hold names of the graph: their path, what is named, what is given, and what there is."""
    tables = {table.name: table for processor in pipeline.processors.values() for table in processor.tables.values()}
    services = services_of(pipeline).keys()
    yield ("in_flight", "services"), "service", target.in_flight.services, services
    yield ("in_flight", "processors"), "processor", target.in_flight.processors, pipeline.processors.keys()
    yield ("in_flight", "tables"), "table", target.in_flight.tables, tables.keys()
    yield ("per_minute",), "service", target.per_minute, services
    yield ("datasets",), "dataset", target.datasets, {table.dataset for table in tables.values()}


_Figure = TypeVar("_Figure", int, float)


def _least(one: _Figure | None, other: _Figure | None) -> _Figure | None:
    return min((each for each in (one, other) if each is not None), default=None)
