"""What a date was computed from, as one short text: the same content gives the same text, whenever it was written.

A processor's rows carry that text in a column (`Need.hash`), so the warehouse itself tells whether an upstream that was written
again holds anything else than what the rows were computed from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from backfill_core.coverage import DateFacts
from backfill_core.dates import DateSet, Span, day_of
from backfill_core.graph import Edge
from backfill_core.model.windows import SameDate
from backfill_core.planning.windows import Counter, WindowMap


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentColumn:
    """A column of a processor's table that says what each date's rows were computed from."""

    column: str
    #: The processors that the need names.
    upstreams: tuple[str, ...]
    #: First and last day that each day looks at.
    bounds: Mapping[int, tuple[int, int]]
    #: One upstream's same date: its hash is the text.
    plain: bool

    @property
    def span(self) -> Span | None:
        """All that the days look at; None where that is nothing."""
        ends = [day for first, last in self.bounds.values() if first <= last for day in (first, last)]
        return Span(day_of(min(ends)), day_of(max(ends))) if ends else None

    def texts(self, facts: Mapping[str, DateFacts]) -> dict[int, str]:
        """The text of each day, given what the upstreams hold; none where a row in the window has no hash.

        Of an upstream's same date it is that date's hash, and empty where it holds no rows. Of a window, or of several
        upstreams, it is a sum over all their dates with rows: of the number that the first 12 hexadecimal digits of the MD5
        of ``processor YYYY-MM-DD hash`` are. A sum is the same in any order, and is taken of any window at no cost.
        """
        held = [(name, facts[name]) for name in self.upstreams if name in facts]
        silent = [Counter(DateSet.from_numbers([day for day in each.rows if day not in each.hashes])) for _, each in held]
        told = {
            day: (first, last)
            for day, (first, last) in self.bounds.items()
            if not any(count.between(first, last) for count in silent)
        }
        if self.plain:
            hashes = held[0][1].hashes if held else {}
            return {day: hashes.get(day, "") for day in told}
        sums = [_Sums(name, each.hashes) for name, each in held]
        return {day: str(sum(s.between(first, last) for s in sums)) for day, (first, last) in told.items()}


def content_column(column: str, edge: Edge, window: WindowMap, days: Sequence[int]) -> ContentColumn:
    """The column that an edge's need declares, for those days."""
    return ContentColumn(
        column=column,
        upstreams=edge.upstreams,
        bounds=dict(zip(days, window.bounds(days), strict=True)),
        plain=isinstance(edge.window, SameDate) and len(edge.upstreams) == 1,
    )


class _Sums:
    """Sums of one upstream's numbers over runs of days."""

    __slots__ = ("_base", "_upto")

    def __init__(self, name: str, hashes: Mapping[int, str]) -> None:
        self._base = min(hashes, default=0)
        days = range(self._base, max(hashes, default=-1) + 1)
        self._upto = [0, *accumulate(_number(name, day, hashes[day]) if day in hashes else 0 for day in days)]

    def between(self, first: int, last: int) -> int:
        low, end = (min(max(at - self._base, 0), len(self._upto) - 1) for at in (first, last + 1))
        return self._upto[end] - self._upto[low] if low < end else 0


def _number(name: str, day: int, text: str) -> int:
    return int(hashlib.md5(f"{name} {day_of(day)} {text}".encode(), usedforsecurity=False).hexdigest()[:12], 16)
