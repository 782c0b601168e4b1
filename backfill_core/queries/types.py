"""Which types the columns that a question names must have, in GoogleSQL's words: what would fail when it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backfill_core.model.expectations import Value
from backfill_core.model.table import Table
from backfill_core.queries.question import ColumnCheck, KeyComparison, TableQuestion

NUMBERS = ("INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC")
#: What GoogleSQL and DuckDB call them elsewhere: in metadata, in short, or in their own words.
_OTHER_NAMES = {
    "INTEGER": "INT64", "INT": "INT64", "BIGINT": "INT64", "SMALLINT": "INT64", "TINYINT": "INT64", "HUGEINT": "INT64",
    "UBIGINT": "INT64", "FLOAT": "FLOAT64", "DOUBLE": "FLOAT64", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC",
    "VARCHAR": "STRING", "TEXT": "STRING", "BOOLEAN": "BOOL", "BLOB": "BYTES", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedType:
    """A column that must be of one of some types, and for what."""

    table: str
    column: str
    kinds: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPair:
    """Two columns that are compared, so that their types must be alike."""

    table: str
    column: str
    other: str
    other_column: str


def google_type(kind: str) -> str:
    """A type without its size, or what is in a STRUCT, as GoogleSQL calls it; one that is not known as it is."""
    text = kind.strip().upper()
    if text.startswith("ARRAY<"):
        return f"ARRAY<{google_type(text[6:-1])}>"
    if text.endswith("[]"):
        return f"ARRAY<{google_type(text[:-2])}>"
    if text.startswith(("STRUCT", "RECORD")):
        return "STRUCT"
    plain = text.partition("(")[0].strip()
    return _OTHER_NAMES.get(plain, plain)


def alike(kind: str, other: str) -> bool:
    """Whether values of two types can be compared, and those of one put into a column of the other."""
    return kind == other or (kind in NUMBERS and other in NUMBERS)


def wanted_types(question: TableQuestion) -> Iterator[WantedType]:
    """What the columns of the table itself must be."""
    table = question.table
    if table.updated:
        yield WantedType(table=table.name, column=table.updated, kinds=("TIMESTAMP",), why="updated")
    for column in table.only:
        yield WantedType(table=table.name, column=column, kinds=("STRING",), why="only")
    for check in question.checks:
        kinds = NUMBERS if check.positive else _types_of(check.values)
        if kinds:
            yield WantedType(table=table.name, column=check.column, kinds=kinds, why=f'rule "{check.name}"')
        if check.among and not check.among_table:
            yield WantedType(table=table.name, column=check.among, kinds=("BOOL",), why=f'among of rule "{check.name}"')


def wanted_pairs(question: TableQuestion) -> Iterator[WantedPair]:
    """Which columns of the table are compared with which of another."""
    for check in question.checks:
        yield from _check_pairs(question.table, check)
    for pair in question.comparisons:
        yield from _comparison_pairs(question.table, pair)


def _check_pairs(table: Table, check: ColumnCheck) -> Iterator[WantedPair]:
    if check.among and check.among_table:
        other = check.among_table
        yield WantedPair(table=table.name, column=check.among, other=other.name, other_column=other.key_on_date[0])
    if check.match:
        for own, theirs in zip(check.match.own, check.match.theirs, strict=True):
            yield WantedPair(table=table.name, column=own, other=check.match.other.name, other_column=theirs)


def _comparison_pairs(table: Table, pair: KeyComparison) -> Iterator[WantedPair]:
    for own, theirs in zip(pair.own, pair.theirs, strict=True):
        yield WantedPair(table=table.name, column=own, other=pair.other.name, other_column=theirs)
    if pair.third:
        theirs_of: Mapping[str, str] = dict(zip(pair.own, pair.theirs, strict=True))
        for column in pair.third_columns:
            yield WantedPair(table=pair.other.name, column=theirs_of[column], other=pair.third.name, other_column=column)


def _types_of(values: tuple[Value, ...]) -> tuple[str, ...]:
    """The types of a column that holds such values; none where anything may."""
    if not values:
        return ()
    if all(isinstance(value, bool) for value in values):
        return ("BOOL",)
    if all(isinstance(value, str) for value in values):
        return ("STRING",)
    return NUMBERS if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values) else ()
