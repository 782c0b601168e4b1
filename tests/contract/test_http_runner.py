"""What the runner of `Http` specs makes of a real service on loopback: of its answers, its lies and its faults."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from backfill_core.adapters.call_folder import CallFolders
from backfill_core.adapters.http_runner import HttpRunner
from backfill_core.dates import DateSet
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.expectations import Rows
from backfill_core.model.http import Answer, Http, Poll, Sign
from backfill_core.model.processor import Processor
from backfill_core.model.table import Table
from backfill_core.model.units import Batch, Unit
from backfill_core.ports import Call, Occasion
from backfill_core.queries.question import TableQuestion
from faulty_service import Asked, Fault, Said, Service, serving

DAY = date(2024, 11, 6)
DONE = Outcome(claim=Claim.DONE)
#: The names of five processors, ours and the service's.
FIVE = {"tdza": "TDZAProcessor", "psza": "PSZAProcessor", "pdc": "PDCProcessor", "pcf": "PCFProcessor", "mlfs": "MLFSProcessor"}
RESULTS = Answer(
    results="results",
    processor="processor",
    status="status",
    means={"success": "done", "error": "failed", "exception": "failed", "busy": "transient"},
    error="error",
    signs=(
        Sign("declined", status=503, at="code", values=("DATA_INCOMPLETE",)),
        Sign("locked", at="stats.lock", values=("held",)),
        Sign("skipped", at="stats.rows", values=(0,)),
    ),
)
POLLED = Answer(status="state", means={"running": "running", "done": "done", "failed": "failed"}, error="error")
BODY = {
    "analysis_date": "{date}",
    "processors": "{processors}",
    "backfill_mode": True,
    "correlation_id": "{correlation_id}",
    "why": "{reason}, try {attempt}",
    "rows": "{has_rows}",
}


def spec(service: Service, **changed: Any) -> Http:
    given: dict[str, Any] = {"json": BODY, "answer": RESULTS, "together": "l4", "timeout": 5.0} | changed
    return Http(given.pop("url", f"{service.url}/process-date"), **given)


def call_of(http: Http, *names: str, days: tuple[date, ...] = (DAY,), run: str = "r12") -> Call:
    names = names or ("pdc",)
    table = Table(f"l4.{names[0]}", date="day", key=("player",))
    dates = DateSet.of(*days)
    return Call(
        batch=Batch(number=7, processors=names, dates=dates),
        processor=Processor(names[0], layer="l4", calendar="nba", writes=table, run=http, complete_when=Rows()),
        spec=http,
        specs={name: replace(http, known_as=FIVE[name]) for name in names},
        question=TableQuestion(processor=names[0], table=table, span=dates.span),
        tables={names[0]: table},
        occasion=Occasion(run=run, run_key=f"{run} here", attempt=2, reasons=("missing",), has_rows=True),
    )


@pytest.fixture
def runner(tmp_path: Path) -> HttpRunner:
    return HttpRunner(CallFolders(tmp_path), {"TOKEN": "s3cr3t-t0ken", "NOTHING": ""})


def ask(runner: HttpRunner, http: Http, *names: str, **called: Any) -> dict[str, Outcome]:
    """Outcomes by processor, of a call of one date."""
    call = call_of(http, *names, **called)
    outcomes = runner.run(call).outcomes
    assert set(outcomes) == {Unit(name, day) for name in call.batch.processors for day in call.batch.dates}
    return {unit.processor: outcome for unit, outcome in outcomes.items()}


def results(**status: Any) -> dict[str, Any]:
    """A service's answer, from ``pdc="success"`` or ``pdc={"status": …}``."""
    said = [(FIVE[name], {"status": each} if isinstance(each, str) else each) for name, each in status.items()]
    return {"status": "completed", "results": [{"processor": name, **each} for name, each in said]}


def lost(failure: Failure, why: str, retry_after: float | None = None) -> Outcome:
    return Outcome(claim=Claim.FAILED, failure=failure, why=why, retry_after=retry_after)


