"""What the options of a run's terms take, and what they come to."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest

from backfill_core.cli.terms import AskedTerms, Cap, Duration, Failures, TimeOfDay

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Duration(), "1h30m", timedelta(hours=1, minutes=30)),
        (Duration(), "45s", timedelta(seconds=45)),
        (TimeOfDay(), "06:00", time(6)),
        (Cap(), "l4=5", ("l4", 5)),
        (Failures(), "5%", "5%"),
        (Failures(), "10", "10"),
    ],
)
def test_what_is_taken(kind: click.ParamType[Any], text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[(Duration(), text) for text in ("soon", "", "0m", "5", "1m2h", "1.5h")],
        *[(TimeOfDay(), text) for text in ("25:00", "6", "06:60", "6:00", "06:00:00")],
        *[(Cap(), text) for text in ("l4", "=3", "l4=0", "l4=-1", "l4=x")],
        *[(Failures(), text) for text in ("0", "0%", "101%", "-1", "5%%", "half")],
    ],
)
def test_what_is_refused(kind: click.ParamType[Any], text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"[Tt]ype"):
        kind.convert(text, None, None)


def asked(**some: Any) -> AskedTerms:
    none = dict.fromkeys(AskedTerms.__dataclass_fields__)
    return AskedTerms(**(none | some))


@pytest.mark.parametrize(
    ("deadline", "duration", "now", "left"),
    [
        (time(6), None, datetime(2024, 5, 1, 22, tzinfo=BERLIN), timedelta(hours=8)),
        (time(6), None, datetime(2024, 5, 1, 5, tzinfo=BERLIN), timedelta(hours=1)),
        (time(6), None, datetime(2024, 5, 1, 6, tzinfo=BERLIN), timedelta(hours=24)),
        (time(6), None, datetime(2024, 3, 30, 22, tzinfo=BERLIN), timedelta(hours=7)),
        (time(6), None, datetime(2024, 10, 26, 22, tzinfo=BERLIN), timedelta(hours=9)),
        (time(6), timedelta(hours=2), datetime(2024, 5, 1, 22, tzinfo=BERLIN), timedelta(hours=2)),
        (None, None, datetime(2024, 5, 1, 22, tzinfo=BERLIN), None),
    ],
)
def test_a_deadline_is_the_next_such_time_by_the_projects_clock(
    deadline: time | None, duration: timedelta | None, now: datetime, left: timedelta | None
) -> None:
    ends = asked(deadline=deadline, max_duration=duration).stop_at(now, 100.0)
    assert ends == (None if left is None else 100.0 + left.total_seconds())


@pytest.mark.parametrize(
    ("typed", "units", "most"), [("10", 5, 10), ("5%", 1000, 50), ("5%", 30, 2), ("1%", 3, 1), (None, 3, None)]
)
def test_a_share_of_failures_is_one_of_the_planned_units(typed: str | None, units: int, most: int | None) -> None:
    assert asked(max_failures=typed).failures(units) == most
