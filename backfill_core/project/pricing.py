"""What carrying out a plan would read on BigQuery, and what that costs: dry runs tell, which cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backfill_core.dates import DateSet
from backfill_core.model.runs import Sql
from backfill_core.plan import Plan
from backfill_core.project.session import Session
from backfill_core.project.settings import GcpTarget
from backfill_core.project.sql_calls import call_query
from backfill_core.reports.words import plural
from backfill_core.scheduling.batches import date_runs

if TYPE_CHECKING:
    from backfill_core.adapters.bigquery_warehouse import BigQueryWarehouse

#: Calls of a processor that are dry-run; of more, as many spread evenly, and the others taken to read as much.
_TRIED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the SQL of a plan would read, and what looking for it has read."""

    #: Bytes that the plan's own questions read.
    looking: int
    #: Bytes by processor.
    reads: Mapping[str, int]
    #: Calls that would be made, and those of them that were dry-run.
    calls: int
    tried: int
    #: Processors that no dry run could tell of, each with why: a table it reads may not be there yet.
    untold: Mapping[str, str]
    per_tb: float
    currency: str

    @property
    def money(self) -> float:
        return sum(self.reads.values()) / 1e12 * self.per_tb

    def to_json(self) -> dict[str, Any]:
        return {
            "observing_bytes": self.looking,
            "bytes": dict(self.reads),
            "calls": self.calls,
            "dry_runs": self.tried,
            "untold": dict(self.untold),
            "money": round(self.money, 6),
            "currency": self.currency,
        }

    def line(self) -> str:
        """``cost: about 1.2 GB read by 37 calls (24 dry runs), 0.01 USD at 6.25 a TB; looking read 3.1 MB``."""
        money = (
            f"{self.money:,.2f} {self.currency}" if self.money >= 0.005 or not self.reads else f"less than 0.01 {self.currency}"
        )
        told = f"cost: about {_size(sum(self.reads.values()))} read by {plural(self.calls, 'call')} "
        told += f"({plural(self.tried, 'dry run')}), {money} at {self.per_tb:g} a TB"
        told += f"; looking read {_size(self.looking)}"
        return told + (f"; not told: {', '.join(self.untold)}" if self.untold else "")


def priced(session: Session, warehouse: BigQueryWarehouse, plan: Plan) -> Cost:
    """The cost of a plan's SQL. Processors of other kinds are not in it."""
    assert isinstance(session.target, GcpTarget)
    looking = sum(warehouse.jobs.read)
    calls: dict[str, list[DateSet]] = {}
    for name, chosen in plan.planned().items():
        spec = session.pipeline.processors[name].spec_for(session.pipeline.runtime)
        if isinstance(spec, Sql):
            runs = date_runs(chosen.dates.numbers(), spec.max_dates, share=1)
            calls[name] = [DateSet.from_numbers(run) for run in runs]
    tried = [(name, dates) for name, batches in calls.items() for dates in _spread(batches)]
    with ThreadPoolExecutor(warehouse.side_by_side, thread_name_prefix="dry") as pool:
        told = list(pool.map(lambda each: _reads(session, warehouse, *each), tried))
    reads: dict[str, int] = {}
    untold: dict[str, str] = {}
    for name, batches in calls.items():
        found = [(answer, len(dates)) for (asked, dates), answer in zip(tried, told, strict=True) if asked == name]
        failed = [answer for answer, _ in found if isinstance(answer, str)]
        if failed:
            untold[name] = failed[0]
        elif found:  # the last call may be of fewer dates than the others
            seen = sum(dates for _, dates in found)
            reads[name] = sum(int(answer) for answer, _ in found) * sum(map(len, batches)) // seen
    count = sum(map(len, calls.values()))
    target = session.target
    return Cost(
        looking=looking,
        reads=reads,
        calls=count,
        tried=len(tried),
        untold=untold,
        per_tb=target.price_per_tb,
        currency=target.currency,
    )


def _spread(batches: list[DateSet]) -> list[DateSet]:
    if len(batches) <= _TRIED:
        return batches
    return [batches[place * (len(batches) - 1) // (_TRIED - 1)] for place in range(_TRIED)]


def _reads(session: Session, warehouse: BigQueryWarehouse, name: str, dates: DateSet) -> int | str:
    """The bytes that a call would read, or why they cannot be told."""
    from backfill_core.adapters.bigquery_errors import words_of

    _, query = call_query(session, warehouse.names, name, dates)
    try:
        return int(warehouse.jobs.dry_run(query, within=warehouse.within).total_bytes_processed or 0)
    except Exception as error:  # a plan is shown whether its cost can be told or not
        return words_of(error)


def _size(count: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1000:,.0f} kB"
