"""When a date is complete, and which rules its rows must keep."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from backfill_core.model.windows import SAME_DATE, SameDate, Window


@dataclass(frozen=True, slots=True)
class CalendarKeys:
    """Every key of the calendar is in ``column``, each on enough rows.

    With ``exactly`` the count is in rows (``exactly`` a key; more of them is *invalid*), otherwise in keys that have
    ``at_least`` rows.
    """

    column: str
    _: KW_ONLY
    share: float = 1.0
    at_least: int = 1
    exactly: int | None = None

    def __str__(self) -> str:
        each = f", exactly {_rows(self.exactly)} each" if self.exactly else f", at least {_rows(self.at_least)} each"
        return f"{self.share:.0%} of the calendar's {self.column}{each if self.exactly or self.at_least > 1 else ''}"


@dataclass(frozen=True, slots=True)
class KeysOf:
    """A share of the keys that another processor holds.

    By default the keys of the same date; ``at_least=n`` then wants only keys on n or more of the other's dates this season
    before the date, and ``also_in`` only keys that a third processor holds on the date too.

    With another window the keys themselves come from it rather than from the date: those that the other held on at least
    one of the window's dates, or on ``at_least`` of them. A date whose window is there and holds no such key is not
    expected. ``last_games`` is taken as the days it is planned as.
    """

    processor: str
    _: KW_ONLY
    share: float = 1.0
    #: Column that both tables have; None: the key of this processor's table.
    column: str | None = None
    at_least: int = 0
    window: Window = SAME_DATE
    also_in: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.processor, self.also_in) if self.also_in else (self.processor,)

    @property
    def looks_back(self) -> bool:
        """Whether the keys come from a window before the date."""
        return not isinstance(self.window, SameDate)

    def __str__(self) -> str:
        parts = [f"{self.share:.0%} of the keys of {self.processor}"]
        if self.column:
            parts.append(f"by {self.column}")
        if self.looks_back:
            parts.append(f"in {self.window}")
        if self.at_least:
            parts.append(f"with {self.at_least} dates {'there' if self.looks_back else 'this season before'}")
        if self.also_in:
            parts.append(f"that {self.also_in} holds")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Rows:
    """A number of rows a date: at least, or exactly, that many. More than exactly is *invalid*."""

    _: KW_ONLY
    at_least: int = 1
    exactly: int | None = None

    def __str__(self) -> str:
        return f"exactly {_rows(self.exactly)}" if self.exactly is not None else f"at least {_rows(self.at_least)}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """No more rows than ``times`` the rows another processor holds on the date. More of them is *invalid*."""

    times: float
    of: str

    def __str__(self) -> str:
        return f"at most {self.times:g} x {self.of}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


Expectation = CalendarKeys | KeysOf | Rows | AtMost


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """No two rows of a date share the table's key; with ``share``, so many of the rows have one of their own."""

    _: KW_ONLY
    share: float = 1.0

    def __str__(self) -> str:
        return "unique key"


@dataclass(frozen=True, slots=True)
class NotNull:
    """A share of the rows has a value in ``column``.

    ``among`` filters the rows judged: the name of a true-or-false column, or ``"column in processor"``: rows whose column
    is a key that processor holds on the date.
    """

    column: str
    _: KW_ONLY
    share: float = 1.0
    among: str | None = None

    def __str__(self) -> str:
        return f"{self.column} not null{_filter(self.among)}"


@dataclass(frozen=True, slots=True)
class Positive:
    """A share of the rows has a value above 0 in ``column``. ``among`` as in NotNull."""

    column: str
    _: KW_ONLY
    share: float = 1.0
    among: str | None = None

    def __str__(self) -> str:
        return f"{self.column} > 0{_filter(self.among)}"


#: What a column may be compared with.
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """A share of the rows has one of ``values`` in ``column``; no value is none of them. ``among`` as in NotNull."""

    column: str
    _: KW_ONLY
    values: tuple[Value, ...]
    share: float = 1.0
    among: str | None = None

    def __str__(self) -> str:
        return f"{self.column} in {', '.join(map(str, self.values))}{_filter(self.among)}"


@dataclass(frozen=True, slots=True)
class MatchingKeys:
    """A share of the rows has a key that another processor holds on the same date. ``among`` as in NotNull.

    The key is this table's, or ``column``, or ``columns``. ``theirs`` names the other's columns in the same order where
    they are called differently.
    """

    processor: str
    _: KW_ONLY
    column: str | None = None
    columns: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    share: float = 1.0
    among: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that the author named; none means this table's key."""
        return (self.column,) if self.column else self.columns

    def __str__(self) -> str:
        key = f" by {', '.join(self.named)}" if self.named else ""
        return f"keys match {self.processor}{key}{_filter(self.among)}"


@dataclass(frozen=True, slots=True)
class Offending:
    """A GoogleSQL SELECT that returns the rows which break a rule; none on a date means it holds.

    ``sql`` is a path beside the declaring file. The query takes @date_from and @date_to, names processors in braces, and
    has the table's date column. ``reads`` names the other processors it reads. With ``share`` the rule holds while so
    many of the date's rows are not returned.
    """

    name: str
    _: KW_ONLY
    sql: str
    reads: tuple[str, ...] = ()
    share: float = 1.0

    def __str__(self) -> str:
        return self.name


Rule = UniqueKey | NotNull | Positive | Allowed | MatchingKeys | Offending


def among_parts(among: str | None) -> tuple[str | None, str | None]:
    """(column, processor) of a filter; processor is None for a true-or-false column."""
    if among is None:
        return None, None
    column, word, processor = among.partition(" in ")
    return (column.strip(), processor.strip()) if word else (among.strip(), None)


def _filter(among: str | None) -> str:
    return f" among {among}" if among else ""
