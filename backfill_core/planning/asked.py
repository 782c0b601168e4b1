"""What was asked for, and of it what is not planned, by reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from backfill_core.coverage import TO_DO, Coverage, State
from backfill_core.dates import DateSet, union
from backfill_core.graph import Pipeline
from backfill_core.plan import Plan, Request

LATER = "later, by the limit"
LEFT_OUT = "left out by --reason"
OUTSIDE = "outside of --from and --to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of the dates of all processors chosen, together."""

    planned: DateSet
    blocked: DateSet
    pending: DateSet
    #: Dates that a limit leaves for later, on which there is something to do.
    later: DateSet = field(default_factory=DateSet)


def concerned(plan: Plan) -> DateSet:
    """The dates that a plan is about: those asked for, and those that a cascade took."""
    return asked_dates(plan.request) | union(chosen.dates for chosen in plan.planned().values())


def asked_dates(request: Request) -> DateSet:
    """The dates a request is about."""
    span = DateSet.of_span(request.span)
    return span if request.dates is None else span & request.dates


def not_planned(
    pipeline: Pipeline, coverage: Coverage, request: Request, names: Sequence[str], decided: Decided
) -> tuple[int, dict[str, DateSet]]:
    """(dates asked for, those of them on which nothing is planned, each under its first reason).

    What any of the processors lacks comes first. Why nothing is expected is told by what measures the last layer asked for,
    where that was asked for too: a layer is more than its first table.
    """
    if not names:
        return 0, {}
    if request.dates is None:
        dated = asked_dates(request) & union(coverage.calendar(name).expected for name in names)
    else:
        dated = request.dates
    told: dict[str, DateSet] = {}
    left = dated - decided.planned
    for why, dates in _reasons(pipeline, coverage, request, names, decided):
        if dates & left:
            told[why] = told.get(why, DateSet()) | (dates & left)
            left -= dates
    if left:
        told["complete"] = left
    return len(dated), told


def _reasons(
    pipeline: Pipeline, coverage: Coverage, request: Request, names: Sequence[str], decided: Decided
) -> list[tuple[str, DateSet]]:
    every = [coverage.processors[name] for name in names]
    measured = pipeline.layer(pipeline.processors[names[-1]].layer).measured_by
    last = measured[0] if measured and measured[0] in names else names[-1]
    teller = coverage.processors[last]
    # An off-day of one calendar is none while another, say a daily one beside a weekly, expects the date.
    others = union(coverage.calendar(name).expected for name in names) - coverage.calendar(last).expected
    found = [
        ("blocked", decided.blocked),
        (LATER, decided.later),
        ("pending", decided.pending | union(covered.states[State.PENDING] for covered in every)),
        ("stale", union(covered.states[State.STALE] for covered in every)),
    ]
    if request.reasons:
        found.append((LEFT_OUT, union(covered.of(*TO_DO) for covered in every)))
    found += [(why, dates - others) for why, dates in teller.why_not_expected().items()]
    found.append(("unknown", teller.states[State.UNKNOWN]))
    if request.dates is not None:
        found.insert(0, (OUTSIDE, request.dates - DateSet.of_span(request.span)))
    return found