def test_what_is_sent_is_filled_in_from_the_call(runner: HttpRunner) -> None:
    with serving(Said(body=results(pdc="success", pcf="success"))) as service:
        assert ask(runner, spec(service), "pdc", "pcf") == {"pdc": DONE, "pcf": DONE}
        again = call_of(spec(service), "pdc", "pcf")
        runner.run(replace(again, occasion=replace(again.occasion, attempt=3)))
        runner.run(replace(again, occasion=replace(again.occasion, run="r13", run_key="r13 here")))
    first, second, other = service.asked
    assert (first.method, first.path) == ("POST", "/process-date")
    assert {name: value for name, value in first.body.items() if name != "correlation_id"} == {
        "analysis_date": "2024-11-06",
        "processors": ["PDCProcessor", "PCFProcessor"],
        "backfill_mode": True,
        "why": "missing, try 2",
        "rows": True,
    }
    assert first.body["correlation_id"].startswith("r12-pdc-2024-11-06-")
    assert first.headers["X-Correlation-Id"] == first.body["correlation_id"] == second.body["correlation_id"]
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] != other.headers["Idempotency-Key"]


def test_a_200_that_carries_failures_fails_those_and_no_others(runner: HttpRunner) -> None:
    said = results(
        tdza="success",
        psza={"status": "error", "error": "no shots\nin zone 3"},
        pdc={"status": "success", "stats": {"rows": 0}},
        pcf={"status": "success", "stats": {"lock": "held"}},
        mlfs={"status": "weird"},
    )
    with serving(Said(body=said)) as service:
        assert ask(runner, spec(service), *FIVE) == {
            "tdza": DONE,
            "psza": lost(Failure.PERMANENT, "in zone 3"),
            "pdc": Outcome(claim=Claim.DONE, why="it was skipped there: 0"),
            "pcf": Outcome(claim=Claim.DONE, why="somebody else holds its lock: held"),
            "mlfs": lost(Failure.PERMANENT, 'status "weird", which the spec does not know'),
        }


def test_a_200_with_0_of_5(runner: HttpRunner) -> None:
    missing = lost(Failure.PERMANENT, "the service did not answer for it")
    with serving(Said(body=results())) as service:
        assert ask(runner, spec(service), *FIVE) == dict.fromkeys(FIVE, missing)


def test_names_that_the_service_dropped_and_names_that_nobody_asked_for(runner: HttpRunner) -> None:
    with serving(Said(body=results(pdc="success", mlfs="success"))) as service:
        said = ask(runner, spec(service), "pdc", "pcf")
    assert said == {"pdc": DONE, "pcf": lost(Failure.PERMANENT, "the service did not answer for it")}


def test_of_two_words_on_one_unit_the_worse_counts(runner: HttpRunner) -> None:
    twice = {"results": [*results(pdc="error")["results"], *results(pdc="success")["results"]]}
    with serving(Said(body=twice)) as service:
        assert ask(runner, spec(service)) == {"pdc": lost(Failure.PERMANENT, 'status "error"')}


def test_an_answer_for_several_dates(runner: HttpRunner) -> None:
    answer = Answer(results="days", date="day", status="ok", means={True: "done", False: "failed"})
    said = {"days": [{"day": "2024-11-06", "ok": True}, {"day": "2024-11-07T00:00:00Z", "ok": False}]}
    days = (DAY, date(2024, 11, 7), date(2024, 11, 8))
    with serving(Said(body=said)) as service:
        http = spec(service, json={"days": "{dates}"}, together=None, max_dates=3, answer=answer)
        outcomes = runner.run(call_of(http, days=days)).outcomes
    assert service.asked[0].body == {"days": ["2024-11-06", "2024-11-07", "2024-11-08"]}
    assert list(outcomes.values()) == [
        DONE,
        lost(Failure.PERMANENT, 'ok "false"'),
        lost(Failure.PERMANENT, "the service did not answer for it"),
    ]


