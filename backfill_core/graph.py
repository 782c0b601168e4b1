"""The dependency graph of a project: layers, processors and what each reads. networkx lives here alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import networkx as nx

from backfill_core.errors import InvalidProject, Problem, UnknownLayer, UnknownProcessor, did_you_mean
from backfill_core.model.calendar import Calendar, EveryDay, Monthly, Schedule, Weekly
from backfill_core.model.expectations import (
    Allowed,
    AtMost,
    KeysOf,
    MatchingKeys,
    NotNull,
    Offending,
    Positive,
    among_parts,
)
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Source
from backfill_core.model.shapes import shape_problems
from backfill_core.model.table import Files, Table
from backfill_core.model.validity import calendar_problems, layer_problems, processor_problems
from backfill_core.model.windows import SAME_DATE, SEASON_TO_DATE, Window


class EdgeKind(StrEnum):
    #: The downstream cannot run without it.
    HARD = "hard"
    #: The downstream runs degraded without it.
    SOFT = "soft"
    #: The downstream's expectation or rule reads it: it comes first, and its keys are what is expected.
    READS = "reads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One dependency: ``downstream`` reads any one of ``upstreams`` over ``window``."""

    upstreams: tuple[str, ...]
    downstream: str
    window: Window
    kind: EdgeKind
    #: Share of the window's dates that must be there; nothing is required of an edge that only reads.
    share: float
    #: Column of the downstream's table with the content of this edge that its rows were computed from.
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """A value found in a project file, and where."""

    value: Layer | Processor | Calendar
    file: str
    line: int = 0

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A project's graph, checked: every name in it is known, and nothing in it goes round."""

    #: In an order in which each comes after those it builds on.
    layers: tuple[Layer, ...]
    #: In topological order.
    processors: Mapping[str, Processor]
    calendars: Mapping[str, Calendar]
    #: What each processor reads, by its name.
    edges_into: Mapping[str, tuple[Edge, ...]]
    #: Names of the layers that come before each layer, however far.
    before: Mapping[str, frozenset[str]]
    #: Where each processor was declared.
    declared: Mapping[str, Declared]
    runtime: str

    @staticmethod
    def build(found: Iterable[Declared], runtime: str) -> Pipeline:
        """The graph of these declarations for one runtime. Raises InvalidProject with all that is wrong, at once."""
        return _Builder(list(found), runtime).build()

    @staticmethod
    def problems_of_some(found: Iterable[Declared], runtime: str) -> list[Problem]:
        """What is wrong with these declarations, whatever others there may be: a name that none of them has is no problem."""
        builder = _Builder(list(found), runtime, some=True)
        builder.check()
        return builder.problems

    def layer(self, name: str) -> Layer:
        """The layer of that name or alias. Raises UnknownLayer."""
        for layer in self.layers:
            if name.lower() in (layer.name.lower(), *(alias.lower() for alias in layer.aliases)):
                return layer
        known = ", ".join(f"{layer.name} ({', '.join(layer.aliases)})" if layer.aliases else layer.name for layer in self.layers)
        raise UnknownLayer(name=name, known=known)

    def processor(self, name: str) -> Processor:
        """The processor of that name. Raises UnknownProcessor."""
        if name not in self.processors:
            raise UnknownProcessor(name=name, hint=did_you_mean(name, self.processors))
        return self.processors[name]

    def within(self, layer: str) -> list[Processor]:
        """The processors of one layer, in topological order."""
        return [processor for processor in self.processors.values() if processor.layer == layer]

    def runs_in(self, layer: str) -> bool:
        """Whether anything of that layer can be run here, rather than only observed."""
        return any(self.runs(processor.name) for processor in self.within(layer))

    def schedule_tables(self) -> dict[str, Table]:
        """The tables that calendars are read from on this runtime, by the calendar's name."""
        found = {}
        for calendar in self.calendars.values():
            if isinstance(calendar, Schedule) and self.runtime in calendar.tables:
                table = self.processors[calendar.tables[self.runtime]].writes
                assert isinstance(table, Table), "that was checked"
                found[calendar.name] = table
        return found

    @property
    def reads_files(self) -> bool:
        """Whether anything stands in landing files: a source, or a schedule."""
        tables = self.schedule_tables()
        schedules = [name for name, calendar in self.calendars.items() if isinstance(calendar, Schedule) and name not in tables]
        return bool(schedules) or any(isinstance(processor.writes, Files) for processor in self.processors.values())

    def runs(self, name: str) -> bool:
        return not isinstance(self.processors[name].spec_for(self.runtime), Source)

    def chosen(self, through: str, processors: Iterable[str] = ()) -> tuple[str, ...]:
        """The processors of a selection, in order: those named, or all up to a layer."""
        named = frozenset(processors)
        upto = {through, *self.before[through]}
        return tuple(
            name for name, processor in self.processors.items() if processor.layer in upto and (not named or name in named)
        )

    def upstream_of(self, names: Iterable[str]) -> frozenset[str]:
        """Those processors and everything they read, however far."""
        return _reached(names, {name: [up for e in edges for up in e.upstreams] for name, edges in self.edges_into.items()})

    def downstream_of(self, names: Iterable[str]) -> frozenset[str]:
        """Those processors and everything that reads them, however far."""
        readers: dict[str, list[str]] = {}
        for name, edges in self.edges_into.items():
            for upstream in {up for edge in edges for up in edge.upstreams}:
                readers.setdefault(upstream, []).append(name)
        return _reached(names, readers)


