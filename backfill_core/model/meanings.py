"""What an exit code, a status or a word of an answer may mean: one vocabulary for every runner that speaks to a stranger."""

from __future__ import annotations

from typing import Literal, get_args

#: ``done``, ``skipped`` and ``locked`` are claims that are looked at: there was nothing to do, somebody else is at it.
#: ``failed`` is for good; ``transient`` may go well the next time; ``auth``: it does not know us; ``unknown``: it may have
#: happened, look first; ``declined``: too little history; ``running``: ask again.
Means = Literal["done", "skipped", "locked", "failed", "transient", "auth", "unknown", "declined", "running"]
MEANINGS: tuple[str, ...] = get_args(Means)