@pytest.mark.parametrize(
    ("said", "failure", "why", "retry_after"),
    [
        (Said(429, {"error": "slow down"}, {"Retry-After": "7"}), Failure.TRANSIENT, "HTTP 429: slow down", 7.0),
        (Said(429, b"", {"Retry-After": "soon"}), Failure.TRANSIENT, "HTTP 429", None),
        (Said(500, b"Traceback\nKeyError: 'x'\n"), Failure.TRANSIENT, "HTTP 500: KeyError: 'x'", None),
        (Said(503, {"error": "burst"}), Failure.TRANSIENT, "HTTP 503: burst", None),
        (Said(504, b"upstream"), Failure.UNKNOWN, "HTTP 504: upstream", None),
        (Said(401, b"who?"), Failure.AUTH, "HTTP 401: who?", None),
        (Said(403, b"no"), Failure.PERMANENT, "HTTP 403: no", None),
        (Said(400, {"error": "no date"}), Failure.PERMANENT, "HTTP 400: no date", None),
        (Said(200, b"<html>gateway</html>"), Failure.UNKNOWN, 'HTTP 200: its answer is no JSON: "<html>gateway</html>"', None),
        (Said(200, {"other": []}), Failure.UNKNOWN, 'HTTP 200: its answer has no list at "results"', None),
        (Said(200, results(pdc="success"), fault=Fault.TRUNCATED), Failure.UNKNOWN, "HTTP 200: its answer broke off", None),
        (Said(202, b"{}"), Failure.UNKNOWN, 'HTTP 202: its answer has no list at "results"', None),
        (Said(302, b"", {"Location": "/x"}), Failure.PERMANENT, "HTTP 302: it sends us elsewhere, and redirects", None),
    ],
)
def test_a_call_that_fails_as_a_whole(
    runner: HttpRunner, said: Said, failure: Failure, why: str, retry_after: float | None
) -> None:
    with serving(said) as service:
        (outcome,) = ask(runner, spec(service)).values()
        assert len(service.asked) == 1
    assert (outcome.claim, outcome.failure, outcome.retry_after) == (Claim.FAILED, failure, retry_after)
    assert outcome.why.startswith(why)


def test_a_body_says_what_a_status_means(runner: HttpRunner) -> None:
    with serving(Said(503, {"code": "DATA_INCOMPLETE", "error": "9 of 15 games"})) as service:
        assert ask(runner, spec(service)) == {"pdc": Outcome(claim=Claim.DECLINED, why="HTTP 503: 9 of 15 games")}
        statuses: Mapping[int, Any] = {503: "failed"}
        assert ask(runner, spec(service, answer=None, statuses=statuses))["pdc"].failure is Failure.PERMANENT


def test_without_an_answer_to_read_every_2xx_is_a_claim(runner: HttpRunner) -> None:
    with serving(Said(204)) as service:
        assert ask(runner, spec(service, answer=None)) == {"pdc": DONE}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.RESET, "sent, and "),
        (Fault.HANG, "sent, and no answer within 0.2 s"),
        (Fault.STALL, "sent, and no answer within 0.2 s"),
    ],
)
def test_where_the_answer_is_lost_nobody_knows_what_happened(runner: HttpRunner, fault: Fault, why: str) -> None:
    with serving(Said(body=results(pdc="success"), fault=fault)) as service:
        (outcome,) = ask(runner, spec(service, timeout=0.2)).values()
    assert (outcome.failure, len(service.asked)) == (Failure.UNKNOWN, 1)
    assert outcome.why.startswith(why)


def test_a_refused_connection_is_tried_again_and_was_never_sent(runner: HttpRunner) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    (outcome,) = ask(runner, Http(url, json=BODY, timeout=5.0)).values()
    assert outcome == lost(Failure.TRANSIENT, "no connection to 127.0.0.1: Connection refused")


def polled(service: Service, **changed: Any) -> Http:
    poll = Poll(f"{service.url}/status/{{answer:job.id}}", every=0.01, within=5.0, answer=POLLED)
    return spec(service, **{"answer": POLLED, "poll": poll} | changed)


def job(*said: Said) -> Callable[[Asked, int], Said]:
    """Accepts with 202, and then says one thing after the other, the last for ever."""

    def answer(asked: Asked, before: int) -> Said:
        return Said(202, {"job": {"id": 9}}) if asked.method == "POST" else said[min(before, len(said) - 1)]

    return answer