def _reached(names: Iterable[str], steps: Mapping[str, Iterable[str]]) -> frozenset[str]:
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(steps.get(name, ()))
    return frozenset(reached)


def edges_of(processor: Processor) -> tuple[Edge, ...]:
    """Everything a processor reads: its needs, then what its expectations and rules look at."""
    edges = [
        Edge(
            upstreams=need.upstreams,
            downstream=processor.name,
            window=need.window,
            kind=EdgeKind.SOFT if need.soft else EdgeKind.HARD,
            share=need.required,
            hash=need.hash,
        )
        for need in processor.needs
    ]
    seen = {(name, edge.window) for edge in edges for name in edge.upstreams}
    for name, window in _read_by_checks(processor):
        if (name, window) not in seen:
            seen.add((name, window))
            edges.append(Edge(upstreams=(name,), downstream=processor.name, window=window, kind=EdgeKind.READS, share=0.0))
    return tuple(edges)


def checked_reads(processor: Processor) -> tuple[tuple[str, Window], ...]:
    """What a processor's expectations and rules read of others: (name, window) each."""
    return tuple(dict.fromkeys(_read_by_checks(processor)))


def _read_by_checks(processor: Processor) -> Iterable[tuple[str, Window]]:
    yield from (read for each in (processor, *processor.parts.values()) for read in _read_by_checks_of_one(each))


def _read_by_checks_of_one(processor: Processor) -> Iterable[tuple[str, Window]]:
    for expectation in processor.expectations:
        match expectation:
            case KeysOf(processor=name, window=window, at_least=at_least, also_in=also_in):
                yield name, window
                if at_least and not expectation.looks_back:
                    yield name, SEASON_TO_DATE
                if also_in:
                    yield also_in, SAME_DATE
            case AtMost(of=name):
                yield name, SAME_DATE
            case _:
                pass
    for rule in processor.rules:
        match rule:
            case NotNull(among=among) | Positive(among=among) | Allowed(among=among) | MatchingKeys(among=among):
                if isinstance(rule, MatchingKeys):
                    yield rule.processor, SAME_DATE
                other = among_parts(among)[1]
                if other:
                    yield other, SAME_DATE
            case Offending(reads=reads):
                yield from ((name, SAME_DATE) for name in reads)
            case _:
                pass


