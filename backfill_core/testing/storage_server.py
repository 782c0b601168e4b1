"""A Cloud Storage of our own on loopback: the objects of one bucket, which are the files below a folder.

with StorageServer("my-bucket", folder, prefix="landing") as storage:
    storage.faults.append(Fault("objects.list", status=503, times=2))  # or objects.get
    ...  # landing = "gs://my-bucket/landing", storage_endpoint = storage.url
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backfill_core.testing.bigquery_server import Fault
from backfill_core.testing.loopback import Loopback


class StorageServer(Loopback):
    """A context manager, or `start` and `stop`. Faults may be added while it serves."""

    def __init__(self, bucket: str, folder: Path, *, prefix: str = "", port: int = 0) -> None:
        self.bucket = bucket
        self.folder = folder
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.faults: list[Fault] = []
        #: Every request that came: its route, and the prefix or the object that it was about.
        self.requests: list[tuple[str, str]] = []
        #: Objects that are listed in one answer.
        self.page = 1000
        super().__init__(_handler(self), port)

    def answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        root = f"/storage/v1/b/{self.bucket}/o"
        if parts.path == root:
            return self._told("objects.list", asked.get("prefix", "")) or (200, self._listed(asked))
        if parts.path.startswith(f"{root}/") and asked.get("alt") == "media":
            name = unquote(parts.path.removeprefix(f"{root}/"))
            file = self.folder / name.removeprefix(self.prefix)
            told = self._told("objects.get", name)
            if told is None and name.startswith(self.prefix) and file.is_file():
                return 200, file.read_bytes()
            return told or _error(404, f"No such object: {self.bucket}/{name}")
        return _error(404, "The specified bucket does not exist.")

    def _told(self, route: str, about: str) -> tuple[int, bytes] | None:
        self.requests.append((route, about))
        for fault in self.faults:
            if fault.route == route and fault.match in about and (fault.times is None or fault.seen < fault.times):
                fault.seen += 1
                sleep(fault.slow)
                return (0, b"") if fault.reset else None if fault.slow else _error(fault.status, fault.message)
        return None

    def _listed(self, asked: dict[str, str]) -> bytes:
        found = {
            f"{self.prefix}{file.relative_to(self.folder).as_posix()}": file for file in self.folder.rglob("*") if file.is_file()
        }
        names = sorted(name for name in found if name.startswith(asked.get("prefix", "")) and name > asked.get("pageToken", ""))
        items = [{"name": name, "updated": _written(found[name])} for name in names[: self.page]]
        page: dict[str, Any] = {"kind": "storage#objects", "items": items}
        if len(names) > self.page:
            page["nextPageToken"] = names[self.page - 1]
        return json.dumps(page).encode()


def _written(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"code": status, "message": message}}).encode()


def _handler(server: StorageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            status, body = server.answer(self.path)
            if not status:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
