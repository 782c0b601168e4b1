"""A plan as data: what `plan` shows is the object that `execute` carries out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from backfill_core.dates import DateSet, Span, parse_day, union

SCHEMA = "backfill.plan/1"


class Cascade(StrEnum):
    """Whether stale units are planned, and how far what the plan itself makes stale."""

    NONE = "none"
    #: What is stale, and what reads something that is planned.
    DIRECT = "direct"
    #: And what reads that, however far.
    ALL = "all"


class Order(StrEnum):
    """Which dates come first."""

    OLDEST = "oldest"
    NEWEST = "newest"
    #: Those that most planned units wait for.
    UNBLOCKING = "most-unblocking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, resolved: names of layers and processors rather than aliases, a closed span."""

    target: str
    span: Span
    today: date
    through: str
    #: The processors chosen, in the graph's order; none: all of them up to ``through``.
    processors: tuple[str, ...] = ()
    #: None: every date of the span.
    dates: DateSet | None = None
    #: Kinds of reasons; none: all of them.
    reasons: tuple[str, ...] = ()
    cascade: Cascade = Cascade.NONE
    #: Rows written before this instant are rewritten.
    older_than: datetime | None = None
    include_warmup: bool = False
    #: At most so many dates, the first in ``order``.
    limit: int | None = None
    order: Order = Order.OLDEST
    #: Just these dates of each of these processors; none: whatever the rest of the request chooses.
    only: tuple[tuple[str, DateSet], ...] = ()

    def to_json(self) -> dict[str, Any]:
        only = {"only": {name: dates.to_json() for name, dates in self.only}} if self.only else {}
        return only | {
            "target": self.target,
            "span": [str(self.span.first), str(self.span.last)],
            "today": str(self.today),
            "through": self.through,
            "processors": list(self.processors),
            "dates": None if self.dates is None else self.dates.to_json(),
            "reasons": list(self.reasons),
            "cascade": str(self.cascade),
            "older_than": None if self.older_than is None else self.older_than.isoformat(),
            "include_warmup": self.include_warmup,
            "limit": self.limit,
            "order": str(self.order),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Request:
        first, last = data["span"]
        return cls(
            target=data["target"],
            span=Span(parse_day(first), parse_day(last)),
            today=parse_day(data["today"]),
            through=data["through"],
            processors=tuple(data["processors"]),
            dates=None if data["dates"] is None else DateSet.from_json(data["dates"]),
            reasons=tuple(data["reasons"]),
            cascade=Cascade(data["cascade"]),
            older_than=None if data["older_than"] is None else datetime.fromisoformat(data["older_than"]),
            include_warmup=data["include_warmup"],
            limit=data["limit"],
            order=Order(data["order"]),
            only=tuple((name, DateSet.from_json(dates)) for name, dates in data.get("only", {}).items()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProcessor:
    """The units of one processor: its dates, each under exactly one reason."""

    name: str
    reasons: Mapping[str, DateSet]
    #: Dates that will run on less than all they want.
    degraded: DateSet = field(default_factory=DateSet)
    #: Dates whose expectation reads something planned: looked at again at their turn.
    unsettled: DateSet = field(default_factory=DateSet)

    @property
    def dates(self) -> DateSet:
        return union(self.reasons.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "units": len(self.dates),
            "dates": self.dates.to_json(),
            "reasons": [{"reason": why, "dates": dates.to_json()} for why, dates in self.reasons.items()],
            "degraded": self.degraded.to_json(),
            "unsettled": self.unsettled.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlannedProcessor:
        return cls(
            name=data["name"],
            reasons={reason["reason"]: DateSet.from_json(reason["dates"]) for reason in data["reasons"]},
            degraded=DateSet.from_json(data["degraded"]),
            unsettled=DateSet.from_json(data["unsettled"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One layer: what is to do in it, and the names of the gates after it."""

    layer: str
    processors: tuple[PlannedProcessor, ...]
    gates: tuple[str, ...]

    @property
    def units(self) -> int:
        return sum(len(processor.dates) for processor in self.processors)

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "units": self.units,
            "processors": [processor.to_json() for processor in self.processors],
            "gates": list(self.gates),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCause:
    """What blocks, at the root: nothing in the plan can mend it."""

    processor: str
    dates: DateSet
    why: str

    def to_json(self) -> dict[str, Any]:
        return {"processor": self.processor, "dates": self.dates.to_json(), "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Units of one processor that cannot run, and why. A unit with two causes stands under both."""

    processor: str
    dates: DateSet
    because: tuple[RootCause, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "processor": self.processor,
            "units": len(self.dates),
            "dates": self.dates.to_json(),
            "because": [cause.to_json() for cause in self.because],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Blocked:
        causes = tuple(
            RootCause(processor=c["processor"], dates=DateSet.from_json(c["dates"]), why=c["why"]) for c in data["because"]
        )
        return cls(processor=data["processor"], dates=DateSet.from_json(data["dates"]), because=causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A gate that will close although all of a plan succeeds: the dates it fails on are not in the plan."""

    layer: str
    gate: str
    dates: DateSet
    #: Planned units that it will withhold, by processor.
    withheld: Mapping[str, DateSet]

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "gate": self.gate,
            "dates": self.dates.to_json(),
            "withheld": {name: dates.to_json() for name, dates in self.withheld.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Closure:
        return cls(
            layer=data["layer"],
            gate=data["gate"],
            dates=DateSet.from_json(data["dates"]),
            withheld={name: DateSet.from_json(dates) for name, dates in data["withheld"].items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How far a layer is, will be when all of the plan succeeds, and can be at most; in keys of the calendar."""

    layer: str
    #: What is counted, as people say it: the key's column.
    key: str
    wanted: int
    now: int
    after: int
    ceiling: int

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("layer", "key", "wanted", "now", "after", "ceiling")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, why, what cannot be done, and what must hold between."""

    request: Request
    #: Fingerprint of the graph it was made from.
    graph: str
    stages: tuple[Stage, ...]
    blocked: tuple[Blocked, ...]
    #: Dates asked for on which nothing is to do, by reason.
    not_planned: Mapping[str, DateSet]
    #: How many dates were asked for.
    asked: int
    #: What is stale and not planned, by processor.
    stale: Mapping[str, DateSet] = field(default_factory=dict)
    #: Gates that will close whatever the plan does.
    closures: tuple[Closure, ...] = ()
    forecast: tuple[Forecast, ...] = ()

    @property
    def hash(self) -> str:
        """Over graph, request, units, reasons and gates: two plans of the same hash do the same."""
        body = {
            "graph": self.graph,
            "request": self.request.to_json(),
            "stages": [stage.to_json() for stage in self.stages],
            "blocked": [blocked.to_json() for blocked in self.blocked],
        }
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def units(self) -> int:
        return sum(stage.units for stage in self.stages)

    @property
    def blocked_units(self) -> int:
        return sum(len(dates) for dates in self.blocked_dates().values())

    def planned(self) -> dict[str, PlannedProcessor]:
        return {processor.name: processor for stage in self.stages for processor in stage.processors}

    def blocked_dates(self) -> dict[str, DateSet]:
        """Blocked dates by processor, each once."""
        found: dict[str, DateSet] = {}
        for blocked in self.blocked:
            found[blocked.processor] = found.get(blocked.processor, DateSet()) | blocked.dates
        return found

    def to_json(self) -> dict[str, Any]:
        """The plan's stable JSON shape; two plans of the same state give the same bytes."""
        return {
            "schema": SCHEMA,
            "hash": self.hash,
            "graph": self.graph,
            "span": [str(self.request.span.first), str(self.request.span.last)],
            "target": self.request.target,
            "through": self.request.through,
            "request": self.request.to_json(),
            "stages": [stage.to_json() for stage in self.stages],
            "blocked": [blocked.to_json() for blocked in self.blocked],
            "not_planned": [{"reason": why, "dates": d.to_json()} for why, d in self.not_planned.items()],
            "asked": self.asked,
            "stale": [{"name": name, "dates": dates.to_json()} for name, dates in self.stale.items()],
            "closures": [closure.to_json() for closure in self.closures],
            "forecast": [forecast.to_json() for forecast in self.forecast],
            "totals": {"units": self.units, "blocked": self.blocked_units},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Reads what ``to_json`` wrote. Raises KeyError, TypeError or ValueError for anything else.

        An estimate beside it, as a plan printed as JSON has one, is no part of it.
        """
        plan = cls.recorded(data)
        if json.loads(json.dumps(plan.to_json())) != {name: value for name, value in data.items() if name != "estimate"}:
            raise ValueError("what it says does not hold together, so it was changed by hand")
        return plan

    @classmethod
    def recorded(cls, data: Mapping[str, Any]) -> Plan:
        """Reads a plan that a journal kept, perhaps by an older version: what that did not say yet is as nobody asked."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']!r}, this version reads {SCHEMA}")
        return cls(
            request=Request.from_json(data["request"]),
            graph=data["graph"],
            stages=tuple(
                Stage(
                    layer=stage["layer"],
                    processors=tuple(PlannedProcessor.from_json(p) for p in stage["processors"]),
                    gates=tuple(stage["gates"]),
                )
                for stage in data["stages"]
            ),
            blocked=tuple(Blocked.from_json(blocked) for blocked in data["blocked"]),
            not_planned={item["reason"]: DateSet.from_json(item["dates"]) for item in data["not_planned"]},
            asked=data["asked"],
            stale={item["name"]: DateSet.from_json(item["dates"]) for item in data["stale"]},
            closures=tuple(Closure.from_json(closure) for closure in data["closures"]),
            forecast=tuple(Forecast(**forecast) for forecast in data["forecast"]),
        )
