"""A service on loopback, as Cloud Run puts it before its callers: identity, instances, a queue, and faults of the wire."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from backfill_core.testing.loopback import Loopback
from backfill_core.testing.service_faults import Faults, ServiceFault, Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The body, read as JSON; None: there was none.
    body: Any = None
    #: The body as it came.
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer."""

    status: int = 200
    #: Sent as JSON.
    body: Any = None
    retry_after: int | None = None


class Answering(Protocol):
    """What stands behind a server."""

    def answer(self, asked: Asked, fault: ServiceFault | None) -> Said:
        """Does what is asked. ``fault`` is a trouble that is not one of the wire."""

    def knows(self, asked: Asked) -> bool:
        """Whether there is anything at that address. Whoever asks for something else meets no fault."""

    def takes_a_place(self, asked: Asked) -> bool:
        """Whether it keeps an instance busy."""

    def stop(self) -> None:
        """Gives up what is under way."""


#: Why a request with that Authorization header is not let in; empty: it is.
Refuses = Callable[[str | None], str]

#: Troubles that a server makes by itself; what stands behind it makes the others.
_OF_THE_WIRE = (Trouble.STATUS, Trouble.SLOW, Trouble.RESET, Trouble.TRUNCATED)


class ServiceServer(Loopback):
    """Serves on a port of this machine. A context manager, or `start` and `stop`."""

    def __init__(
        self,
        behind: Answering,
        *,
        port: int = 0,
        places: int | None = 5,
        queue: float = 10.0,
    ) -> None:
        """``places`` requests are served at once; one more waits for ``queue`` seconds and is then refused with 429."""
        self.behind = behind
        #: Looks at identities; None: everybody may call.
        self.refuses: Refuses | None = None
        self.queue = queue
        self.faults = Faults()
        #: Every request that was let in, and that there is something for.
        self.requests: list[Asked] = []
        #: Most requests that were served at once.
        self.most = 0
        #: Set when the server stops: what takes long gives up.
        self.over = threading.Event()
        self._places = threading.Semaphore(places) if places else None
        self._busy, self._lock = 0, threading.Lock()
        server = self

        class Handler(_Handler):
            owner = server

        super().__init__(Handler, port)

    def stop(self) -> None:
        self.over.set()
        self.behind.stop()
        super().stop()

    def refused(self, authorization: str | None) -> Said | None:
        """What somebody is told who is not let in."""
        why = self.refuses(authorization) if self.refuses else ""
        return Said(status=401, body={"error": why}) if why else None

    def serve(self, asked: Asked, fault: ServiceFault | None) -> Said:
        """The answer to a request that was let in, once there is a place for it."""
        if self._places is None or not self.behind.takes_a_place(asked):
            return self.behind.answer(asked, fault)
        if not self._places.acquire(timeout=self.queue):
            return Said(status=429, body={"error": "no instance is free"})
        try:
            with self._lock:
                self._busy += 1
                self.most = max(self.most, self._busy)
            return self.behind.answer(asked, fault)
        finally:
            with self._lock:
                self._busy -= 1
            self._places.release()


class _Handler(BaseHTTPRequestHandler):
    owner: ServiceServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's signature)
        """Says nothing: tests look at ``requests``."""

    def _serve(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        refused = self.owner.refused(self.headers.get("Authorization"))
        if refused is not None:
            self._send(refused)
            return
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            body = json.loads(text) if text else None
        except ValueError:
            self._send(Said(status=400, body={"error": "the body is no JSON"}))
            return
        asked = Asked(method=self.command, path=url.path, query=query, headers=dict(self.headers), body=body, text=text)
        if not self.owner.behind.knows(asked):
            self._send(Said(status=404, body={"error": f"nothing is at {asked.method} {asked.path}"}))
            return
        self.owner.requests.append(asked)
        fault = self.owner.faults.next(text or self.path)
        if fault is not None and fault.trouble is Trouble.STATUS:
            said = Said(status=fault.status, body={"error": "a fault that was asked for"}, retry_after=fault.retry_after)
            self._send(said)
            return
        if fault is not None and fault.trouble is Trouble.SLOW:
            self.owner.over.wait(fault.seconds)
        of_the_wire = fault is not None and fault.trouble in _OF_THE_WIRE
        said = self.owner.serve(asked, None if of_the_wire else fault)
        if fault is not None and fault.trouble is Trouble.RESET:
            self._reset()
            return
        self._send(said, truncated=fault is not None and fault.trouble is Trouble.TRUNCATED)

    def _send(self, said: Said, *, truncated: bool = False) -> None:
        data = json.dumps(said.body).encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked did not wait
            self.send_response(said.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if said.retry_after is not None:
                self.send_header("Retry-After", str(said.retry_after))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if truncated else data)
            self.close_connection = self.close_connection or truncated

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
