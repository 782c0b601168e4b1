"""Which processors a person's words choose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from backfill_core.dates import DateSet, union
from backfill_core.errors import NothingChosen
from backfill_core.graph import Pipeline
from backfill_core.plan import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A selection as it was typed: names and aliases of layers, names of processors."""

    through: str | None = None
    from_layer: str | None = None
    layers: tuple[str, ...] = ()
    #: A ``+`` before a name takes all it reads too, one after it all that reads it.
    processors: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"--through {self.through}"] if self.through else []
        parts += [f"--from-layer {self.from_layer}"] if self.from_layer else []
        parts += [f"--layer {name}" for name in self.layers] + [f"--processor {name}" for name in self.processors]
        return " ".join([*parts, *(f"--exclude {name}" for name in self.exclude)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was chosen: the last layer, and processors in the graph's order (none: all up to that layer)."""

    through: str
    processors: tuple[str, ...]


def select(pipeline: Pipeline, words: Words, *, beyond: bool = False) -> Selection:
    """Raises UnknownLayer or UnknownProcessor for a name nothing has, NothingChosen where the words leave nothing.

    Without ``through`` the last layer is that of what was chosen; with ``beyond``, the graph's last.
    """
    upto = _layers_upto(pipeline, words.through)
    after = pipeline.layer(words.from_layer).name if words.from_layer else None
    layers = {pipeline.layer(name).name for name in words.layers}
    named = _named(pipeline, words.processors)
    out = _named(pipeline, words.exclude)
    chosen = tuple(
        name
        for name, processor in pipeline.processors.items()
        if processor.layer in upto
        and (after is None or processor.layer == after or after in pipeline.before[processor.layer])
        and (not layers or processor.layer in layers)
        and (not words.processors or name in named)
        and name not in out
    )
    runs = [name for name in chosen if pipeline.runs(name)]
    if not runs:
        why = f"{chosen[0]} is a source: observed, never run" if chosen else "they leave no processor"
        raise NothingChosen(words=str(words), why=why)
    whole = not (words.processors or words.exclude or layers or after)
    if words.through:
        through = pipeline.layer(words.through).name
    else:
        through = pipeline.layers[-1].name if beyond else _last(pipeline, runs)
    return Selection(through=through, processors=() if whole else chosen)


def _layers_upto(pipeline: Pipeline, through: str | None) -> set[str]:
    if through is None:
        return {layer.name for layer in pipeline.layers}
    last = pipeline.layer(through).name
    return {last, *pipeline.before[last]}


def _last(pipeline: Pipeline, names: Iterable[str]) -> str:
    """The last of those processors' layers, or the graph's last where they do not lie in one line."""
    layers = list(dict.fromkeys(pipeline.processors[name].layer for name in names))
    in_line = all(layer == layers[-1] or layer in pipeline.before[layers[-1]] for layer in layers)
    return layers[-1] if in_line else pipeline.layers[-1].name


def _named(pipeline: Pipeline, words: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for word in words:
        name = pipeline.processor(word.strip("+")).name
        found.add(name)
        if word.startswith("+"):
            found |= pipeline.upstream_of([name])
        if word.endswith("+"):
            found |= pipeline.downstream_of([name])
    return frozenset(found)


def just(pipeline: Pipeline, request: Request, units: Mapping[str, DateSet]) -> Request:
    """The same request for those units alone, as far as the graph still has their processors.

    Raises NothingChosen where it has none of them.
    """
    only = tuple((name, units[name]) for name in pipeline.processors if name in units)
    if not only:
        raise NothingChosen(words=", ".join(units), why="no longer declared")
    dates = union(days for _, days in only)
    return replace(request, processors=tuple(name for name, _ in only), dates=dates, only=only, reasons=(), limit=None)
