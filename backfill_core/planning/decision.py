"""What a planner decided of one processor."""

from __future__ import annotations

from dataclasses import dataclass, field

from backfill_core.dates import DateSet, union

#: (processor, why): what a root cause is grouped by.
Root = tuple[str, str]


@dataclass(slots=True)
class Decision:
    """What was decided of one processor."""

    reasons: dict[str, DateSet] = field(default_factory=dict)
    unsettled: DateSet = field(default_factory=DateSet)
    degraded: DateSet = field(default_factory=DateSet)
    #: Dates planned only because something they rest on is newer, or planned.
    cascaded: DateSet = field(default_factory=DateSet)
    planned: DateSet = field(default_factory=DateSet)
    pending: DateSet = field(default_factory=DateSet)
    #: Root cause -> (dates it blocks, dates at the root).
    blocked: dict[Root, tuple[DateSet, DateSet]] = field(default_factory=dict)

    @property
    def blocked_dates(self) -> DateSet:
        return union(victims for victims, _ in self.blocked.values())
