"""What the reference project's calls make of its services as they behave, over a real wire: answers, lies and faults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Semaphore
from typing import Any
from urllib.request import Request, urlopen

import pytest

from backfill_core.adapters.call_folder import CallFolders
from backfill_core.adapters.http_runner import HttpRunner
from backfill_core.adapters.identity_sources import Identity, identity_source
from backfill_core.adapters.identity_tokens import IdentityTokens
from backfill_core.dates import DateSet
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.expectations import Rows
from backfill_core.model.http import Http
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.model.units import Batch, Unit
from backfill_core.ports import Call, Occasion
from backfill_core.project.load import load_project
from backfill_core.queries.question import TableQuestion
from backfill_core.testing.layer_services import DateService, Job, LayerService, Limits, RangeService, StartService
from backfill_core.testing.metadata_server import MetadataServer
from backfill_core.testing.service_faults import ServiceFault, Trouble
from backfill_core.testing.service_server import ServiceServer

DAY = date(2025, 1, 10)
DONE = Outcome(claim=Claim.DONE)
FOUND, _ = load_project(Path(__file__).parents[2])
PROCESSORS = {each.value.name: each.value for each in FOUND if isinstance(each.value, Processor)}
L3 = ("team_offense_game_summary", "player_game_summary")
L4 = ("team_defense_zone_analysis", "player_shot_zone_analysis", "player_daily_cache")
L5 = ("player_prop_predictions",)


def spec_of(name: str) -> Http:
    spec = PROCESSORS[name].spec_for("gcp")
    assert isinstance(spec, Http)
    return spec


def known(name: str) -> str:
    return spec_of(name).known_as or name


class Services:
    """The three of them, each before a list of what was written."""

    def __init__(self, folder: Path) -> None:
        self.written: list[tuple[str, date]] = []
        self.lacks = ""
        #: Jobs that began; whether they may end, and whether one has.
        self.begun, self.may_end, self.ended = Semaphore(0), Event(), Event()
        self.may_end.set()
        self.metadata = MetadataServer()
        self.metadata.start()
        limits = Limits(lock=30.0)
        kinds: dict[str, tuple[type[LayerService], Sequence[str]]] = {
            "L3_URL": (RangeService, L3), "L4_URL": (DateService, L4), "L5_URL": (StartService, L5),
        }  # fmt: skip
        self.servers = {}
        for variable, (kind, names) in kinds.items():
            jobs = {known(name): Job(partial(self.write, known(name)), lambda _day: self.lacks) for name in names}
            server = ServiceServer(kind(jobs, limits))  # type: ignore[arg-type]
            server.refuses = partial(self.refuses, server)
            self.servers[variable] = server.start()
        tokens = IdentityTokens(identity_source(Identity(metadata_host=self.metadata.host)))
        environment = {name: server.url for name, server in self.servers.items()}
        self.runner = HttpRunner(CallFolders(folder), environment, tokens)

    def write(self, name: str, days: Sequence[date]) -> int:
        self.begun.release()
        self.may_end.wait()
        self.written += [(name, day) for day in days]
        self.ended.set()
        return len(days)

    def refuses(self, server: ServiceServer, authorization: str | None) -> str:
        return self.metadata.check(authorization, server.url)

    def fault(self, trouble: Trouble, **more: Any) -> None:
        for server in self.servers.values():
            server.faults.add(ServiceFault(trouble, **more))

    def ask(self, *names: str, days: Sequence[date] = (DAY,)) -> dict[str, Outcome]:
        """By processor, what became of the first of the days."""
        spec = spec_of(names[0])
        spec = replace(spec, poll=replace(spec.poll, every=0.01, within=0.5)) if spec.poll else spec
        table = PROCESSORS[names[0]].writes
        assert isinstance(table, Table)
        dates = DateSet.of(*days)
        call = Call(
            batch=Batch(number=7, processors=names, dates=dates),
            processor=Processor(names[0], layer="x", calendar="nba", writes=table, run=spec, complete_when=Rows()),
            spec=spec,
            specs={name: spec_of(name) for name in names},
            question=TableQuestion(processor=names[0], table=table, span=dates.span),
            tables={names[0]: table},
            occasion=Occasion(run="r1", run_key="r1 here"),
        )
        outcomes = self.runner.run(call).outcomes
        assert set(outcomes) == {Unit(name, day) for name in names for day in days}
        return {name: outcomes[Unit(name, days[0])] for name in names}

    def stop(self) -> None:
        self.runner.close()
        for server in self.servers.values():
            server.stop()
        self.metadata.stop()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path)
    yield made
    made.stop()


def lost(failure: Failure, why: str, retry_after: float | None = None) -> Outcome:
    return Outcome(claim=Claim.FAILED, failure=failure, why=why, retry_after=retry_after)


def test_one_call_does_a_date_with_several_processors_in_the_order_asked(services: Services) -> None:
    assert services.ask(*L4) == dict.fromkeys(L4, DONE)
    assert services.written == [(known(name), DAY) for name in L4]
    (request,) = services.servers["L4_URL"].requests
    assert request.body == {
        "analysis_date": "2025-01-10",
        "processors": [known(name) for name in L4],
        "backfill_mode": True,
        "correlation_id": request.headers["X-Correlation-Id"],
    }


def test_a_run_of_dates_goes_in_one_call(services: Services) -> None:
    days = [DAY + timedelta(days=n) for n in range(3)]
    assert services.ask(L3[0], days=days) == {L3[0]: DONE}
    assert services.written == [(known(L3[0]), day) for day in days]


def test_predictions_are_accepted_and_asked_after(services: Services) -> None:
    assert services.ask(*L5) == {L5[0]: DONE}
    assert services.written == [(L5[0], DAY)]
    start, *asked = services.servers["L5_URL"].requests
    assert (start.method, start.path, start.body["game_date"]) == ("POST", "/start", "2025-01-10")
    assert asked and {(each.path, each.query["game_date"]) for each in asked} == {("/status", "2025-01-10")}
    behind = services.servers["L5_URL"].behind
    assert isinstance(behind, StartService) and behind.without_date == 0


def test_too_little_to_predict_from_is_declined(services: Services) -> None:
    services.lacks = "ml_feature_store_v2 holds nothing on 2025-01-10"
    why = "HTTP 503: ml_feature_store_v2 holds nothing on 2025-01-10"
    assert services.ask(*L5) == {L5[0]: Outcome(claim=Claim.DECLINED, why=why)}
    assert not services.written


#: What a caller knows after each trouble: of all that it asked for, and how many of them were written for all that.
CLAIMED = DONE
SAID = {
    Trouble.ALL_FAILED: (lost(Failure.PERMANENT, "it was asked to fail"), 0),
    Trouble.NOTHING_WRITTEN: (CLAIMED, 0),
    Trouble.LOCK_HELD: (CLAIMED, 0),
    Trouble.RESET: (lost(Failure.UNKNOWN, "sent, and the connection was lost"), 1),
    Trouble.TRUNCATED: (lost(Failure.UNKNOWN, "HTTP 200: its answer broke off"), 1),
    Trouble.SLOW: (CLAIMED, 1),
}


@pytest.mark.parametrize("trouble", SAID)
@pytest.mark.parametrize("name", [L3[0], L4[0]])
def test_each_trouble_is_told_for_what_it_is(services: Services, trouble: Trouble, name: str) -> None:
    services.fault(trouble)
    wanted, written = SAID[trouble]
    (said,) = services.ask(name).values()
    assert (said.claim, said.failure) == (wanted.claim, wanted.failure)
    assert trouble is Trouble.RESET or said.why == wanted.why
    assert len(services.written) == written
    assert services.ask(name) == {name: DONE}, "and once it is over the service works again"
    assert len(services.written) == written + (trouble is not Trouble.LOCK_HELD), "unless somebody still holds the lock"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (429, Failure.TRANSIENT),
        (500, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
        (504, Failure.UNKNOWN),
        (404, Failure.PERMANENT),
    ],
)
@pytest.mark.parametrize("name", [L3[0], L4[0], L5[0]])
def test_statuses(services: Services, status: int, failure: Failure, name: str) -> None:
    services.fault(Trouble.STATUS, status=status, retry_after=3 if status == 429 else None)
    (said,) = services.ask(name).values()
    assert (said.claim, said.failure, said.retry_after) == (Claim.FAILED, failure, 3.0 if status == 429 else None)
    assert not services.written


def test_a_name_that_the_service_drops_was_not_done(services: Services) -> None:
    services.fault(Trouble.DROPPED)
    *answered, dropped = L4
    said = services.ask(*L4)
    assert said == dict.fromkeys(answered, DONE) | {dropped: lost(Failure.PERMANENT, "the service did not answer for it")}


def test_work_that_goes_on_after_a_504_is_unknown_and_gets_done(services: Services) -> None:
    services.fault(Trouble.GOES_ON)
    (said,) = services.ask(L4[0]).values()
    assert said.failure is Failure.UNKNOWN
    assert services.ended.wait(10) and services.written == [(known(L4[0]), DAY)]


def test_who_asks_again_while_the_work_goes_on_is_told_a_lie(services: Services) -> None:
    services.fault(Trouble.GOES_ON, seconds=60.0)
    (said,) = services.ask(L4[0]).values()
    assert said.failure is Failure.UNKNOWN
    assert services.ask(L4[0]) == {L4[0]: DONE} and not services.written


def test_a_prediction_that_never_ends_is_unknown_in_the_end(services: Services) -> None:
    services.fault(Trouble.NEVER_ENDS)
    assert services.ask(*L5) == {L5[0]: lost(Failure.UNKNOWN, "accepted, and no end after 0.5 s: it is still at it")}


def test_a_prediction_that_fails_says_why(services: Services) -> None:
    services.fault(Trouble.ALL_FAILED)
    assert services.ask(*L5) == {L5[0]: lost(Failure.PERMANENT, "it was asked to fail")}


def test_nobody_is_let_in_without_an_identity_of_that_service(services: Services) -> None:
    server = services.servers["L4_URL"]
    for token in ("", "nonsense", services.metadata.make_token("https://other.example")):
        assert _status(server.url + "/process-date", {"analysis_date": "2025-01-10"}, token) == 401
    assert _status(server.url + "/process-date", {"analysis_date": "2025-01-10"}, services.metadata.make_token(server.url)) == 200
    services.metadata.revoke()
    services.metadata.refuses = 403
    (said,) = services.ask(L4[0]).values()
    assert said.failure is Failure.AUTH


def test_no_more_dates_are_done_at_once_than_there_are_places(services: Services) -> None:
    server = services.servers["L4_URL"]
    days = [DAY + timedelta(days=n) for n in range(8)]
    services.may_end.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(services.ask, L4[0], days=[day]) for day in days[:5]]
        for _ in range(5):
            assert services.begun.acquire(timeout=10)
        server.queue = 0.0
        late = services.ask(L4[0], days=[DAY + timedelta(days=9)])
        assert late == {L4[0]: lost(Failure.TRANSIENT, "HTTP 429: no instance is free")}
        assert server.most == 5 and not services.written
        server.queue = 10.0
        asked += [pool.submit(services.ask, L4[0], days=[day]) for day in days[5:]]
        services.may_end.set()
        assert [each.result() for each in asked] == [{L4[0]: DONE}] * 8
    assert server.most == 5 and len(services.written) == 8


def test_what_is_asked_wrongly(services: Services) -> None:
    l3, l4 = services.servers["L3_URL"], services.servers["L4_URL"]
    for server, path, body, status in (
        (l4, "/process-date", {}, 400),
        (l4, "/process-date", {"analysis_date": "yesterday"}, 500),
        (l4, "/process", {"analysis_date": "2025-01-10"}, 404),
        (l3, "/process-date-range", {"start_date": "2025-01-10"}, 400),
        (l3, "/process-date-range", {"start_date": "2025-01-10", "end_date": "2025-01-09"}, 400),
    ):
        assert _status(server.url + path, body, services.metadata.make_token(server.url)) == status
    body = {"analysis_date": "2025-01-10", "processors": []}
    assert _status(l4.url + "/process-date", body, services.metadata.make_token(l4.url)) == 200
    assert {name for name, _ in services.written} == {known(name) for name in L4}, "no names are all of them"


def _status(url: str, body: Any, token: str) -> int:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:
            return int(answer.status)
    except OSError as error:
        return int(getattr(error, "code", 0))
