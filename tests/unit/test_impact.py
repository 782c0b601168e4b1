"""What a re-run spoils is what staleness finds once its rows are newer than everything."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from test_planner_model import World, covered, examples, worlds

from backfill_core.coverage import Coverage
from backfill_core.dates import DateSet
from backfill_core.planning.impact import spoiled

#: Later than any row was written.
LATER = 2**60


def rewritten(world: World, changed: dict[str, DateSet]) -> Coverage:
    """Coverage as it is when all rows were written together, and those dates anew; with what, nobody knows before."""
    facts = {}
    for name, found in world.facts().items():
        again = changed.get(name, DateSet()).numbers()
        facts[name] = replace(
            found, oldest=dict.fromkeys(found.rows, 1), newest=dict.fromkeys(again, LATER), hashes={}, made_from={}
        )
    return covered(world, facts)


@examples(100, 2000)
@given(worlds(), st.data())
def test_what_is_spoiled_is_what_would_be_stale(world: World, data: st.DataObject) -> None:
    coverage = covered(world, world.facts())
    name = data.draw(st.sampled_from(sorted(coverage.processors)))
    days = coverage.processors[name].expected.numbers()
    dates = DateSet.from_numbers(data.draw(st.lists(st.sampled_from(days), unique=True))) if days else DateSet()
    direct = spoiled(world.pipeline, coverage.calendars, coverage, name, dates, direct=True)
    stale = {
        other: found.findings.stale.get(name, DateSet()) for other, found in rewritten(world, {name: dates}).processors.items()
    }
    stale[name] -= dates
    assert direct == {other: found for other, found in stale.items() if found}
    whole = spoiled(world.pipeline, coverage.calendars, coverage, name, dates)
    assert all(found <= whole[other] for other, found in direct.items())
    # Nothing follows from all that was spoiled but what was spoiled.
    changed = {**whole, name: whole.get(name, DateSet()) | dates}
    for other, found in rewritten(world, changed).processors.items():
        for upstream, reached in found.findings.stale.items():
            assert upstream in changed
            assert reached <= changed.get(other, DateSet())
