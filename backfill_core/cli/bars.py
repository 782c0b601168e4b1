"""The picture of a run on a terminal: a bar a layer, and below them what a person watches for."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backfill_core.events import Word
from backfill_core.reports.pace_texts import breaker_lines, claims_line, eta_told, flying, pace_words, slow_lines
from backfill_core.reports.run_texts import run_word
from backfill_core.reports.words import WIDTH
from backfill_core.reports.wrapping import wrapped
from backfill_core.run_state import RunState

#: Words of units that no longer wait for anything, and what a bar says of them.
_LOST = {"failed": (Word.FAILED, Word.EXHAUSTED, Word.DECLINED), "blocked": (Word.BLOCKED,), "withheld": (Word.WITHHELD,)}
_BAR = 24


def bars(state: RunState, now: datetime) -> Group:
    """A bar a layer with what is done and what was lost; then rate, time to go and what is slow. 80 columns at most."""
    if state.plan is None:
        return Group()
    table = Table.grid(padding=(0, 1))
    for stage in state.plan.stages:
        names = [each.name for each in stage.processors]
        if stage.units:
            ended = sum(len(state.dates(word, name)) for name in names for word in Word)
            bar = ProgressBar(total=stage.units, completed=ended, width=_BAR)
            table.add_row(
                Text(stage.layer[:18]), bar, Text(f"{ended:,}/{stage.units:,}", justify="right"), Text(_lost(state, names))
            )
    said = [f"in flight {flying(state)}   {pace_words(state)}   {eta_told(state, now)}"]
    if state.wrote_nothing or state.unverified or state.claimed:
        said.append(claims_line(state))
    said += [*breaker_lines(state), *slow_lines(state, now)[:3]]
    if (word := run_word(state, alive=True)) != "RUNNING":
        said.append(word)
    return Group(table, *(Text(line, overflow="ellipsis", no_wrap=True) for line in wrapped(said, WIDTH)), fit=True)


def _lost(state: RunState, names: list[str]) -> str:
    counts = {what: sum(len(state.dates(word, name)) for name in names for word in words) for what, words in _LOST.items()}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)[: WIDTH - _BAR - 30]
