"""What holds a run up, a line an event."""

from __future__ import annotations

from datetime import UTC, datetime

from backfill_core.events import (
    BreakerMoved,
    ChangedUnderneath,
    Event,
    Failure,
    IdentityBack,
    IdentityLost,
    RunStopped,
    SightBack,
    SightLost,
    UnitsDeferred,
    UnitsUnverified,
)
from backfill_core.reports.words import dates_words

#: How a reason begins that tells what a table holds, and nothing else.
_TABLE_SAYS = ("wrote nothing", "partial", "invalid", "rows are older")


def trouble_line(event: Event, run: str) -> str:
    """The line for an event that tells of trouble; nothing for any other."""
    match event:
        case UnitsDeferred(failure=Failure.AUTH):
            return ""
        case UnitsDeferred():
            what = f"{event.processor} {dates_words(event.dates, most=1)}: {event.why}"
            if not event.attempt:
                return f"waits: {what}. Looked at, and called if it is not there, at {_clock(event.again)}."
            match event.failure:
                case Failure.UNKNOWN:
                    return f"lost: {what}. The table is looked at first."
                case Failure.PERMANENT:
                    return f"split: {what}. Each half is tried, to find the date that spoils the others."
                case _:
                    return f"again: {what}. Attempt {event.attempt + 1} at {_clock(event.again)}."
        case UnitsUnverified():
            return _unverified(event)
        case BreakerMoved():
            if event.probe is None:
                return f"service {event.service} answers again"
            return f"service {event.service} fails call after call: left alone until {_clock(event.probe)}, then one call asks"
        case IdentityLost():
            return identity_line(event, run)
        case IdentityBack():
            return "there is an identity token again: the run goes on"
        case SightLost():
            return sight_line(event, run) if event.looks == 1 else ""
        case SightBack():
            return "tables can be read again: the run goes on"
        case RunStopped():
            return f"stopping: {event.why}; what is in flight comes home, nothing new starts"
        case ChangedUnderneath():
            share = f"{len(event.dates)} of {event.of} dates"
            what = f"{event.processor} {dates_words(event.dates, most=1)} ({share})"
            return f"changed underneath: {what}, since this run was planned. What reads them is stale"
        case _:
            return ""


def _unverified(event: UnitsUnverified) -> str:
    claim = "said to be done, but " if event.why.startswith(_TABLE_SAYS) else ""
    what = f"{event.processor} {dates_words(event.dates, most=1)}: {claim}{event.why}"
    if event.again is None:
        return f"unverified: {what}. Not tried again: the run is stopping."
    lock = (event.again - event.at).total_seconds() >= 1
    return f"unverified: {what}. {'A lock may be held; one' if lock else 'One'} retry at {_clock(event.again)}."


def identity_line(lost: IdentityLost, run: str) -> str:
    """Why a run waits that cannot say who it is, and what to do."""
    since = lost.at.astimezone(UTC).strftime("%H:%M UTC")
    said = f" ({lost.why})" if lost.why else ""
    return f"paused: no identity token since {since}. No unit was failed. Log in, then: backfill continue {run}{said}"


def sight_line(lost: SightLost, run: str) -> str:
    """Why a run waits that cannot see what its tables hold, and what to do."""
    mend = "Log in, then" if lost.login else f"Looking again at {_clock(lost.again)}, or at once"
    return f"waiting: {lost.why.rstrip('.')}. No unit was failed. {mend}: backfill continue {run}"


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%S UTC")