def test_what_is_accepted_is_asked_after_until_it_is_done(runner: HttpRunner) -> None:
    running = Said(body={"state": "running"})
    faults = (Said(503), Said(200, b"oops"), Said(fault=Fault.RESET))
    with serving(job(running, *faults, running, Said(body={"state": "done"}))) as service:
        assert ask(runner, polled(service)) == {"pdc": DONE}
    assert [asked.path for asked in service.asked] == ["/process-date", *["/status/9"] * 6]
    with serving(job(running, Said(body={"state": "failed", "error": "no model"}))) as service:
        assert ask(runner, polled(service)) == {"pdc": lost(Failure.PERMANENT, "no model")}
    with serving(job(Said(404, b"no such job"))) as service:
        assert ask(runner, polled(service)) == {"pdc": lost(Failure.PERMANENT, "HTTP 404: no such job")}


def test_a_202_that_never_ends_is_given_up_in_time(runner: HttpRunner) -> None:
    with serving(job(Said(body={"state": "running"}))) as service:
        poll = Poll(f"{service.url}/status/{{answer:job.id}}", every=0.02, within=0.1, answer=POLLED)
        (outcome,) = ask(runner, polled(service, poll=poll)).values()
        assert outcome == lost(Failure.UNKNOWN, "accepted, and no end after 0.1 s: it is still at it")
        (outcome,) = ask(runner, polled(service, poll=replace(poll, within=60.0), timeout=1.0)).values()
        assert outcome.failure is Failure.UNKNOWN


def test_what_cannot_be_asked_after_is_unknown(runner: HttpRunner) -> None:
    with serving(Said(202, {"job": {}}, {"Location": "http://elsewhere.test/x"})) as service:
        (outcome,) = ask(runner, polled(service)).values()
        assert outcome == lost(Failure.UNKNOWN, 'accepted, and cannot be asked after: the answer holds nothing at "job.id"')
        (outcome,) = ask(runner, polled(service, poll=Poll("{location}"))).values()
        assert outcome == lost(Failure.UNKNOWN, "accepted, and cannot be asked after: it names another host to ask")
    with serving(Said(202, {"next": "http://127.0.0.1:1/x"})) as service:
        (outcome,) = ask(runner, polled(service, poll=Poll("{answer:next}"))).values()
        assert outcome == lost(Failure.UNKNOWN, "accepted, and cannot be asked after: it names another host to ask")


def test_a_secret_is_sent_and_shows_nowhere(runner: HttpRunner, tmp_path: Path) -> None:
    def echo(asked: Asked, _before: int) -> Said:
        return Said(400, {"error": f"bad {asked.headers['X-Token']} and {asked.body['key']}"})

    with serving(echo) as service:
        http = spec(service, headers={"X-Token": "Bearer ${TOKEN}"}, json={"key": "${TOKEN}"})
        (outcome,) = ask(runner, http).values()
    assert service.asked[0].headers["X-Token"] == "Bearer s3cr3t-t0ken"
    assert outcome.why == "HTTP 400: bad Bearer *** and ***"
    log = (tmp_path / "logs" / "r12" / "7.log").read_text(encoding="utf-8")
    assert '> {"key": "***"}' in log
    assert "s3cr3t" not in log


@pytest.mark.parametrize("secret", ["s3cr3t " * 60, 'pass"word\\é' * 40, "k" * 299])
def test_a_secret_that_is_cut_off_or_has_signs_of_its_own_shows_nowhere(runner: HttpRunner, tmp_path: Path, secret: str) -> None:
    runner = HttpRunner(runner.folders, {"TOKEN": secret})
    with serving(lambda asked, _before: Said(400, {"error": f"bad key {asked.body['key']}"})) as service:
        (outcome,) = ask(runner, spec(service, json={"key": "${TOKEN}"})).values()
    assert service.asked[0].body == {"key": secret}
    assert outcome.why.startswith("HTTP 400: bad key ***") and secret[:5] not in outcome.why
    assert secret[:5] not in (tmp_path / "logs" / "r12" / "7.log").read_text(encoding="utf-8")


