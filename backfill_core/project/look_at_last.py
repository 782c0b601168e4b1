"""What a run last observed, kept while it holds the warehouse, and a look at that in place of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from backfill_core.adapters.observed_file import Observed, ObservedFile
from backfill_core.coverage import Coverage
from backfill_core.dates import Span
from backfill_core.errors import BadUsage
from backfill_core.events import Event, GateJudged, RunEnded, RunStarted
from backfill_core.live import Live
from backfill_core.model.calendar import CalendarDays
from backfill_core.model.reviews import Reviews
from backfill_core.model.table import Table
from backfill_core.observe import judged_with_files, reach_of
from backfill_core.planning.fingerprint import graph_fingerprint
from backfill_core.project.session import Session


def observed_file(session: Session) -> ObservedFile:
    return ObservedFile(session.state / "observed" / f"{Path(session.target_name).name}.json.gz")


class Remembers:
    """Follows a run and keeps what it knows of the tables: at its start, after each gate and at its end."""

    def __init__(self, session: Session, live: Live, span: Span) -> None:
        self.live = live
        self.file = observed_file(session)
        self.graph = graph_fingerprint(session.pipeline, {})
        self.reach = reach_of(session.pipeline, live.calendars, span)

    def heard(self, run: str, events: Iterable[Event]) -> None:
        moments = [event.at for event in events if isinstance(event, RunStarted | GateJudged | RunEnded)]
        if moments:
            facts = {name: covered.facts for name, covered in self.live.covered.items()}
            self.file.write(Observed(at=moments[-1], run=run, graph=self.graph, reach=self.reach, facts=facts))


def observe_last(
    session: Session, calendars: Mapping[str, CalendarDays], span: Span, today: date, reviews: Reviews
) -> tuple[Coverage, str]:
    """Judges what the last run on this target observed, and says when that was. Raises BadUsage where that cannot be."""
    found = observed_file(session).read()
    if found is None:
        raise BadUsage(message=f'no run observed target "{session.target_name}" yet. Look without --last-observed')
    when = f"run {found.run} at {found.at:%Y-%m-%d %H:%M} UTC"
    if found.graph != graph_fingerprint(session.pipeline, {}):
        raise BadUsage(message=f"layers or plugins changed since {when} observed the tables. Look without --last-observed")
    reach = reach_of(session.pipeline, calendars, span)
    for name, processor in session.pipeline.processors.items():
        seen, wanted = found.reach[name], reach[name]
        if isinstance(processor.writes, Table) and not (seen.first <= wanted.first and wanted.last <= seen.last):
            raise BadUsage(message=f"{when} observed {name} from {seen.first} to {seen.last}. Ask for dates that need no others")
    facts = dict(found.facts)
    coverage = judged_with_files(
        session.pipeline, session.landing, calendars, facts, reach, span=span, today=today, reviews=reviews
    )
    return coverage, f"as last observed: {when}. The tables were not looked at"
