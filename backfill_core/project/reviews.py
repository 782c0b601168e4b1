"""The project's file of reviews: what people waived and accepted, as a team commits it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from backfill_core.dates import DateSet, day_number
from backfill_core.errors import BadReviews, did_you_mean
from backfill_core.graph import Pipeline
from backfill_core.model.calendar import CalendarDays, Schedule
from backfill_core.model.reviews import NO_REVIEWS, Accepted, Reviews, Waiver

FILE = "backfill-reviews.toml"

_TEXTS = frozenset(("processor", "reason", "who"))
_MUST = {"waiver": _TEXTS | {"dates", "when"}, "accepted": _TEXTS | {"when", "target", "inputs"}}
_MAY = {"waiver": frozenset(("until",)), "accepted": frozenset[str]()}


def read_reviews(root: Path, pipeline: Pipeline) -> Reviews:
    """What the project's file holds; nothing where there is none. Raises BadReviews."""
    try:
        text = (root / FILE).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return NO_REVIEWS
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise BadReviews(where=FILE, problem=problem) from error
    return parse_reviews(text, pipeline)


def parse_reviews(text: str, pipeline: Pipeline) -> Reviews:
    """Reads the file's text. Raises BadReviews."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadReviews(where=FILE, problem=str(error)) from error
    for kind, entries in data.items():
        if kind not in _MUST or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise BadReviews(where=FILE, problem=f'it holds "{kind}". It takes [[waiver]] and [[accepted]]')
    return Reviews(
        waivers=tuple(_waiver(entry, _where("waiver", place), pipeline) for place, entry in _numbered(data, "waiver")),
        accepted=tuple(_accepted(entry, _where("accepted", place), pipeline) for place, entry in _numbered(data, "accepted")),
    )


def check_range(reviews: Reviews, pipeline: Pipeline, calendars: Mapping[str, CalendarDays]) -> None:
    """Raises BadReviews for a waiver of dates that its processor's calendar does not reach."""
    for place, waiver in enumerate(reviews.waivers, start=1):
        beyond = waiver.dates - in_range(waiver.processor, pipeline, calendars)
        if beyond:
            calendar = pipeline.processors[waiver.processor].calendar
            problem = f"{beyond.first} is out of the range of calendar {calendar}. Take it out of dates"
            raise BadReviews(where=_where("waiver", place), problem=problem)


def in_range(processor: str, pipeline: Pipeline, calendars: Mapping[str, CalendarDays]) -> DateSet:
    """The days that a processor's calendar says anything about."""
    name = pipeline.processors[processor].calendar
    calendar = pipeline.calendars[name]
    known = calendars[name].known()
    if isinstance(calendar, Schedule) or calendar.since is None:
        return known
    return known - DateSet.between(0, day_number(calendar.since) - 1)


def expired_words(reviews: Reviews, today: date) -> list[str]:
    """A line for each waiver that holds no more; many are counted."""
    expired = [waiver for waiver in reviews.waivers if not waiver.holds(today)]
    if len(expired) > 3:
        return [f"{len(expired)} waivers have expired. See: backfill waivers"]
    return [f"waiver of {w.processor} {', '.join(w.dates.to_json())} expired after {w.until}: {w.reason}" for w in expired]


def _numbered(data: Mapping[str, Any], kind: str) -> Iterable[tuple[int, dict[str, Any]]]:
    return enumerate(data.get(kind, ()), start=1)


def _where(kind: str, place: int) -> str:
    return f"{FILE}, {kind} {place}"


def _check(entry: Mapping[str, Any], kind: str, where: str, pipeline: Pipeline) -> None:
    known = _MUST[kind] | _MAY[kind]
    for name in entry:
        if name not in known:
            raise BadReviews(where=where, problem=f'no field "{name}".{did_you_mean(name, sorted(known))}')
    for name in sorted(_MUST[kind] - entry.keys()):
        raise BadReviews(where=where, problem=f'it lacks "{name}"')
    for name in sorted(_TEXTS | ({"target"} & _MUST[kind])):
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise BadReviews(where=where, problem=f"{name} must be a text")
    for name in ("when", "until"):
        value = entry.get(name)
        if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
            raise BadReviews(where=where, problem=f"{name} must be a date, YYYY-MM-DD without quotes")
    if entry["processor"] not in pipeline.processors:
        hint = did_you_mean(entry["processor"], pipeline.processors)
        raise BadReviews(where=where, problem=f'no processor "{entry["processor"]}".{hint}')


def _dates(ranges: object, where: str) -> DateSet:
    try:
        if not isinstance(ranges, list) or not ranges:
            raise ValueError("it is no list of dates")
        return DateSet.from_json(ranges)
    except (ValueError, TypeError, AttributeError) as error:
        problem = f'dates: {error}. They are a list of "YYYY-MM-DD" and "YYYY-MM-DD..YYYY-MM-DD"'
        raise BadReviews(where=where, problem=problem) from error


def _waiver(entry: dict[str, Any], where: str, pipeline: Pipeline) -> Waiver:
    _check(entry, "waiver", where, pipeline)
    until = entry.get("until")
    if until is not None and until < entry["when"]:
        raise BadReviews(where=where, problem=f"until {until} is before when, {entry['when']}, so it never held")
    fields = {name: entry[name] for name in ("processor", "reason", "who", "when")}
    return Waiver(**fields, dates=_dates(entry["dates"], where), until=until)


def _accepted(entry: dict[str, Any], where: str, pipeline: Pipeline) -> Accepted:
    _check(entry, "accepted", where, pipeline)
    newest: dict[int, int] = {}
    inputs = entry["inputs"]
    for part in inputs if isinstance(inputs, list) and all(isinstance(part, dict) for part in inputs) else [{}]:
        at = part.get("newest")
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise BadReviews(where=where, problem="inputs must be a list of {dates = [...], newest = an instant with its zone}")
        newest |= dict.fromkeys(_dates(part.get("dates"), where).numbers(), micros(at))
    fields = {name: entry[name] for name in ("processor", "reason", "who", "when", "target")}
    return Accepted(**fields, newest=newest)


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
