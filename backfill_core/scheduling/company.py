"""Processors that go together in one call a date, some of them in order: behind what they need, in the very same call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from backfill_core.dates import DateSet
from backfill_core.scheduling.retries import Tries
from backfill_core.scheduling.work import Wait, Work

_Unit = tuple[str, int]


class Company:
    """Who waits for a call of each company, and who follows in it.

    A *follower* is a unit that is held up by nothing but units of its own company and date. It is judged ahead, as if these were
    there already, and then goes in any call that has all of them. What came of it is taken up when they have their final word.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        """``works`` come after what they wait for."""
        self._company = {work.name: work.together for work in works if work.together}
        #: Processors of each company, each after what it waits for.
        self._members: dict[str, list[str]] = {}
        for name, company in self._company.items():
            self._members.setdefault(company, []).append(name)
        #: The waits of each processor that the other units of its call and date satisfy.
        self.inner = {work.name: waits for work in works if work.in_order and (waits := self._inner(work))}
        #: Units that go together, by what they go as, the date and what they have behind them; and how many such calls wait.
        self._waiting: dict[tuple[str, int, Tries], list[str]] = {}
        self._calls: dict[tuple[str, int], int] = {}
        #: Followers: those that may be judged ahead, those that somebody was told to judge, and those that may go.
        self._near: set[_Unit] = set()
        self._told: set[_Unit] = set()
        self._may: set[_Unit] = set()
        self._to_judge: dict[str, list[int]] = {}
        #: Followers that went, and of them those whose needs have their final word now.
        self._went: set[_Unit] = set()
        self._freed: list[_Unit] = []

    def __contains__(self, name: str) -> bool:
        """Whether that is what several go together as."""
        return name in self._members

    def joins(self, name: str, day: int, tries: Tries) -> bool:
        """A unit may leave with those of its company that have the same behind them; returns whether it is the first of them."""
        company = self._company[name]
        names = self._waiting.setdefault((company, day, tries), [])
        names.append(name)
        if len(names) > 1:
            return False
        self._calls[company, day] = self._calls.get((company, day), 0) + 1
        for other in self._members[company]:
            if (other, day) in self._near:
                self._tell(other, day)
        return True

    def leaves(self, company: str, day: int, tries: Tries) -> list[str]:
        """Takes out those that wait for that call, in the company's order."""
        names = self._waiting.pop((company, day, tries))
        self._calls[company, day] -= 1
        if not self._calls[company, day]:
            del self._calls[company, day]
        return self._in_order(names)

    def near(self, name: str, day: int) -> None:
        """Nothing but units of its own company and date holds a unit up."""
        self._near.add((name, day))
        if (self._company[name], day) in self._calls:
            self._tell(name, day)

    def to_judge(self) -> dict[str, DateSet]:
        """Followers to judge ahead, each told once."""
        told, self._to_judge = self._to_judge, {}
        return {name: DateSet.from_numbers(sorted(days)) for name, days in told.items()}

    def may_follow(self, name: str, days: Iterable[int]) -> None:
        self._may |= {(name, day) for day in days}

    def stays(self, name: str, day: int) -> None:
        self._may.discard((name, day))

    def followers(self, names: Sequence[str], day: int, held: Callable[[str], int]) -> list[str]:
        """Who may go behind those of a call, in order. ``held`` says how many waits still hold a follower up that day."""
        going = set(names)
        found = []
        for name in self._members[self._company[names[0]]]:
            if name in going or (name, day) not in self._may:
                continue
            inside = sum(1 for wait in self.inner[name] if wait.upstream in going)
            if inside and held(name) == inside:
                going.add(name)
                found.append(name)
        return found

    def left(self, names: Sequence[str], followers: Collection[str], day: int) -> None:
        """A call left with those. What went behind one of them before and does not now waits for its turn as any other."""
        going = {*names, *followers}
        for other in self._members[self._company[names[0]]] if self.inner else ():
            behind = any(wait.upstream in going for wait in self.inner.get(other, ()))
            if behind and other not in going and (other, day) in self._may:
                self._went.discard((other, day))
        self._went |= {(name, day) for name in followers}

    def went(self, name: str, day: int) -> bool:
        """Whether a unit went behind needs that have no final word yet."""
        return (name, day) in self._went

    def frees(self, name: str, day: int) -> bool:
        """The needs of a unit have their final word. Returns whether it went ahead of that."""
        if (name, day) not in self._went:
            return False
        self._freed.append((name, day))
        return True

    def freed(self) -> list[_Unit]:
        """Followers that went, and whose needs have their final word by now, each told once."""
        freed, self._freed = [unit for unit in self._freed if unit in self._went], []
        self._went.difference_update(freed)
        return freed

    def ended(self, name: str, days: Iterable[int]) -> None:
        """Units have their final word."""
        if name in self.inner:
            gone = {(name, day) for day in days}
            for kept in (self._near, self._told, self._may, self._went):
                kept -= gone

    def _inner(self, work: Work) -> tuple[Wait, ...]:
        members, days = self._members.get(work.together or "", []), work.dates.numbers()
        # Every window but the same date ends the day before.
        return tuple(wait for wait in work.waits if wait.upstream in members and list(wait.lasts) == days)

    def _in_order(self, names: Collection[str]) -> list[str]:
        return [name for name in self._members[self._company[next(iter(names))]] if name in names]

    def _tell(self, name: str, day: int) -> None:
        if (name, day) not in self._told:
            self._told.add((name, day))
            self._to_judge.setdefault(name, []).append(day)
