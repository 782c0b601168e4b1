"""What people ask of a run under way, and what is said when it stops."""

from __future__ import annotations

from time import monotonic, sleep
from typing import assert_never

from backfill_core.drain import Drain
from backfill_core.errors import did_you_mean
from backfill_core.events import Control, DrainAsked, Instructed, Instruction, RunStopped
from backfill_core.ports import Clock, Journal
from backfill_core.record import Record
from backfill_core.reports.words import plural
from backfill_core.scheduling.lanes import NEVER
from backfill_core.scheduling.scheduler import Scheduler
from backfill_core.scheduling.terms import Stop

#: Seconds between two looks for what others ask of the run.
LISTEN = 0.5
#: Seconds of a rest at a time, so that who asks for the end is soon heard.
_NAP = 0.1


class Steering:
    """Hears instructions from the journal and the drain, and tells the record what came of them."""

    def __init__(self, scheduler: Scheduler, record: Record, journal: Journal, clock: Clock, drain: Drain) -> None:
        self.scheduler = scheduler
        self.record = record
        self.journal = journal
        self.clock = clock
        self.drain = drain
        #: When it was last looked for instructions, and the last one's number.
        self._listened, self._number = float("-inf"), 0
        #: Whether somebody said to go on since the latest rest began.
        self._urged = False

    @property
    def stopping(self) -> bool:
        """Whether nothing new is to leave."""
        return self.drain.asked or self.scheduler.stopped is not None

    def obey(self) -> None:
        """Takes in what others asked since it last looked."""
        if monotonic() - self._listened >= LISTEN:
            for number, asked in self.journal.instructions(self.record.state.name, after=self._number):
                self._number = number
                self._follow(number, asked)
            self._listened = monotonic()
        if self.drain.asked and not self.record.state.draining:
            self.scheduler.drain()
            flying = self.scheduler.in_flight.values()
            last = max((calling.lost_at for calling in flying), default=NEVER)
            wish = DrainAsked(
                at=self.clock.now(),
                in_flight=sum(calling.units for calling in flying),
                slowest=self.record.state.slowest,
                at_most=None if last == NEVER else max(0.0, last - monotonic()),
            )
            self.record.say(wish)

    def rest(self, seconds: float) -> bool:
        """Waits, and obeys meanwhile; ``continue`` ends it. Returns False where the run is to end."""
        until, stop_at, self._urged = monotonic() + seconds, self.scheduler.terms.stop_at, False
        while True:
            self.obey()
            self.record.flush()
            now = monotonic()
            if self.drain.asked or (stop_at is not None and now >= stop_at):
                return False
            if self._urged or now >= until:
                return True
            sleep(min(until - now, _NAP))

    def tell_stopped(self) -> None:
        """Says once that the scheduler stopped by itself, and why."""
        stop = self.scheduler.stopped
        if stop is not None and not self.record.state.stopped:
            asked = stop in (Stop.UNITS, Stop.TIME)
            self.record.say(RunStopped(at=self.clock.now(), why=self._why_stopped(stop), asked=asked))

    def _follow(self, number: int, asked: Instruction) -> None:
        refused = self._why_not(asked)
        if not refused:
            match asked.control:
                case Control.THROTTLE:
                    self.scheduler.throttle(concurrency=asked.concurrency, caps=asked.caps)
                case Control.PAUSE:
                    self.scheduler.pause(f"asked by {asked.by}")
                case Control.CONTINUE:
                    self.scheduler.go_on()
                    self._urged = True
                case Control.CANCEL:
                    if not self.drain.asked:
                        self.drain.ask()
                case _:
                    assert_never(asked.control)
        self.record.say(
            Instructed(
                at=self.clock.now(),
                number=number,
                control=asked.control,
                by=asked.by,
                concurrency=asked.concurrency,
                caps=asked.caps,
                refused=refused,
            )
        )

    def _why_not(self, asked: Instruction) -> str:
        """Why an instruction cannot be followed, or nothing."""
        unknown = sorted(asked.caps.keys() - self.scheduler.lanes)
        if unknown:
            known = sorted(self.scheduler.lanes)
            return f'nothing here is called "{unknown[0]}".{did_you_mean(unknown[0], known)} There are: {", ".join(known)}'
        return ""

    def _why_stopped(self, stop: Stop) -> str:
        match stop:
            case Stop.UNITS:
                return f"{plural(self.scheduler.called, 'unit')} called, as many as allowed"
            case Stop.TIME:
                return "no time for more"
            case Stop.FAILURES:
                return f"{plural(self.scheduler.failures, 'unit')} failed, as many as allowed"
            case Stop.CANARY:
                return "a date of the canary failed"
            case Stop.MOVED:
                moved = sorted({event.processor for event in self.record.state.underneath})
                return f"{' and '.join(moved)} changed underneath"
            case _:
                assert_never(stop)
