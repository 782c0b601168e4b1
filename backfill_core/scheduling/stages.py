"""Which layers are open, and which of their units come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backfill_core.dates import DateSet
from backfill_core.scheduling.work import Work

_Days = dict[str, list[int]]


class Stages:
    """Lets units that nothing holds up come out: of layers whose turn it is, and there the canary before the others."""

    def __init__(
        self, works: Sequence[Work], layers: Mapping[str, frozenset[str]], *, pipelined: bool, canary: Mapping[str, DateSet]
    ) -> None:
        self._layers = dict(layers)
        self._of = {work.name: work for work in works}
        #: Units of each layer without a final word.
        self._left = dict.fromkeys(layers, 0)
        self._canary = {name: set(dates.numbers()) for name, dates in canary.items()}
        #: Units of each layer's canary without a final word; what waits behind it.
        self._canary_left = dict.fromkeys(layers, 0)
        self._behind: dict[str, _Days] = {layer: {} for layer in layers}
        for work in works:
            if not work.gate:
                self._left[work.layer] += len(work.dates)
                self._canary_left[work.layer] += len(self._canary.get(work.name, ()))
        self._judged: set[str] = set()
        self._open = {layer for layer, before in layers.items() if pipelined or not before}
        #: What is ready in layers that are not open yet.
        self._parked: dict[str, _Days] = {layer: {} for layer in layers}
        self._free: _Days = {}
        self._gates: _Days = {}

    def ready(self, name: str, day: int) -> None:
        """Nothing that a unit reads holds it up any longer."""
        work = self._of[name]
        if work.gate:
            shelf = self._gates
        elif work.layer not in self._open:
            shelf = self._parked[work.layer]
        elif self._canary_left[work.layer] and day not in self._canary.get(name, ()):
            shelf = self._behind[work.layer]
        else:
            shelf = self._free
        shelf.setdefault(name, []).append(day)

    def ended(self, name: str, days: Sequence[int]) -> None:
        """Units have their final word."""
        work = self._of[name]
        if work.gate:
            return
        self._left[work.layer] -= len(days)
        if self._canary_left[work.layer]:
            first = self._canary.get(name, ())
            self._canary_left[work.layer] -= sum(1 for day in days if day in first)
            if not self._canary_left[work.layer]:
                self._let_out(self._behind, work.layer)

    def in_canary(self, name: str, days: Sequence[int]) -> bool:
        """Whether one of the units is in its layer's canary."""
        return not self._canary.get(name, set()).isdisjoint(days)

    def judged(self, layer: str) -> None:
        """A layer's gates have spoken; the layers after it may begin."""
        self._judged.add(layer)
        for later, before in self._layers.items():
            if later not in self._open and before <= self._judged:
                self._open.add(later)
                self._let_out(self._parked, later)

    def due(self) -> list[str]:
        """Layers whose units all ended after all before them were judged."""
        return [
            layer
            for layer, before in self._layers.items()
            if not self._left[layer] and layer not in self._judged and before <= self._judged
        ]

    def taken(self) -> _Days:
        """The units that came out, each told once."""
        free, self._free = self._free, {}
        return free

    def taken_gates(self) -> _Days:
        """The dates of each gate in a pipelined run that may be judged, each told once."""
        gates, self._gates = self._gates, {}
        return gates

    def _let_out(self, shelves: dict[str, _Days], layer: str) -> None:
        waiting, shelves[layer] = shelves[layer], {}
        for name, days in waiting.items():
            for day in days:
                self.ready(name, day)
