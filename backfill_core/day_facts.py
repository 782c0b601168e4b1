"""Facts of a table kept up to date: some days taken out of them, and replaced by what was seen anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from backfill_core.coverage import NO_FACTS, DateFacts
from backfill_core.dates import DateSet


def days_held(facts: DateFacts, dates: DateSet) -> DateSet:
    """Those of the dates that hold rows."""
    return DateSet.from_numbers([day for day in dates.numbers() if day in facts.rows])


def only_days(facts: DateFacts, numbers: list[int]) -> DateFacts:
    """What facts say of some days, so that judging a few of a large table costs no more than of a small one.

    ``newest`` and ``hashes`` stay whole: a processor that reads its own earlier dates is judged by theirs.
    """

    def of(days: Mapping[int, Any]) -> dict[int, Any]:
        return {day: days[day] for day in numbers if day in days}

    return DateFacts(
        exists=facts.exists,
        rows=of(facts.rows),
        distinct=of(facts.distinct),
        oldest=of(facts.oldest),
        newest=facts.newest,
        hashes=facts.hashes,
        made_from={name: of(found) for name, found in facts.made_from.items()},
        also={name: only_days(part, numbers) for name, part in facts.also.items()},
        keys={name: of(found) for name, found in facts.keys.items()},
        checks={name: of(found) for name, found in facts.checks.items()},
        shares={name: of(found) for name, found in facts.shares.items()},
    )


def changeable(facts: DateFacts) -> DateFacts:
    """The same facts in dictionaries that may be changed."""
    flat = {f.name: dict(getattr(facts, f.name)) for f in fields(facts) if f.name != "exists"}
    for nested in ("made_from", "keys", "checks", "shares"):
        flat[nested] = {name: dict(days) for name, days in flat[nested].items()}
    flat["also"] = {name: changeable(part) for name, part in facts.also.items()}
    return DateFacts(exists=facts.exists, **flat)


def overwrite_days(old: DateFacts, fresh: DateFacts, dates: DateSet) -> None:
    """Replaces what ``old`` (made by `changeable`) says of those dates with what ``fresh`` says."""
    numbers = dates.numbers()
    for name in ("rows", "distinct", "oldest", "newest", "hashes"):
        _replace_days(getattr(old, name), getattr(fresh, name), numbers)
    for name in ("made_from", "keys", "checks", "shares"):
        mine, theirs = getattr(old, name), getattr(fresh, name)
        for key in {*mine, *theirs}:
            _replace_days(mine.setdefault(key, {}), theirs.get(key, {}), numbers)
    for name, part in old.also.items():
        overwrite_days(part, fresh.also.get(name, NO_FACTS), dates)


def _replace_days(old: dict[int, object], fresh: Mapping[int, object], numbers: list[int]) -> None:
    for day in numbers:
        if day in fresh:
            old[day] = fresh[day]
        else:
            old.pop(day, None)
