"""One request and its reply over HTTP, with a word on what is known where none comes.

The standard library's client, for it connects and sends in two steps: whether anything had been sent decides whether a failure
may be repeated without a look.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from time import monotonic
from urllib.parse import urlsplit

from backfill_core.replies import Reply, retry_seconds

#: Bytes of an answer that are read at most.
MOST_BYTES = 16 * 1024 * 1024
#: Seconds in which a connection must stand.
CONNECT = 10.0
_CHUNK = 65_536


class NotSentError(Exception):
    """Nothing reached the service: the connection was refused, or there is no such host."""


class NoReplyError(Exception):
    """The request was sent, at least in part, and no reply came."""


class LateError(NoReplyError):
    """No reply came in the time there was."""


class StoppedError(Exception):
    """Whoever runs this wants no more of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = None


class Wire:
    """Connections under way, each for one request. Used from several threads at once."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._open: set[HTTPConnection] = set()

    def send(self, request: Request, limit: float | None) -> Reply:
        """The reply to a request, whatever its status. ``limit`` are seconds that all of it may take.

        Raises NotSentError, NoReplyError, LateError, StoppedError; ValueError for what cannot be sent at all.
        """
        until = None if limit is None else monotonic() + limit
        connection = self._connect(request.url, until)
        try:
            parts = urlsplit(request.url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            # One request a connection: an idle one may be closed by the other end just as the next request leaves.
            headers = {**request.headers, "Connection": "close"}
            connection.request(request.method, target, request.body, headers)
            _hurry(connection, until)
            response = connection.getresponse()
            return self._read(connection, response, until)
        except (OSError, HTTPException) as error:
            if self.closed.is_set():
                raise StoppedError from error
            if isinstance(error, TimeoutError):
                raise LateError from error
            raise NoReplyError(_words(error)) from error
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def close(self) -> None:
        """Ends what is under way."""
        self.closed.set()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _connect(self, url: str, until: float | None) -> HTTPConnection:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        wait = CONNECT if until is None else max(0.001, min(CONNECT, until - monotonic()))
        connection = kind(parts.hostname or "", parts.port, timeout=wait)
        with self._lock:
            if self.closed.is_set():
                raise StoppedError
            self._open.add(connection)
        try:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _hurry(connection, until)
        except OSError as error:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            raise NotSentError(f"no connection to {parts.hostname}: {_words(error)}") from error
        return connection

    def _read(self, connection: HTTPConnection, response: HTTPResponse, until: float | None) -> Reply:
        announced, body, truncated = response.length, bytearray(), False
        try:
            while len(body) <= MOST_BYTES and (announced is None or len(body) < announced):
                _hurry(connection, until)
                chunk = response.read1(_CHUNK)
                if not chunk:
                    break
                body += chunk
            truncated = len(body) > MOST_BYTES or len(body) < (announced or 0)
        except TimeoutError:
            raise
        except IncompleteRead as error:
            body += error.partial
            truncated = True
        except OSError:
            truncated = True
        if self.closed.is_set():
            raise StoppedError
        return Reply(
            status=response.status,
            body=bytes(body),
            truncated=truncated,
            retry_after=retry_seconds(response.getheader("Retry-After"), datetime.now(UTC)),
            location=response.getheader("Location") or "",
        )


def _hurry(connection: HTTPConnection, until: float | None) -> None:
    """Leaves the next step of a connection no more time than there is. Raises TimeoutError when there is none."""
    left = None if until is None else until - monotonic()
    if left is not None and left <= 0:
        raise TimeoutError
    if connection.sock is not None:
        connection.sock.settimeout(left)


def _words(error: OSError | HTTPException) -> str:
    if isinstance(error, HTTPException):
        return f"the connection was lost ({type(error).__name__})"
    return error.strerror or str(error) or type(error).__name__