def test_a_secret_does_not_go_over_plain_http_nor_after_a_redirect(runner: HttpRunner) -> None:
    (outcome,) = ask(runner, Http("http://${HOST}/x", headers={"X-Token": "${TOKEN}"})).values()
    assert outcome.why == "nothing was sent: environment variable HOST is not set"
    runner = HttpRunner(runner.folders, {"HOST": "example.test", "TOKEN": "s3cr3t-t0ken"})
    (outcome,) = ask(runner, Http("http://${HOST}/x", headers={"X-Token": "${TOKEN}"})).values()
    assert outcome == lost(Failure.PERMANENT, "nothing was sent: a secret would go to example.test over plain http. Use https")
    with serving(Said()) as elsewhere, serving(Said(307, b"", {"Location": f"{elsewhere.url}/x"})) as service:
        (outcome,) = ask(runner, spec(service, headers={"X-Token": "${TOKEN}"})).values()
    assert (outcome.failure, elsewhere.asked) == (Failure.PERMANENT, [])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"json": {"a": "${UNSET}"}}, "nothing was sent: environment variable UNSET is not set"),
        ({"json": {"a": "${NOTHING}"}}, "nothing was sent: environment variable NOTHING is empty"),
        ({"headers": {"X-A": "{run}"}, "json": None}, "nothing was sent: {run} is empty in this call"),
        ({"headers": {"X-A": "a\u0001"}, "json": None}, "nothing was sent: header X-A has signs in it that no header may have"),
        ({"url": "${TOKEN}/x"}, "nothing was sent: its address cannot be used"),
    ],
)
def test_what_cannot_be_filled_in_stops_before_the_call(runner: HttpRunner, changed: dict[str, Any], why: str) -> None:
    with serving(Said()) as service:
        (outcome,) = ask(runner, spec(service, **changed), run="").values()
    assert (outcome.failure, service.asked) == (Failure.PERMANENT, [])
    assert outcome.why.startswith(why)


def test_an_answer_counts_although_it_cannot_be_written_down(runner: HttpRunner, tmp_path: Path) -> None:
    def closes(_asked: Asked, _before: int) -> Said:
        log = tmp_path / "logs" / "r12" / "7.log"
        log.unlink()
        log.mkdir()
        return Said(body=results(pdc="success"))

    with serving(closes) as service:
        assert ask(runner, spec(service)) == {"pdc": DONE}
        (outcome,) = ask(runner, spec(service)).values()
    assert outcome.why.startswith("nothing was sent: ")
    assert len(service.asked) == 1


def test_values_in_an_address_are_quoted(runner: HttpRunner) -> None:
    with serving(Said()) as service:
        runner = HttpRunner(runner.folders, {"BASE": f"{service.url}/"})
        http = Http("${BASE}/x?why={reason}&day={date:%Y%m%d}", method="GET", timeout=5.0)
        call = call_of(http)
        call = replace(call, occasion=replace(call.occasion, reasons=("partial 5/7; a&b",)))
        assert list(runner.run(call).outcomes.values()) == [DONE]
    (asked,) = service.asked
    assert asked.path == "/x?why=partial%205%2F7%3B%20a%26b&day=20241106"
    assert "Idempotency-Key" not in asked.headers


@pytest.mark.parametrize("accepts", [False, True])
def test_a_stopped_run_waits_for_no_answer(runner: HttpRunner, accepts: bool) -> None:
    with ExitStack() as stack:
        hang = Said(fault=Fault.HANG)
        service = stack.enter_context(serving(job(Said(body={"state": "running"})) if accepts else hang))
        poll = Poll(f"{service.url}/status", every=60.0, within=600.0, answer=POLLED)
        came: list[Outcome] = []
        over = Event()

        def work() -> None:
            came.extend(ask(runner, spec(service, answer=POLLED, poll=poll, timeout=None)).values())
            over.set()

        thread = Thread(target=work)
        thread.start()
        assert service.came.wait(10)
        runner.close()
        assert over.wait(10)
        thread.join()
    assert came[0].failure is Failure.UNKNOWN
    assert came[0].why.endswith("for the run was stopped")
