"""A service on loopback that answers as a test says, with faults on demand, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any


class Fault(Enum):
    #: The connection is reset instead of an answer.
    RESET = "reset"
    #: Less comes than was announced.
    TRUNCATED = "truncated"
    #: The answer never comes; the connection stays.
    HANG = "hang"
    #: The head of the answer comes, and its body never does.
    STALL = "stall"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Said:
    status: int = 200
    #: Sent as JSON, bytes as they are.
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass
class Service:
    """Answers with what ``answer`` gives for a request and how often that path was asked before, from 0 on."""

    answer: Callable[[Asked, int], Said]
    asked: list[Asked] = field(default_factory=list)
    #: Requests that see whether it is there, and what it says to them: it does no work for them.
    probes: list[Asked] = field(default_factory=list)
    probed: Callable[[Asked], Said] = field(default=lambda _asked: Said(404))
    over: Event = field(default_factory=Event)
    came: Event = field(default_factory=Event)
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def take(self, asked: Asked) -> Said:
        if asked.path == "/robots.txt":
            self.probes.append(asked)
            return self.probed(asked)
        with self.lock:
            before = sum(each.path == asked.path for each in self.asked)
            self.asked.append(asked)
        self.came.set()
        return self.answer(asked, before)


@contextmanager
def serving(answer: Callable[[Asked, int], Said] | Said, tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """The service, up on a free port of this machine."""
    service = Service((lambda _asked, _before: answer) if isinstance(answer, Said) else answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            said = service.take(Asked(self.command, self.path, dict(self.headers), body))
            _say(self, said, service)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815  (the library's names)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.disable_nagle_algorithm = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    service.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _say(handler: BaseHTTPRequestHandler, said: Said, service: Service) -> None:
    handler.close_connection = True
    if said.fault is Fault.RESET:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return
    if said.fault is Fault.HANG:
        service.over.wait()
        return
    body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
    handler.send_response(said.status)
    for name, value in said.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if said.fault is Fault.STALL:
        handler.wfile.flush()
        service.over.wait()
        return
    handler.wfile.write(body[: len(body) // 2] if said.fault is Fault.TRUNCATED else body)
