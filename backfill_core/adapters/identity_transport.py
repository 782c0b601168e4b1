"""How Google's libraries send what they ask for tokens: in bounded time, to nobody else, and into no log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from google.auth import transport

from backfill_core.adapters.identity_tokens import NoIdentityError
from backfill_core.replies import words_of

#: Seconds that one request may take, and how often one that gets no answer is sent.
_TIMEOUT = 10.0
_TRIES = 3
#: Where a metadata server has what it knows, and where Google has one: reached from inside a machine of theirs.
_METADATA = "/computeMetadata/"
METADATA_HOSTS = ("metadata.google.internal", "169.254.169.254")


class _Answer(transport.Response):
    """An answer as the library wants it."""

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content


class Transport(transport.Request):
    """What credentials of Google's are refreshed with. It waits a second for a server that is ill, where the library's own
    would wait minutes, and follows no redirects.
    """

    def __init__(self, metadata_host: str | None) -> None:
        """``metadata_host``: where the metadata server is, if not where Google has it."""
        self.metadata_host = metadata_host
        #: Whether anybody was asked, and what the last one said who gave nothing.
        self.asked = False
        self.refused = ""
        #: Google's library finds it by this name, and makes it fit for a metadata server that wants a certificate.
        self.session = requests.Session()

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def __deepcopy__(self, _: object) -> Transport:
        """The library would ask something else beside, from a thread that nobody ends, and does without where it has no copy."""
        raise TypeError("what asks for a token asks for nothing beside")

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        """Raises NoIdentityError where no answer comes."""
        from tenacity import (
            RetryError,
            Retrying,
            retry_any,
            retry_if_exception_type,
            retry_if_result,
            stop_after_attempt,
            wait_exponential,
        )

        parts = urlsplit(url)
        if self.metadata_host and (parts.path.startswith(_METADATA) or parts.hostname in METADATA_HOSTS):
            url = urlunsplit(("http", self.metadata_host, parts.path, parts.query, ""))
        within = min(timeout or _TIMEOUT, _TIMEOUT)
        again = retry_any(retry_if_exception_type(requests.RequestException), retry_if_result(_ill))
        tries = _TRIES if parts.path.strip("/") else 1  # the other one asks whether there is a server at all
        try:
            answer = Retrying(retry=again, stop=stop_after_attempt(tries), wait=wait_exponential(0.1, max=0.5))(
                self._send, method, url, body, headers, within
            )
        except RetryError as error:
            host = urlsplit(url).netloc
            failed = error.last_attempt
            why = "no connection" if failed.failed else f"HTTP {failed.result().status_code}"
            if failed.failed and isinstance(failed.exception(), requests.Timeout):
                why = f"no answer within {within:g} s"
            raise NoIdentityError(f"{host}, which gives them: {why}") from None
        self.asked = True
        if answer.status_code >= 300:
            self.refused = f"{urlsplit(url).netloc}, which gives them: HTTP {answer.status_code}{_said(answer.text)}"
        return _Answer(answer)

    def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None, within: float
    ) -> requests.Response:
        # What goes in plain text stays away from proxies.
        self.session.trust_env = urlsplit(url).scheme == "https"
        return self.session.request(method, url, data=body, headers=dict(headers or {}), timeout=within, allow_redirects=False)


def _said(text: str) -> str:
    """What an answer that gives nothing says in words."""
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            error = found.get("error_description") or found.get("error")
            text = str(error.get("message") if isinstance(error, dict) else error or text)
    words = words_of(text)
    return f": {words}" if words else ""


def _ill(answer: requests.Response) -> bool:
    return answer.status_code == 429 or answer.status_code >= 500
