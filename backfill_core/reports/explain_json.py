"""An explanation as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backfill_core.attempts import Attempt
from backfill_core.dates import DateSet
from backfill_core.planning.explanation import Expected, Explanation, Held, Kept, NeedSeen

SCHEMA = "backfill.explain/1"


def explain_json(told: Explanation, plan: str, attempts: Sequence[Attempt] | None, *, more: bool, file: str) -> dict[str, Any]:
    """The stable shape of an explanation; ``plan`` is the hash of the plan that it speaks of."""
    return {
        "schema": SCHEMA,
        "processor": told.processor,
        "date": str(told.day),
        "layer": told.layer,
        "calendar": {"name": told.calendar, "key": told.calendar_key, "keys": told.calendar_keys},
        "state": str(told.state),
        "detail": told.detail,
        "held": _held(told.held) | {"file": file or None},
        "expected": [_expected(each) for each in told.expected],
        "rules": [_kept(each) for each in told.rules],
        "further_tables": [
            {
                "table": table.name,
                "state": str(table.state),
                "held": _held(table.held),
                "expected": [_expected(each) for each in table.expected],
                "rules": [_kept(each) for each in table.rules],
            }
            for table in told.also
        ],
        "newer": [
            {"processor": each.upstream, "dates": each.dates.to_json(), "newest": _instant(each.newest)} for each in told.newer
        ],
        "needs": [_need(each) for each in told.needs],
        "plan": {
            "hash": plan,
            "standing": str(told.in_plan.standing),
            "why": told.in_plan.why,
            "causes": [cause.to_json() for cause in told.in_plan.causes],
            "degraded": told.in_plan.degraded,
            "unsettled": told.in_plan.unsettled,
        },
        "spoils": {"direct": _dates(told.spoils_directly), "all": _dates(told.spoils)},
        "waivers": [
            {"reason": w.reason, "who": w.who, "when": str(w.when), "until": str(w.until) if w.until else None}
            for w in told.waivers
        ],
        "accepted": [{"reason": a.reason, "who": a.who, "when": str(a.when)} for a in told.accepted],
        "attempts": None if attempts is None else [each.to_json() for each in attempts],
        "more_attempts": more,
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "rows": held.rows,
        "distinct": held.distinct,
        "oldest": _instant(held.oldest),
        "newest": _instant(held.newest),
        "unexpected": held.unexpected,
    }


def _expected(each: Expected) -> dict[str, Any]:
    return {
        "expectation": each.expectation,
        "there": each.there,
        "wanted": each.wanted,
        "share": each.share,
        "enough": each.enough,
        "columns": list(each.columns),
        "absent": each.absent,
        "absent_keys": [{"key": list(one.key), "rows": one.rows, "wanted": one.wanted} for one in each.first_absent],
        "excess": each.excess,
        "excess_keys": [{"key": list(one.key), "rows": one.rows, "wanted": one.wanted} for one in each.first_excess],
        "surplus": each.surplus,
        "surplus_keys": [list(key) for key in each.first_surplus],
    }


def _kept(each: Kept) -> dict[str, Any]:
    return {
        "rule": each.rule,
        "holds": each.holds,
        "good": each.good,
        "judged": each.judged,
        "share": each.share,
        "most": each.most,
        "columns": list(each.columns),
        "breaking": each.breaking,
        "breaking_keys": [list(key) for key in each.first_breaking],
    }


def _need(each: NeedSeen) -> dict[str, Any]:
    return {
        "on": list(each.upstreams),
        "kind": str(each.kind),
        "window": each.window,
        "span": [str(each.span.first), str(each.span.last)] if each.span else None,
        "wanted": each.wanted,
        "there": each.there,
        "share": each.share,
        "met": each.met,
        "degraded": each.degraded,
        "keyless": each.keyless,
        "lacks": [
            {
                "processor": lack.processor,
                "state": str(lack.state),
                "dates": lack.dates.to_json(),
                "planned": lack.planned.to_json(),
            }
            for lack in each.lacks
        ],
    }


def _dates(found: Mapping[str, DateSet]) -> list[dict[str, Any]]:
    return [{"processor": name, "units": len(dates), "dates": dates.to_json()} for name, dates in found.items()]


def _instant(micros: int | None) -> str | None:
    return None if micros is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()