class _Builder:
    """Checks a project's declarations together and puts them in order."""

    def __init__(self, found: list[Declared], runtime: str, *, some: bool = False) -> None:
        self.runtime = runtime
        #: Whether others may be declared that were not found.
        self.some = some
        self.problems: list[Problem] = []
        self.layers: dict[str, Layer] = {}
        self.processors: dict[str, Processor] = {}
        self.calendars: dict[str, Calendar] = {}
        self.where: dict[tuple[str, str], Declared] = {}
        for declared in found:
            self._take(declared)

    def check(self) -> tuple[list[str], list[str]]:
        """(the layers, the processors), in order as far as they have one; ``problems`` then has all that is wrong."""
        self._check_names()
        self._check_writers()
        self._check_values()
        order = self._layer_order()
        return order, self._processor_order(order)

    def build(self) -> Pipeline:
        order, names = self.check()
        if self.problems:
            raise InvalidProject(self.problems)
        layers: nx.DiGraph[str] = nx.DiGraph((before, layer.name) for layer in self.layers.values() for before in layer.after)
        layers.add_nodes_from(self.layers)
        return Pipeline(
            layers=tuple(self.layers[name] for name in order),
            processors={name: self.processors[name] for name in names},
            calendars=dict(self.calendars),
            edges_into={name: edges_of(self.processors[name]) for name in names},
            before={name: frozenset(nx.ancestors(layers, name)) for name in order},
            declared={name: self.where["processor", name] for name in names},
            runtime=self.runtime,
        )

    def _take(self, declared: Declared) -> None:
        value = declared.value
        kind, shelf = self._shelf(value)
        wrong = [f'{kind} "{value.name}" {what}' for what in shape_problems(value)]
        if wrong:
            for what in wrong:
                self._wrong(declared, what)
            self.some = True  # what is left out here is declared all the same
            return
        if value.name in shelf:
            first = self.where[kind, value.name].where
            self._wrong(declared, f'{kind} "{value.name}" is declared twice, first in {first}. Rename one')
            return
        shelf[value.name] = value
        self.where[kind, value.name] = declared

    def _shelf(self, value: Layer | Processor | Calendar) -> tuple[str, dict[str, Any]]:
        match value:
            case Layer():
                return "layer", self.layers
            case Processor():
                return "processor", self.processors
            case EveryDay() | Weekly() | Monthly() | Schedule():
                return "calendar", self.calendars

    def _wrong(self, declared: Declared, what: str) -> None:
        self.problems.append(Problem(declared.where, what))

    def _known(self, declared: Declared, kind: str, name: str, shelf: Mapping[str, object], role: str) -> bool:
        if name in shelf or self.some:
            return True
        self._wrong(declared, f'{role} names {kind} "{name}", which nothing declares.{did_you_mean(name, shelf)}')
        return False

    def _check_names(self) -> None:
        for name, processor in self.processors.items():
            declared = self.where["processor", name]
            self._known(declared, "layer", processor.layer, self.layers, f'processor "{name}"')
            self._known(declared, "calendar", processor.calendar, self.calendars, f'processor "{name}"')
            for edge in edges_of(processor):
                for upstream in edge.upstreams:
                    self._known(declared, "processor", upstream, self.processors, f'processor "{name}"')
            if processor.spec_for(self.runtime) is None:
                self._wrong(declared, f'processor "{name}" has no run spec for runtime "{self.runtime}". Add one to run={{…}}')
        self._check_schedule_tables()
        said: dict[str, str] = {}
        for name, layer in self.layers.items():
            declared = self.where["layer", name]
            for word in (name, *layer.aliases):
                if said.setdefault(word.lower(), name) != name:
                    self._wrong(declared, f'"{word}" means layer "{said[word.lower()]}" already. Rename the alias')
            measured = [gate.measure for gate in layer.gates] + [gate.of for gate in layer.gates if gate.of]
            for other in measured + ([layer.measured_by[0]] if layer.measured_by else []):
                self._known(declared, "processor", other, self.processors, f'layer "{name}"')
            for before in layer.after:
                self._known(declared, "layer", before, self.layers, f'layer "{name}"')

    def _check_schedule_tables(self) -> None:
        for name, calendar in self.calendars.items():
            other = calendar.tables.get(self.runtime) if isinstance(calendar, Schedule) else None
            declared = self.where["calendar", name]
            if other is None or not self._known(declared, "processor", other, self.processors, f'calendar "{name}"'):
                continue
            if not isinstance(self.processors[other].writes, Table):
                self._wrong(declared, f'calendar "{name}" is read from "{other}", which writes no table')
            elif not isinstance(self.processors[other].spec_for(self.runtime), Source):
                what = f'calendar "{name}" is read from "{other}", which a run fills: that says nothing of what is expected'
                self._wrong(declared, f'{what}. Let others fill it: run={{"{self.runtime}": SOURCE}}')

    def _check_writers(self) -> None:
        writers: dict[str, list[tuple[str, Table | Files]]] = {}
        for name, processor in self.processors.items():
            for written in (processor.writes, *(part.table for part in processor.also)):
                writers.setdefault(written.name, []).append((name, written))
        for table, found in writers.items():
            names = sorted({name for name, _ in found})
            marks = [tuple(sorted(t.only.items())) if isinstance(t, Table) else () for _, t in found]
            if len(names) > 1 and (() in marks or len(set(marks)) < len(marks)):
                self._wrong(
                    self.where["processor", found[-1][0]],
                    f"{' and '.join(names)} both write {table}. Give each table its own only={{column: value}}",
                )
            if len(names) < len(found):
                self._wrong(self.where["processor", names[0]], f'processor "{names[0]}" fills {table} twice. Take one away')
        self._check_short_names()

    def _check_short_names(self) -> None:
        """SQL names further tables as it names processors, so that no two may be called alike."""
        taken = {name: (name, "") for name in self.processors}
        for name, processor in self.processors.items():
            for part in processor.also:
                owner, table = taken.setdefault(part.table.short, (name, part.table.name))
                if (owner, table) != (name, part.table.name):
                    self._wrong(
                        self.where["processor", name],
                        f'processor "{name}" also fills {part.table.name}, but "{part.table.short}" means a table of "{owner}" '
                        "already. Rename one",
                    )

    def _check_values(self) -> None:
        for layer in self.layers.values():
            for what in layer_problems(layer):
                self._wrong(self.where["layer", layer.name], what)
        for calendar in self.calendars.values():
            for what in calendar_problems(calendar):
                self._wrong(self.where["calendar", calendar.name], what)
        for processor in self.processors.values():
            for what in processor_problems(processor, self.processors, self.calendars):
                self._wrong(self.where["processor", processor.name], what)

    def _layer_order(self) -> list[str]:
        order: nx.DiGraph[str] = nx.DiGraph()
        order.add_nodes_from(self.layers)
        for layer in self.layers.values():
            order.add_edges_from((before, layer.name) for before in layer.after if before in self.layers)
        self._report_cycle(order, "layer")
        self._check_layer_edges(order)
        if not nx.is_directed_acyclic_graph(order):
            return list(self.layers)
        return list(nx.lexicographical_topological_sort(order))

    def _check_layer_edges(self, order: nx.DiGraph[str]) -> None:
        for name, processor in self.processors.items():
            if processor.layer not in self.layers:
                continue
            allowed = nx.ancestors(order, processor.layer) | {processor.layer}
            for edge in edges_of(processor):
                for upstream in edge.upstreams:
                    other = self.processors.get(upstream)
                    if other is not None and other.layer in self.layers and other.layer not in allowed:
                        self._wrong(
                            self.where["processor", name],
                            f'processor "{name}" (layer "{processor.layer}") reads "{upstream}", but layer '
                            f'"{other.layer}" does not come before it. Put it in after=(…) or move the processor',
                        )

    def _processor_order(self, layers: list[str]) -> list[str]:
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.processors)
        for name, processor in self.processors.items():
            for edge in edges_of(processor):
                graph.add_edges_from((up, name) for up in edge.upstreams if up in self.processors and up != name)
        self._check_self_needs()
        self._report_cycle(graph, "processor")
        if not nx.is_directed_acyclic_graph(graph):
            return list(self.processors)
        rank = {name: place for place, name in enumerate(layers)}
        return list(
            nx.lexicographical_topological_sort(graph, key=lambda name: (rank.get(self.processors[name].layer, len(rank)), name))
        )

    def _check_self_needs(self) -> None:
        for name, processor in self.processors.items():
            for edge in edges_of(processor):
                if name in edge.upstreams and edge.window == SAME_DATE:
                    self._wrong(
                        self.where["processor", name],
                        f'processor "{name}" needs its own same date. Its own earlier dates take a window: window=days(n)',
                    )

    def _report_cycle(self, graph: nx.DiGraph[str], kind: str) -> None:
        for knot in sorted(map(sorted, nx.strongly_connected_components(graph))):
            if len(knot) > 1:
                ring = [edge[0] for edge in nx.find_cycle(graph.subgraph(knot), knot[0])]
                start = ring.index(min(ring))
                ring = [*ring[start:], *ring[:start], ring[start]]
                self._wrong(self.where[kind, ring[0]], f"{kind}s go round: {' -> '.join(ring)}. Take one edge out")
