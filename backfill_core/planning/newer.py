"""Which days rest on something that was written after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from backfill_core.dates import DateSet
from backfill_core.planning.windows import WindowMap

#: Days looked at together before any of them is looked at alone.
_BLOCK = 64
#: Of many days every so manieth is sampled; a prime, so that what comes round every week or month is not missed.
_STRIDE = 37
#: So few days are looked at one by one, however much there is beside them.
_FEW = 8


def newer_in_window(days: DateSet, oldest: Mapping[int, int], newest: Mapping[int, int], window: WindowMap) -> DateSet:
    """The days whose window holds something written after their own oldest row.

    Most tables were written in order, and some days of them again later. So days are parted by an instant between the two:
    what was written after it makes stale every older day that it reaches, as sets; what is left of both parts is searched,
    and there rarely is much to find.
    """
    numbers = [day for day in days.numbers() if day in oldest]
    if not numbers or not newest:
        return DateSet()
    if len(numbers) <= _FEW:
        ends = zip(numbers, window.bounds(numbers), strict=True)
        get = newest.get
        return DateSet.from_numbers(
            [day for day, (first, last) in ends if any(get(seen, 0) > oldest[day] for seen in range(first, last + 1))]
        )
    level = _level([oldest[day] for day in numbers[:: _STRIDE if len(numbers) > 50 * _STRIDE else 1]])
    after = [day for day, written in newest.items() if written > level]
    early = DateSet.from_numbers([day for day in numbers if oldest[day] <= level])
    stale = window.dependents(DateSet.from_numbers(after)) & early
    before = {day: written for day, written in newest.items() if written <= level} if after else newest
    late = [day for day in numbers if oldest[day] > level]
    return stale | _searched((early - stale).numbers(), oldest, before, window) | _searched(late, oldest, newest, window)


def _level(sample: list[int]) -> int:
    """The last instant before the widest gap in the later half of a sample, in which rows were written again."""
    ordered = sorted(sample)
    half = ordered[len(ordered) // 2 :]
    gaps = [later - earlier for earlier, later in pairwise(half)]
    return half[gaps.index(max(gaps))] if gaps else half[0]


def _searched(numbers: Sequence[int], oldest: Mapping[int, int], newest: Mapping[int, int], window: WindowMap) -> DateSet:
    """The same by looking. Of ascending days windows have ascending ends, so a block's widest is told by its two ends."""
    if not numbers or not newest:
        return DateSet()
    written = _Dense(newest)
    blocks = [numbers[start : start + _BLOCK] for start in range(0, len(numbers), _BLOCK)]
    bounds = window.bounds([day for block in blocks for day in (block[0], block[-1])])
    suspects: list[int] = []
    for block, (first, _), (_, last) in zip(blocks, bounds[::2], bounds[1::2], strict=True):
        if written.highest(first, last) > min(map(oldest.__getitem__, block)):
            suspects += block
    ends = zip(suspects, window.bounds(suspects), strict=True)
    return DateSet.from_numbers([day for day, (first, last) in ends if written.highest(first, last) > oldest[day]])


class _Dense:
    """Instants by day, with the highest of each block of days at hand."""

    __slots__ = ("_base", "_blocks", "_values")

    def __init__(self, values: Mapping[int, int]) -> None:
        self._base, high = min(values), max(values)
        get = values.get
        self._values = [get(day, 0) for day in range(self._base, high + 1)]
        self._blocks = [max(self._values[at : at + _BLOCK]) for at in range(0, len(self._values), _BLOCK)]

    def highest(self, first: int, last: int) -> int:
        """The highest instant from day ``first`` to day ``last``; 0 for none."""
        low, end = max(first - self._base, 0), last - self._base + 1
        if end <= low:
            return 0
        if end - low <= 2 * _BLOCK:
            return max(self._values[low:end], default=0)
        start, stop = -(-low // _BLOCK), end // _BLOCK
        inner = max(self._blocks[start:stop], default=0)
        head = max(self._values[low : start * _BLOCK], default=0)
        return max(inner, head, max(self._values[stop * _BLOCK : end], default=0))
