"""What a program's exit or a service's reply means for the units of its call: one outcome each, whatever came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, assert_never

from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.http import Answer, Http, Sign
from backfill_core.model.meanings import Means
from backfill_core.model.templates import look_into
from backfill_core.model.units import Batch, Unit

#: Characters of a stranger's words that are told.
_MOST_WORDS = 300
#: Stands where more was said than is told.
CUT = "…"
#: Of two words on one unit the worse one counts: the first in this order.
_WORST: Sequence[Means] = ("auth", "failed", "transient", "unknown", "declined", "locked", "skipped", "running", "done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back from a service."""

    status: int
    body: bytes = b""
    #: Whether the body is shorter than was announced.
    truncated: bool = False
    #: Seconds after which it wants to be asked again.
    retry_after: float | None = None
    #: Where it says that more is to be found.
    location: str = ""

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError."""
        if self.truncated:
            raise ValueError("its answer broke off")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ValueError(f'its answer is no JSON: "{words_of(self.body)}"' if self.body else "its answer is empty") from error


def outcome_of(means: Means, why: str = "", retry_after: float | None = None) -> Outcome:
    """The outcome of a unit that was said to have gone that way."""
    match means:
        case "done":
            return Outcome(claim=Claim.DONE, why=why)
        case "skipped" | "locked":
            said = "it was skipped there" if means == "skipped" else "somebody else holds its lock"
            return Outcome(claim=Claim.DONE, why=f"{said}: {why}" if why else said)
        case "declined":
            return Outcome(claim=Claim.DECLINED, why=why)
        case "failed":
            return _failed(Failure.PERMANENT, why)
        case "transient":
            return _failed(Failure.TRANSIENT, why, retry_after)
        case "auth":
            return _failed(Failure.AUTH, why)
        case "unknown" | "running":
            return _failed(Failure.UNKNOWN, why, retry_after)
        case _:
            assert_never(means)


def same_for_all(batch: Batch, outcome: Outcome) -> dict[Unit, Outcome]:
    """That outcome for every unit of a batch."""
    return {Unit(name, day): outcome for name in batch.processors for day in batch.dates}


def words_of(text: bytes | str) -> str:
    """The last line of a stranger's output that says anything, fit to be shown."""
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = ["".join(sign if sign.isprintable() else " " for sign in line).strip() for line in decoded.splitlines()]
    said = next((line for line in reversed(lines) if line), "")
    return said if len(said) <= _MOST_WORDS else said[: _MOST_WORDS - 1] + CUT


def retry_seconds(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or a date. None for anything else."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def read_reply(
    spec: Http, answer: Answer | None, batch: Batch, names: Mapping[str, str], reply: Reply
) -> dict[Unit, Outcome] | None:
    """An outcome for every unit of the batch, or None: the service is at it, ask again.

    ``names`` are what the service calls the processors; ``answer`` says how to read what came. A reply that cannot be read means
    that nobody knows what happened.
    """
    wanted = answer or Answer()
    try:
        found: Any = reply.json()
        unread = ""
    except ValueError as error:
        found, unread = reply.body.decode("utf-8", "replace"), str(error)
    sign = _sign(wanted.signs, found, reply.status)
    means: Means = sign.means if sign else spec.meaning(reply.status)
    if sign or means != "done" or not 200 <= reply.status < 300:
        if means == "running":
            return None
        return same_for_all(batch, outcome_of(means, _said(wanted, found, reply), reply.retry_after))
    if answer is None:
        if reply.truncated:
            return same_for_all(batch, outcome_of("unknown", f"HTTP {reply.status}: {unread}"))
        return same_for_all(batch, outcome_of("done"))
    results = look_into(found, wanted.results) if wanted.results else [found]
    if not unread and not isinstance(results, list):
        unread = f'its answer has no list at "{wanted.results}"'
    if unread or not isinstance(results, list):
        return same_for_all(batch, outcome_of("unknown", f"HTTP {reply.status}: {unread}"))
    return _read_results(wanted, batch, names, results)


def _read_results(answer: Answer, batch: Batch, names: Mapping[str, str], results: Iterable[Any]) -> dict[Unit, Outcome] | None:
    units = {(names.get(unit.processor, unit.processor), str(unit.day)): unit for unit in same_for_all(batch, outcome_of("done"))}
    read: dict[Unit, tuple[Means, str]] = {}
    for result in results:
        said = _of_result(answer, result)
        for (name, day), unit in units.items():
            mine = not answer.processor or look_into(result, answer.processor) == name
            today = not answer.date or str(look_into(result, answer.date))[:10] == day
            if mine and today and (unit not in read or _WORST.index(said[0]) < _WORST.index(read[unit][0])):
                read[unit] = said
    if any(means == "running" for means, _ in read.values()):
        return None
    missing = outcome_of("failed", "the service did not answer for it")
    return {unit: outcome_of(*read[unit]) if unit in read else missing for unit in units.values()}


def _of_result(answer: Answer, result: Any) -> tuple[Means, str]:
    """What one result means, and what it says."""
    error = look_into(result, answer.error) if answer.error else None
    sign = _sign(answer.signs, result, None)
    if sign:
        return sign.means, words_of(_text(error or look_into(result, sign.at)))
    if not answer.status:
        return ("failed", words_of(_text(error))) if error else ("done", "")
    status = look_into(result, answer.status)
    if isinstance(status, (str, int, bool)) and status in answer.means:
        means = answer.means[status]
        return means, words_of(_text(error)) or ("" if means == "done" else f'{answer.status} "{_text(status)}"')
    if status is None:
        return "failed", f'its result says nothing at "{answer.status}"' + (f": {words_of(_text(error))}" if error else "")
    return "failed", f'{answer.status} "{words_of(_text(status))}", which the spec does not know'


def _sign(signs: Iterable[Sign], found: Any, status: int | None) -> Sign | None:
    """The first sign that fits an answer (with its status) or one result of it (without)."""
    return next((sign for sign in signs if _fits(sign, found, status)), None)


def _fits(sign: Sign, found: Any, status: int | None) -> bool:
    if sign.status is not None and sign.status != status:
        return False
    if not sign.at and not sign.contains:
        return True
    value = look_into(found, sign.at)
    if sign.values and not any(type(value) is type(each) and value == each for each in sign.values):
        return False
    return not sign.contains or (value is not None and sign.contains.lower() in _text(value).lower())


def _said(answer: Answer, found: Any, reply: Reply) -> str:
    """A whole reply in words: its status, and the error that it tells."""
    error = look_into(found, answer.error) if answer.error else None
    words = words_of(_text(error)) if error else words_of(reply.body)
    return f"HTTP {reply.status}" + (f": {words}" if words else "")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _failed(failure: Failure, why: str, retry_after: float | None = None) -> Outcome:
    return Outcome(claim=Claim.FAILED, failure=failure, why=why, retry_after=retry_after)
