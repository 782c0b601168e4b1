"""Numbers in declarations that nothing could reach, or that ask for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from backfill_core.model.expectations import AtMost, CalendarKeys, Expectation, KeysOf, Rows
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.model.windows import CalendarDates, Days, LastGames, Window


def amount_problems(processor: Processor) -> Iterator[str]:
    """What is wrong with the numbers of a processor and of its first table."""
    if not processor.expectations:
        yield "expects nothing, so that none of its dates would ever be missing. Give it complete_when=Rows()"
    for expectation in processor.expectations:
        yield from _expectation(expectation, processor.name)
    times = [("warmup", processor.warmup)]
    if isinstance(processor.writes, Table):
        times.append(("settles_after", processor.writes.settles_after))
    for name, time in times:
        if time is not None and (not isinstance(time, Days) or time.count < 0):
            yield f"has {name}={time}. It takes days(n), n being 0 or more"


def need_problems(processor: Processor) -> Iterator[str]:
    """What is wrong with the windows and names of its needs."""
    for need in processor.needs:
        names = need.upstreams
        if not names or len(set(names)) < len(names):
            yield f"has a need of {' or '.join(names) or 'nothing'}. Name each processor once, and at least one"
    windows = [need.window for need in processor.needs]
    windows += [check.window for check in processor.expectations if isinstance(check, KeysOf)]
    for window in windows:
        if not isinstance(window, get_args(Window)):
            yield f"has window={window!r}, which is no window. Windows are days(n), calendar_dates(n), last_games(…), …"
            continue
        counts = [window.count] if isinstance(window, (Days, CalendarDates, LastGames)) else []
        counts += [window.within] if isinstance(window, LastGames) else []
        if any(count < 1 for count in counts):
            yield f"has a window of {window}, which holds nothing. Give it 1 or more"


def _expectation(expectation: Expectation, own: str) -> Iterator[str]:
    match expectation:
        case KeysOf(processor=name) if name == own and expectation.looks_back:
            yield f'expects "{expectation}", its own keys, of which the first would never come. Name another processor'
        case KeysOf(at_least=least) if least < 0:
            yield f'expects "{expectation}". at_least is 0 or more'
        case CalendarKeys(at_least=least, exactly=exactly) | Rows(at_least=least, exactly=exactly):
            for name, value in (("at_least", least), ("exactly", exactly)):
                if value is not None and value < 1:
                    yield f"expects rows with {name}={value}, which no date could lack. Give it 1 or more"
        case AtMost(times=times) if times <= 0:
            yield f'expects "{expectation}", which no row could keep. Give it more than 0'
        case _:
            pass
