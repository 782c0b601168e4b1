"""Layers, the processors in them and the gates after them: what the author of a project declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from backfill_core.model.expectations import Expectation, Rule
from backfill_core.model.needs import Need
from backfill_core.model.runs import RunSpec
from backfill_core.model.table import Files, Table
from backfill_core.model.windows import Days


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold of a layer before the layers after it may use it.

    Judged are the keys of ``measure`` against the calendar's, or against those of processor ``of``: ``per`` date; over a sliding
    window, ``days(7)``, each date with the six before it; or over the stage, all dates of a run together. A failed date is
    closed for later layers. The whole layer is closed when the stage fails, else only when at least ``closes_from`` dates
    failed and fewer than ``closes_below`` of its expected dates passed.
    """

    name: str
    _: KW_ONLY
    #: Processor whose table is measured.
    measure: str
    #: Column counted, distinct.
    key: str
    #: Share of the denominator that a date must hold, 0 to 1.
    at_least: float
    of: str | None = None
    per: Literal["date", "stage"] | Days = "date"
    closes_from: int = 5
    closes_below: float = 0.95


@dataclass(frozen=True, slots=True)
class Layer:
    """A stage of the pipeline."""

    name: str
    _: KW_ONLY
    aliases: tuple[str, ...] = ()
    #: Layers that come before it.
    after: tuple[str, ...] = ()
    #: Processor and key that "L4 holds 275 games" means.
    measured_by: tuple[str, str] | None = None
    gates: tuple[Gate, ...] = ()

    @property
    def short(self) -> str:
        """The name people say: the first alias, else the name."""
        return self.aliases[0] if self.aliases else self.name


@dataclass(frozen=True, slots=True)
class Output:
    """A further table that a processor fills in the same call, and what must be true of it.

    SQL files and a function's answer name it as the table is called, without its dataset.
    """

    table: Table
    _: KW_ONLY
    #: All of them must hold.
    complete_when: Expectation | tuple[Expectation, ...]
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Processor:
    """What fills one table (or leaves one kind of file) for one date; with ``also``, several at once.

    The table in ``writes`` is the one that others mean by the processor's name: its keys, rows and measures. The state of a
    date is that of the worst of the tables.
    """

    name: str
    _: KW_ONLY
    layer: str
    calendar: str
    writes: Table | Files
    #: One spec, or one a runtime (``{"local": Sql(…)}``).
    run: RunSpec | Mapping[str, RunSpec]
    needs: tuple[Need, ...] = ()
    #: All of them must hold.
    complete_when: Expectation | tuple[Expectation, ...]
    rules: tuple[Rule, ...] = ()
    #: First days of a season for which nothing is expected.
    warmup: Days | None = None
    #: What a run does to rows that are there: puts others in their place, merges into them, or adds to them. A date that has rows
    #: is not run again where that would add them twice.
    rerun: Literal["replaces", "merges", "appends"] = "replaces"
    also: tuple[Output, ...] = ()

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Those of the table in ``writes``."""
        return self.complete_when if isinstance(self.complete_when, tuple) else (self.complete_when,)

    @property
    def parts(self) -> dict[str, Processor]:
        """The processor as it would be, did it fill one of its further tables alone; by the table's short name."""
        return {
            part.table.short: replace(
                self, writes=part.table, complete_when=part.complete_when, rules=part.rules, needs=(), also=()
            )
            for part in self.also
        }

    @property
    def tables(self) -> dict[str, Table]:
        """Every table it fills, by the name that SQL and functions give it; none where it leaves files."""
        main = {self.name: self.writes} if isinstance(self.writes, Table) else {}
        return main | {part.table.short: part.table for part in self.also}

    def spec_for(self, runtime: str) -> RunSpec | None:
        return self.run.get(runtime) if isinstance(self.run, Mapping) else self.run
