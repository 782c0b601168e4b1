"""The terms that a run goes on: what specs and their services declare, under the settings, under what a person types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from backfill_core.errors import BadSettings, did_you_mean
from backfill_core.model.runs import Called, Service, Sql
from backfill_core.plan import Plan
from backfill_core.project.session import Session
from backfill_core.project.settings import GcpTarget
from backfill_core.scheduling.lanes import processor_lane, service_lane, table_lane
from backfill_core.scheduling.terms import Terms

#: Statements that change a table's rows which BigQuery takes at once: two are carried out, the others wait, more are refused.
_MUTATING = 20


def terms_of(session: Session, *, concurrency: int | None = None, services: Mapping[str, int] | None = None) -> Terms:
    """Caps and paces of a project on its target. ``services`` are caps that a person typed; they win.

    Raises BadSettings for a limit of something that is not there: it would be kept by nobody.
    """
    known, limits = services_of(session), session.target.in_flight
    _check_limits(session, known)
    caps = {service_lane(name): service.in_flight for name, service in known.items() if service.in_flight is not None}
    caps |= {service_lane(name): cap for name, cap in (*limits.services.items(), *(services or {}).items())}
    caps |= {processor_lane(name): cap for name, cap in limits.processors.items()}
    caps |= _most_writers(session) | {table_lane(name): cap for name, cap in limits.tables.items()}
    paces = {service_lane(name): service.per_minute for name, service in known.items() if service.per_minute is not None}
    paces |= {service_lane(name): pace for name, pace in session.target.per_minute.items()}
    return Terms(concurrency=concurrency or session.target.concurrency or session.settings.concurrency, caps=caps, paces=paces)


def _check_limits(session: Session, services: Mapping[str, Service]) -> None:
    limits, graph = session.target.in_flight, session.pipeline.processors
    tables = {table.name for processor in graph.values() for table in processor.tables.values()}
    for key, kind, named, known in (
        ("in_flight.services", "service", limits.services, services),
        ("in_flight.processors", "processor", limits.processors, graph),
        ("in_flight.tables", "table", limits.tables, tables),
        ("per_minute", "service", session.target.per_minute, services),
    ):
        for name in sorted(named.keys() - set(known)):
            there = f" There are: {', '.join(sorted(known)) or 'none'}"
            where = f"settings of target {session.target_name}, {key}"
            raise BadSettings(where=where, problem=f'no {kind} "{name}".{did_you_mean(name, known) or there}')


def _most_writers(session: Session) -> dict[str, int]:
    """By lane, how many calls may write a table at once in BigQuery, which refuses more than a few statements of one table.

    Of our own scripts two would abort each other.
    """
    if not isinstance(session.target, GcpTarget):
        return {}
    found: dict[str, int] = {}
    for processor in session.pipeline.processors.values():
        most = 1 if isinstance(processor.spec_for(session.pipeline.runtime), Sql) else _MUTATING
        for table in processor.tables.values():
            lane = table_lane(table.name)
            found[lane] = min(most, found.get(lane, most))
    return found


def services_of(session: Session) -> dict[str, Service]:
    """The services that the graph names on its runtime; of two of one name the more careful figures hold."""
    found: dict[str, Service] = {}
    for processor in session.pipeline.processors.values():
        spec = processor.spec_for(session.pipeline.runtime)
        if isinstance(spec, Called) and spec.shares:
            theirs = spec.service or Service(spec.shares)
            mine = found.setdefault(theirs.name, theirs)
            found[theirs.name] = replace(
                mine,
                in_flight=_least(mine.in_flight, theirs.in_flight),
                per_minute=_least(mine.per_minute, theirs.per_minute),
            )
    return found


def known_seconds(session: Session, plan: Plan) -> dict[str, float]:
    """Seconds that nine in ten units of each planned processor took no longer than, as the journal tells."""
    measured = session.durations()
    return {name: sorted(measured[name])[len(measured[name]) * 9 // 10] for name in plan.planned() if measured.get(name)}


_Figure = TypeVar("_Figure", int, float)


def _least(one: _Figure | None, other: _Figure | None) -> _Figure | None:
    return min((each for each in (one, other) if each is not None), default=None)
