"""A metadata server of our own on loopback: Google's libraries get identity tokens from it, with the faults that are asked for.

with MetadataServer() as metadata:
    os.environ |= metadata.environment  # or metadata_host = metadata.host in a target's settings
    metadata.refuses = 403
    ...  # a service asks: metadata.check(headers.get("Authorization"), "https://its.address")
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backfill_core.testing.loopback import Loopback

_ROOT = "/computeMetadata/v1/"
_ACCOUNT = _ROOT + "instance/service-accounts/"


@dataclass(slots=True)
class Given:
    """A token that was given out."""

    audience: str
    #: Seconds since 1970.
    ends: float
    account: str
    revoked: bool = False


class MetadataServer(Loopback):
    """Gives identity tokens as a metadata server does, as the token server of a key file, and as the one that impersonates.

    A context manager, or `start` and `stop`. Its faults are fields, which may be set while it serves.
    """

    def __init__(self, *, account: str = "runner@local-cloud.iam.gserviceaccount.com", port: int = 0) -> None:
        self.account = account
        #: Seconds that a token lasts.
        self.lifetime = 3600.0
        #: Instead of any token, this HTTP status; 0: none.
        self.refuses = 0
        #: Seconds before each answer.
        self.delay = 0.0
        #: Every token is for this audience, whatever was asked for; empty: for that one.
        self.audience = ""
        #: Audiences that were asked for, in order.
        self.asked: list[str] = []
        self._given: dict[str, Given] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        super().__init__(_handler(self), port)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Google's libraries find it, if they are set before one of them is loaded."""
        return {"GCE_METADATA_HOST": self.host, "GCE_METADATA_IP": self.host}

    def stop(self) -> None:
        self._stopped.set()
        super().stop()

    def check(self, authorization: str | None, audience: str) -> str:
        """Why a service with that audience does not take a request with that header; empty: it does."""
        kind, _, token = (authorization or "").partition(" ")
        with self._lock:
            given = self._given.get(token) if kind == "Bearer" else None
        if given is None:
            return "no identity token" if not authorization else "an identity token that nobody gave out"
        if given.revoked:
            return "the identity token was revoked"
        if given.ends <= time.time():
            return "the identity token has ended"
        return "" if given.audience == audience else f"the identity token is for {given.audience}, not for {audience}"

    def revoke(self) -> None:
        """No token that was given out is taken any more."""
        with self._lock:
            for given in self._given.values():
                given.revoked = True

    def tokens(self) -> list[str]:
        """Every token that was given out, the first first."""
        with self._lock:
            return list(self._given)

    def make_token(self, audience: str, account: str = "") -> str:
        """A token, as it would be given out now."""
        given = Given(self.audience or audience, time.time() + self.lifetime, account or self.account)
        claims = {
            "aud": given.audience,
            "email": given.account,
            "email_verified": True,
            "exp": int(given.ends),
            "iat": int(time.time()),
            "iss": "https://accounts.google.com",
            "sub": "1",
        }
        token = ".".join((_part({"alg": "RS256", "typ": "JWT"}), _part(claims), secrets.token_urlsafe(48)))
        with self._lock:
            self.asked.append(audience)
            self._given[token] = given
        return token

    def key_file(self, path: Path) -> Path:
        """Writes a key file of a service account whose tokens this server gives."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        info = {
            "type": "service_account",
            "client_email": self.account,
            "private_key": key.private_bytes(*form).decode(),
            "private_key_id": "1",
            "project_id": "local-cloud",
            "token_uri": f"http://{self.host}/token",
        }
        path.write_text(json.dumps(info), encoding="utf-8")
        return path

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and body: a text as it is, anything else as JSON."""
        self._stopped.wait(self.delay) if self.delay else None
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/":
            return 200, ""
        if parts.path == _ROOT + "project/project-id":
            return 200, "local-cloud"
        if parts.path == _ROOT + "universe/universe-domain":
            return 200, "googleapis.com"
        if self.refuses:
            return self.refuses, {"error": "refused", "error_description": "a fault that was asked for"}
        if method == "POST":
            return self._granted(parts.path, body)
        name, _, what = parts.path.removeprefix(_ACCOUNT).partition("/")
        if not parts.path.startswith(_ACCOUNT) or name not in ("default", self.account):
            return 404, "not found"
        if what == "identity" and "audience" in query:
            return 200, self.make_token(query["audience"])
        if what == "token":
            return 200, _access_token()
        if what == "" and "recursive" in query:
            return 200, {"aliases": ["default"], "email": self.account, "scopes": []}
        return 404, "not found"

    def _granted(self, path: str, body: bytes) -> tuple[int, Any]:
        """What a token server answers to a key file's holder, and to whoever acts as another account."""
        if path == "/token":
            grant = parse_qs(body.decode())
            claims = _claims(grant["assertion"][0])
            if "target_audience" not in claims:
                return 200, _access_token()
            return 200, {"id_token": self.make_token(claims["target_audience"], claims["iss"])}
        account, _, what = path.rpartition("/")[2].partition(":")
        if what == "generateIdToken":
            return 200, {"token": self.make_token(json.loads(body)["audience"], account)}
        return 404, {"error": "not found"}


def _handler(server: MetadataServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = server.answer(self.command, self.path, body)
            if self.path.startswith(_ROOT) and self.headers.get("Metadata-Flavor") != "Google":
                status, said = 403, "Missing Metadata-Flavor:Google header."
            sent = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/text" if isinstance(said, str) else "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = _serve  # noqa: N815  (the library's names)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _access_token() -> dict[str, Any]:
    return {"access_token": f"ya29.{secrets.token_urlsafe(32)}", "expires_in": 3600, "token_type": "Bearer"}


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
