"""Days, spans and sets of days: the algebra everything else is written in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import compress

#: Day 0 of a DateSet's bits. Earlier days cannot be held.
EPOCH = date(1900, 1, 1)
#: The last day that a person may name. What windows and ends reach beyond it still is a day.
LAST_DAY = date(2199, 12, 31)
_ONE = ord("1")
#: Turns the digits of a binary number into bytes that are false and true.
_FLAGS = bytes.maketrans(b"01", b"\x00\x01")
_EPOCH_ORDINAL = EPOCH.toordinal()
ONE_DAY = timedelta(days=1)


def parse_day(text: str) -> date:
    """The day of ``YYYY-MM-DD``. Raises ValueError for any other spelling, a day that does not exist, or one out of range."""
    if len(text) != 10:
        raise ValueError(f"not a day: {text!r}")
    day = date.fromisoformat(text)
    if not EPOCH <= day <= LAST_DAY:
        raise ValueError(f"days go from {EPOCH} to {LAST_DAY}")
    return day


def day_number(day: date) -> int:
    """Days since EPOCH: the index of a day's bit."""
    return day.toordinal() - _EPOCH_ORDINAL


def day_of(number: int) -> date:
    """The day with that index, the reverse of ``day_number``."""
    return date.fromordinal(number + _EPOCH_ORDINAL)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A closed range of days, both ends in it."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"a span cannot end ({self.last}) before it starts ({self.first})")

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


class DateSet:
    """An immutable set of days, kept as one integer with a bit a day.

    In JSON it is a list of ``"D"`` and ``"D..D"``, exact ranges with both ends in them.
    """

    __slots__ = ("bits",)

    def __init__(self, bits: int = 0) -> None:
        self.bits = bits

    @classmethod
    def of(cls, *days: date) -> DateSet:
        return cls.from_numbers(map(day_number, days))

    @classmethod
    def from_numbers(cls, numbers: Iterable[int]) -> DateSet:
        """The set of those day numbers, each 0 or more. Linear in the days, however they are spread."""
        chosen = numbers if isinstance(numbers, (list, tuple)) else list(numbers)
        if not chosen:
            return cls()
        low, high = min(chosen), max(chosen)
        if low < 0:
            raise ValueError(f"days before {EPOCH} cannot be held")
        digits = bytearray(b"0") * (high - low + 1)
        for number in chosen:
            digits[high - number] = _ONE
        return cls(int(digits, 2) << low)

    @classmethod
    def of_span(cls, span: Span) -> DateSet:
        return cls.between(day_number(span.first), day_number(span.last))

    @classmethod
    def between(cls, first: int, last: int) -> DateSet:
        """All days from number ``first`` to number ``last``; none when ``first`` is later."""
        if first > last:
            return cls()
        return cls(((1 << (last - first + 1)) - 1) << first)

    @classmethod
    def from_json(cls, ranges: Iterable[str]) -> DateSet:
        """Reads what ``to_json`` wrote. Raises ValueError for anything else."""
        bits = 0
        for text in ranges:
            first, dots, last = text.partition("..")
            bits |= cls.of_span(Span(parse_day(first), parse_day(last if dots else first))).bits
        return cls(bits)

    def to_json(self) -> list[str]:
        return [str(run.first) if run.first == run.last else str(run) for run in self.runs()]

    def numbers(self) -> list[int]:
        """The day numbers, ascending."""
        low = self._low()
        flags = bin(self.bits >> low)[:1:-1].encode().translate(_FLAGS)
        return list(compress(range(low, low + len(flags)), flags))

    def runs(self) -> list[Span]:
        """The maximal runs of consecutive days, ascending."""
        spans, low = [], self._low()
        text = bin(self.bits >> low)[:1:-1]
        at = 0 if self.bits else -1
        while at >= 0:
            end = text.find("0", at)
            end = len(text) if end < 0 else end
            spans.append(Span(day_of(at + low), day_of(end - 1 + low)))
            at = text.find("1", end)
        return spans

    def shift(self, days: int) -> DateSet:
        """Every day moved by that many days; days that would fall before EPOCH are dropped."""
        return DateSet(self.bits << days if days >= 0 else self.bits >> -days)

    def spread(self, days: int) -> DateSet:
        """The days that lie 0 to ``days`` days after one of these: a dilation forward."""
        bits, reached = self.bits, 0
        while reached < days:
            step = min(reached + 1, days - reached)
            bits |= bits << step
            reached += step
        return DateSet(bits)

    @property
    def first(self) -> date:
        """The earliest day. Raises ValueError when empty."""
        if not self.bits:
            raise ValueError("an empty set of dates has no first day")
        return day_of(self._low())

    @property
    def last(self) -> date:
        """The latest day. Raises ValueError when empty."""
        if not self.bits:
            raise ValueError("an empty set of dates has no last day")
        return day_of(self.bits.bit_length() - 1)

    @property
    def span(self) -> Span:
        return Span(self.first, self.last)

    def __or__(self, other: DateSet) -> DateSet:
        return DateSet(self.bits | other.bits)

    def __and__(self, other: DateSet) -> DateSet:
        return DateSet(self.bits & other.bits)

    def __sub__(self, other: DateSet) -> DateSet:
        return DateSet(self.bits & ~other.bits)

    def __le__(self, other: DateSet) -> bool:
        return not self.bits & ~other.bits

    def __contains__(self, day: date) -> bool:
        number = day_number(day)
        return number >= 0 and bool(self.bits >> number & 1)

    def __iter__(self) -> Iterator[date]:
        return map(day_of, self.numbers())

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __bool__(self) -> bool:
        return self.bits != 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DateSet) and self.bits == other.bits

    def __hash__(self) -> int:
        return hash(self.bits)

    def __repr__(self) -> str:
        return f"DateSet.from_json({self.to_json()!r})"

    def _low(self) -> int:
        return (self.bits & -self.bits).bit_length() - 1 if self.bits else 0


def union(sets: Iterable[DateSet]) -> DateSet:
    bits = 0
    for each in sets:
        bits |= each.bits
    return DateSet(bits)
