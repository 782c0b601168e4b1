"""What a run sees of a warehouse: tables that cannot be read for now are looked at again, and meanwhile the run waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import chain, repeat
from time import monotonic
from typing import TypeVar

from backfill_core.coverage import DateFacts, KeysFound
from backfill_core.errors import Failure, ReadError
from backfill_core.events import SightBack, SightLost
from backfill_core.ports import Clock, Warehouse
from backfill_core.queries.question import NamingQuestion, TableQuestion
from backfill_core.record import Record

_T = TypeVar("_T")

#: Seconds between one look and the next; the last of them again and again.
WAITS = (5.0, 10.0, 20.0, 40.0, 60.0)
#: Seconds after which what should pass by itself is taken to last. For somebody to log in it waits as long as that takes.
PATIENCE = 1800.0


class PatientWarehouse:
    """A warehouse that outlives its own bad moments.

    Nothing leaves while tables cannot be read, for what came of the latest calls is not known. Calls in flight go on.
    """

    def __init__(self, warehouse: Warehouse, record: Record, clock: Clock, rest: Callable[[float], bool]) -> None:
        """``rest`` waits for so many seconds and says whether to look again: not where the run is to end."""
        self.warehouse = warehouse
        self.record = record
        self.clock = clock
        self.rest = rest

    @property
    def asked(self) -> int:
        return self.warehouse.asked

    def schema(self, datasets: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        names = list(datasets)
        return self.patiently(lambda: self.warehouse.schema(names))

    def observe(self, question: TableQuestion) -> DateFacts:
        return self.patiently(lambda: self.warehouse.observe(question))

    def observe_all(self, questions: Sequence[TableQuestion]) -> list[DateFacts]:
        return self.patiently(lambda: self.warehouse.observe_all(questions))

    def differing_keys(self, question: NamingQuestion, limit: int) -> KeysFound:
        return self.patiently(lambda: self.warehouse.differing_keys(question, limit))

    def close(self) -> None:
        self.warehouse.close()

    def patiently(self, look: Callable[[], _T]) -> _T:
        """What a look finds. Raises the ReadError of the latest where none will ever find more, or time is up."""
        until = monotonic() + PATIENCE
        waits = chain(WAITS, repeat(WAITS[-1]))
        looks = 0
        while True:
            try:
                found = look()
            except ReadError as error:
                wait, login = next(waits), error.failure is Failure.AUTH
                if not login and (error.failure is not Failure.TRANSIENT or monotonic() + wait > until):
                    raise
                at, looks = self.clock.now(), looks + 1
                self.record.say(SightLost(at=at, why=str(error), looks=looks, again=at + timedelta(seconds=wait), login=login))
                self.record.flush()
                if not self.rest(wait):
                    raise
            else:
                if looks:
                    self.record.say(SightBack(at=self.clock.now()))
                    self.record.flush()
                return found
