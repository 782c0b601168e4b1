"""The terms that a run goes on: what specs and their services declare, under the settings, under what a person types."""

from __future__ import annotations

from collections.abc import Mapping

from backfill_core.model.runs import Sql
from backfill_core.plan import Plan
from backfill_core.project.session import Session
from backfill_core.project.set_names import services_of
from backfill_core.project.settings import GcpTarget
from backfill_core.scheduling.lanes import processor_lane, service_lane, table_lane
from backfill_core.scheduling.terms import Terms

#: Statements that change a table's rows which BigQuery takes at once: two are carried out, the others wait, more are refused.
_MUTATING = 20


def terms_of(session: Session, *, concurrency: int | None = None, services: Mapping[str, int] | None = None) -> Terms:
    """Caps and paces of a project on its target. ``services`` are caps that a person typed; they win."""
    known, limits = services_of(session.pipeline), session.target.in_flight
    caps = {service_lane(name): service.in_flight for name, service in known.items() if service.in_flight is not None}
    caps |= {service_lane(name): cap for name, cap in (*limits.services.items(), *(services or {}).items())}
    caps |= {processor_lane(name): cap for name, cap in limits.processors.items()}
    caps |= _most_writers(session) | {table_lane(name): cap for name, cap in limits.tables.items()}
    paces = {service_lane(name): service.per_minute for name, service in known.items() if service.per_minute is not None}
    paces |= {service_lane(name): pace for name, pace in session.target.per_minute.items()}
    return Terms(concurrency=concurrency or session.target.concurrency or session.settings.concurrency, caps=caps, paces=paces)


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


def known_seconds(session: Session, plan: Plan) -> dict[str, float]:
    """Seconds that nine in ten units of each planned processor took no longer than, as the journal tells."""
    measured = session.durations()
    return {name: sorted(measured[name])[len(measured[name]) * 9 // 10] for name in plan.planned() if measured.get(name)}
