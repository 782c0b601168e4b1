"""A BigQuery of our own on loopback: it speaks what Google's client sends, and has the faults that are asked for.

with BigQueryServer("my-project") as server:
    server.engine.create("shop", "orders", HeldTable({"day": "DATE", "amount": "INT64"}, partition="day"))
    server.faults.append(Fault("jobs.insert", status=403, reason="rateLimitExceeded", times=2))
    ...  # api_endpoint = server.url
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backfill_core.testing.bigquery_engine import Answer, Engine, HeldTable, Refused
from backfill_core.testing.loopback import Loopback

_PAGE = 10_000
_ROOT = "/bigquery/v2/projects/"


@dataclass(slots=True)
class Fault:
    """Something that goes wrong on a route: ``jobs.insert``, ``jobs.get``, ``jobs.results``, ``jobs.cancel``, ``jobs.list``,
    ``jobs.query``, ``datasets.get``, ``tables.get``, ``tables.list``, or ``job`` for jobs that are taken and then fail.
    """

    route: str
    #: How often; none: for ever.
    times: int | None = 1
    status: int = 503
    reason: str = "backendError"
    message: str = "a fault that was asked for"
    retry_after: int | None = None
    #: Only requests whose body, or jobs whose text, has this in it.
    match: str = ""
    #: Seconds before the answer; alone, the answer then is the right one.
    slow: float = 0.0
    #: The connection is broken instead of an answer: before the request is carried out, or after it.
    reset: bool = False
    after: bool = False
    #: A job stays PENDING until this is set.
    hold: threading.Event | None = None
    seen: int = 0


@dataclass(slots=True)
class Job:
    """A job as the server keeps it."""

    id: str
    config: dict[str, Any]
    created: float
    state: str = "PENDING"
    answer: Answer = field(default_factory=Answer)
    error: Refused | None = None
    done: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    cursor: Any = None
    ended: float = 0.0
    #: Whose job it is: only whoever may see the jobs of all is told of another's.
    owner: str = ""

    @property
    def text(self) -> str:
        return str(self.config.get("query", {}).get("query", ""))


class BigQueryServer(Loopback):
    """Serves one engine's tables. A context manager, or `start` and `stop`."""

    def __init__(self, project: str = "local-cloud", *, location: str = "US", port: int = 0) -> None:
        self.engine = Engine(project, location)
        self.faults: list[Fault] = []
        self.jobs: dict[str, Job] = {}
        #: Every request that came: its route and its path.
        self.requests: list[tuple[str, str]] = []
        #: Permissions that the caller lacks: those on tables, and `bigquery.jobs.listAll`.
        self.denied: set[str] = set()
        #: How far the server's clock is ahead of ours, in seconds.
        self.skew = 0.0
        self.page = _PAGE
        self._lock = threading.Lock()
        server = self

        class Handler(_Handler):
            owner = server

        super().__init__(Handler, port)

    def stop(self) -> None:
        for job in list(self.jobs.values()):
            self._cancel(job)
        super().stop()
        self.engine.close()  # jobs stay: a late repeat of one is still a duplicate

    def sent(self, kind: str = "") -> list[Job]:
        """The jobs that were taken and are no dry runs, those whose id has ``kind`` in it."""
        return [job for job in self.jobs.values() if kind in job.id and not job.config.get("dryRun")]

    def fault(self, route: str, text: str) -> Fault | None:
        """The next fault of a route, counted as used."""
        with self._lock:
            for found in self.faults:
                if found.route == route and found.match in text and (found.times is None or found.seen < found.times):
                    found.seen += 1
                    return found
        return None

    def insert(self, body: Mapping[str, Any]) -> dict[str, Any]:
        config = dict(body["configuration"])
        given = body.get("jobReference", {})
        name = given.get("jobId") or f"job_{len(self.jobs)}_{time.monotonic_ns()}"
        if given.get("location", self.engine.location).lower() != self.engine.location.lower():
            raise Refused(404, "notFound", f"Not found: nothing is in location {given['location']}")
        job = Job(name, config, time.time())
        if config.get("dryRun"):
            query = config["query"]
            job.answer = self.engine.describe(query["query"], parameters(query))
            job.state = "DONE"
            return self.resource(job)
        with self._lock:
            if name in self.jobs:
                raise Refused(409, "duplicate", f"Already Exists: Job {self.engine.project}:{self.engine.location}.{name}")
            self.jobs[name] = job
        threading.Thread(target=self._run, args=(job,), daemon=True).start()
        job.done.wait(0.003)  # most are done at once, and whoever asks need not ask again
        return self.resource(job)

    def _run(self, job: Job) -> None:
        job.cursor = self.engine.cursor()
        try:
            self._await(job)
            job.state = "RUNNING"
            query = job.config["query"]
            given, limit = parameters(query), int(query.get("maximumBytesBilled", 0))
            job.answer = self.engine.carry_out(query["query"], given, job.cursor, most=limit)
        except Refused as refused:
            job.error = refused
        except Exception as error:  # a fault of this server's own, told as BigQuery would tell one of its
            job.error = Refused(500, "internalError", f"{type(error).__name__}: {error}")
        finally:
            if job.cancelled.is_set() and job.error is None and not job.answer.kind:
                job.error = _stopped()
            job.cursor.close()
            job.ended, job.state = time.time(), "DONE"
            job.done.set()

    def _await(self, job: Job) -> None:
        """Holds the job where that was asked for, and fails it where that was."""
        fault = self.fault("job", job.text)
        if fault is None:
            return
        if fault.hold is not None:
            while not fault.hold.wait(0.01) and not job.cancelled.is_set():
                pass
        elif fault.slow:
            job.cancelled.wait(fault.slow)
        else:
            raise Refused(fault.status, fault.reason, fault.message)
        if job.cancelled.is_set():
            raise _stopped()

    def _cancel(self, job: Job) -> None:
        job.cancelled.set()
        if job.cursor is not None and not job.done.is_set():
            with suppress(Exception):  # it ended in between
                job.cursor.interrupt()

    def cancel(self, name: str) -> dict[str, Any]:
        job = self.job(name)
        self._cancel(job)
        job.done.wait(1)
        return {"job": self.resource(job)}

    def job(self, name: str) -> Job:
        if name not in self.jobs:
            raise Refused(404, "notFound", f"Not found: Job {self.engine.project}:{name}")
        return self.jobs[name]

    def resource(self, job: Job) -> dict[str, Any]:
        """A job as jobs.get gives it."""
        status: dict[str, Any] = {"state": job.state}
        if job.error is not None:
            status["errorResult"] = {"reason": job.error.reason, "message": job.error.message}
            status["errors"] = [status["errorResult"]]
        query = {
            "totalBytesProcessed": str(job.answer.bytes),
            "totalBytesBilled": str(job.answer.bytes),
            "statementType": job.answer.kind,
            "schema": {"fields": job.answer.schema},
            "cacheHit": False,
        }
        times = {"creationTime": str(int((job.created + self.skew) * 1000)), "startTime": str(int(job.created * 1000))}
        return {
            "kind": "bigquery#job",
            "id": f"{self.engine.project}:{self.engine.location}.{job.id}",
            "jobReference": {"projectId": self.engine.project, "jobId": job.id, "location": self.engine.location},
            "configuration": {**job.config, "jobType": "QUERY"},
            "status": status,
            "state": job.state,
            "statistics": {**times, "query": query, "totalBytesProcessed": str(job.answer.bytes)},
        }

    def results(self, job: Job, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of a job's rows, as soon as there are any."""
        job.done.wait(min(float(asked.get("timeoutMs", 10_000)) / 1000, 10.0))
        reference = {"projectId": self.engine.project, "jobId": job.id, "location": self.engine.location}
        if not job.done.is_set():
            return {"jobReference": reference, "jobComplete": False}
        if job.error is not None:
            raise job.error
        answer, first = job.answer, int(asked.get("pageToken") or asked.get("startIndex") or 0)
        most = min(int(asked.get("maxResults") or self.page), self.page)
        page = answer.rows[first : first + most]
        micros = asked.get("formatOptions.useInt64Timestamp", "").lower() == "true"
        # An array that is NULL is told as one of nothing.
        arrays = [field.get("mode") == "REPEATED" for field in answer.schema]
        cells = [
            {
                "f": [
                    {"v": _cell([] if value is None and array else value, micros)}
                    for value, array in zip(row, arrays, strict=True)
                ]
            }
            for row in page
        ]
        found = {"jobReference": reference, "jobComplete": True, "schema": {"fields": answer.schema}, "cacheHit": False}
        found |= {"totalRows": str(len(answer.rows)), "rows": cells, "totalBytesProcessed": str(answer.bytes)}
        return found | ({"pageToken": str(first + most)} if first + most < len(answer.rows) else {})

    def listed(self, asked: Mapping[str, str]) -> dict[str, Any]:
        wanted, everybody = asked.get("stateFilter", "").upper(), asked.get("allUsers", "").lower() == "true"
        if everybody and "bigquery.jobs.listAll" in self.denied:
            raise Refused(403, "accessDenied", "Access Denied: User does not have bigquery.jobs.listAll permission")
        seen = [job for job in self.jobs.values() if everybody or not job.owner]
        return {"jobs": [self.resource(job) for job in seen if not wanted or job.state == wanted]}

    def query(self, body: Mapping[str, Any]) -> dict[str, Any]:
        query = {key: body[key] for key in ("query", "queryParameters", "maximumBytesBilled") if key in body}
        config = {"query": query, "labels": body.get("labels", {})}
        made = self.insert({"configuration": config, "jobReference": {"location": body.get("location", self.engine.location)}})
        return self.results(self.jobs[made["jobReference"]["jobId"]], {"timeoutMs": str(body.get("timeoutMs", 10_000))})

    def dataset(self, name: str) -> dict[str, Any]:
        if name not in self.engine.datasets:
            raise Refused(404, "notFound", f"Not found: Dataset {self.engine.project}:{name}")
        reference = {"projectId": self.engine.project, "datasetId": name}
        return {"datasetReference": reference, "location": self.engine.datasets[name], "id": f"{self.engine.project}:{name}"}

    def table(self, dataset: str, name: str) -> dict[str, Any]:
        if (dataset, name) not in self.engine.tables:
            raise Refused(404, "notFound", f"Not found: Table {self.engine.project}:{dataset}.{name}")
        return self._table(dataset, name, self.engine.tables[dataset, name])

    def _table(self, dataset: str, name: str, table: HeldTable) -> dict[str, Any]:
        fields = [{"name": column, "type": kind, "mode": "NULLABLE"} for column, kind in table.columns.items()]
        found: dict[str, Any] = {
            "tableReference": {"projectId": self.engine.project, "datasetId": dataset, "tableId": name},
            "type": "TABLE",
            "location": self.engine.datasets[dataset],
            "schema": {"fields": fields},
            "numRows": str(self.engine.count(dataset, name)),
        }
        if table.partition is not None:
            own = {} if table.partition.startswith("_PARTITION") else {"field": table.partition}
            ends = {"expirationMs": str(int(table.expires_days * 86_400_000))} if table.expires_days else {}
            found["timePartitioning"] = {"type": table.by, **own, **ends}
            found["requirePartitionFilter"] = table.require_filter
        if table.ends is not None:
            found["expirationTime"] = str(int(table.ends.timestamp() * 1000))
        return found

    def tables(self, dataset: str) -> dict[str, Any]:
        self.dataset(dataset)
        names = sorted(name for where, name in self.engine.tables if where == dataset)
        return {"tables": [self.table(dataset, name) for name in names], "totalItems": len(names)}

    def permissions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"permissions": [each for each in body.get("permissions", []) if each not in self.denied]}

    def make_dataset(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = body["datasetReference"]["datasetId"]
        if name in self.engine.datasets:
            raise Refused(409, "duplicate", f"Already Exists: Dataset {self.engine.project}:{name}")
        self.engine.create_dataset(name, body.get("location"))
        return self.dataset(name)


#: Each route: its name, method, path below the project, and what answers it from path parts, query and body.
_Answerer = Callable[[BigQueryServer, tuple[str, ...], Mapping[str, str], Mapping[str, Any]], dict[str, Any]]
_ROUTES: tuple[tuple[str, str, str, _Answerer], ...] = (
    ("jobs.insert", "POST", r"jobs", lambda server, _p, _q, body: server.insert(body)),
    ("jobs.list", "GET", r"jobs", lambda server, _p, asked, _b: server.listed(asked)),
    ("jobs.cancel", "POST", r"jobs/([^/]+)/cancel", lambda server, path, _q, _b: server.cancel(path[0])),
    ("jobs.get", "GET", r"jobs/([^/]+)", lambda server, path, _q, _b: server.resource(server.job(path[0]))),
    ("jobs.query", "POST", r"queries", lambda server, _p, _q, body: server.query(body)),
    ("jobs.results", "GET", r"queries/([^/]+)", lambda server, path, asked, _b: server.results(server.job(path[0]), asked)),
    ("datasets.insert", "POST", r"datasets", lambda server, _p, _q, body: server.make_dataset(body)),
    ("datasets.get", "GET", r"datasets/([^/]+)", lambda server, path, _q, _b: server.dataset(path[0])),
    ("tables.list", "GET", r"datasets/([^/]+)/tables", lambda server, path, _q, _b: server.tables(path[0])),
    (
        "tables.testIamPermissions",
        "POST",
        r"datasets/([^/]+)/tables/([^/:]+):testIamPermissions",
        lambda server, _p, _q, body: server.permissions(body),
    ),
    ("tables.get", "GET", r"datasets/([^/]+)/tables/([^/:]+)", lambda server, path, _q, _b: server.table(*path)),
)


def parameters(query: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """The named parameters of a query: GoogleSQL type and value."""
    found = {}
    for each in query.get("queryParameters", ()):
        kind, value = each["parameterType"], each.get("parameterValue", {})
        if kind["type"] == "ARRAY":
            inner = kind["arrayType"]["type"]
            values = [_value(inner, item.get("value")) for item in value.get("arrayValues", ())]
            found[each["name"]] = (f"ARRAY<{inner}>", values)
        else:
            found[each["name"]] = (kind["type"], _value(kind["type"], value.get("value")))
    return found


def _value(kind: str, text: Any) -> Any:
    if text is None:
        return None
    match kind:
        case "INT64":
            return int(text)
        case "FLOAT64":
            return float(text)
        case "BOOL":
            return str(text).lower() == "true"
        case "DATE":
            return date.fromisoformat(text)
        case "TIMESTAMP":
            found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        case _:
            return text


def _cell(value: Any, micros: bool) -> Any:
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return [{"v": _cell(each, micros)} for each in value]
        case datetime() if value.tzinfo is not None:
            since = value - datetime(1970, 1, 1, tzinfo=UTC)
            whole = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
            return str(whole) if micros else repr(whole / 1e6)
        case date() | datetime():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case float():
            return repr(value)
        case Decimal() | int() | str():
            return str(value)
        case _:
            return json.dumps(value, default=str)


def _stopped() -> Refused:
    return Refused(400, "stopped", "Job execution was cancelled: User requested cancellation")


class _Handler(BaseHTTPRequestHandler):
    """One request: a fault if one was asked for, else the route's answer."""

    owner: BigQueryServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's signature)
        """Says nothing: tests look at ``requests``."""

    def _serve(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        for name, verb, pattern, answer in _ROUTES:
            found = re.fullmatch(re.escape(_ROOT) + r"([^/]+)/" + pattern, url.path) if verb == method else None
            if found:
                self.owner.requests.append((name, url.path))
                path = tuple(map(unquote, found.groups()[1:]))
                asked = {key: values[-1] for key, values in parse_qs(url.query).items()}
                self._answer(name, raw.decode(), lambda: answer(self.owner, path, asked, json.loads(raw or b"{}")))  # noqa: B023
                return
        self._send(404, {"error": _error(Refused(404, "notFound", f"no route {method} {url.path}"))})

    def _answer(self, route: str, text: str, answer: Callable[[], dict[str, Any]]) -> None:
        fault = self.owner.fault(route, text)
        if fault is not None and fault.slow:
            time.sleep(fault.slow)
        elif fault is not None and fault.reset:
            if fault.after:
                with suppress(Refused):
                    answer()
            self._reset()
            return
        elif fault is not None:
            body = {"error": _error(Refused(fault.status, fault.reason, fault.message))}
            self._send(fault.status, body, fault.retry_after)
            return
        try:
            self._send(200, answer())
        except Refused as refused:
            self._send(refused.status, {"error": _error(refused)})

    def _send(self, status: int, body: Mapping[str, Any], retry_after: int | None = None) -> None:
        data = json.dumps(body).encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked did not wait
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            if retry_after is not None:
                self.send_header("Retry-After", str(retry_after))
            self.end_headers()
            self.wfile.write(data)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.owner.skew)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def _error(refused: Refused) -> dict[str, Any]:
    errors = [{"message": refused.message, "domain": "global", "reason": refused.reason}]
    return {"code": refused.status, "message": refused.message, "errors": errors}
