"""Gaps in the shapes that ``--dates-file`` takes."""

from __future__ import annotations

import json
from collections.abc import Iterable

from backfill_core.coverage import Coverage, State
from backfill_core.dates import DateSet

#: (processor, state, dates).
Gap = tuple[str, State, DateSet]


def gaps(coverage: Coverage, processors: Iterable[str], states: Iterable[State], dates: DateSet) -> list[Gap]:
    """The dates in those states, of those processors in their order."""
    wanted = list(states)
    found = [(name, state, coverage.processors[name].states[state] & dates) for name in processors for state in wanted]
    return [gap for gap in found if gap[2]]


def gaps_csv(found: Iterable[Gap]) -> str:
    """A line a gap under a header, by date and then in the order given."""
    rows = [(day.isoformat(), place, name, state) for place, (name, state, dates) in enumerate(found) for day in dates]
    lines = [f"{day},{name},{state}" for day, _, name, state in sorted(rows)]
    return "\n".join(["date,processor,state", *lines, ""])


def gaps_json(found: Iterable[Gap]) -> str:
    listed = [{"processor": name, "state": str(state), "dates": dates.to_json()} for name, state, dates in found]
    return json.dumps(listed, indent=1) + "\n"
