"""Plans as files and journals keep them."""

from __future__ import annotations

import json

import pytest

from backfill_core.dates import DateSet, Span
from backfill_core.errors import NothingChosen
from backfill_core.graph import Pipeline
from backfill_core.plan import Plan, Request
from backfill_core.planning.selection import just

DATES = DateSet.from_json(["2025-03-05..2025-03-07"])
SPAN = Span(DATES.first, DATES.last)
REQUEST = Request(target="local", span=SPAN, today=SPAN.last, through="l")


def plan(request: Request) -> Plan:
    return Plan(request=request, graph="g", stages=(), blocked=(), not_planned={}, asked=3)


def test_units_of_a_request_survive_a_file_and_are_in_the_hash() -> None:
    only = Request(target="local", span=SPAN, today=SPAN.last, through="l", only=(("p", DATES), ("q", DateSet.of(DATES.first))))
    kept = json.loads(json.dumps(plan(only).to_json()))
    assert Plan.from_json(kept).request == only
    assert plan(only).hash != plan(REQUEST).hash
    assert "only" not in plan(REQUEST).to_json()["request"], "a request without them reads as it always did"


def test_a_journal_may_keep_what_a_file_may_not() -> None:
    kept = plan(REQUEST).to_json()
    kept["hash"] = "of an older version"
    assert Plan.recorded(kept) == plan(REQUEST)
    with pytest.raises(ValueError, match="changed by hand"):
        Plan.from_json(kept)


def test_units_of_processors_that_are_gone_are_left_out() -> None:
    with pytest.raises(NothingChosen, match="no longer declared"):
        just(Pipeline.build([], "local"), REQUEST, {"gone": DATES})
