"""The requests that an `Http` spec comes to, and the texts in them that show nowhere."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from urllib.parse import quote, urljoin

from backfill_core.adapters.http_wire import Request
from backfill_core.model.hosts import check_base, host_part, is_private, origin
from backfill_core.model.http import Http, Poll
from backfill_core.model.spec_validity import has_secret
from backfill_core.model.templates import VARIABLE, Pieces, environment_names, fill, fill_text
from backfill_core.replies import Reply


def request_of(spec: Http, pieces: Pieces) -> Request:
    """The request of a call. Raises TemplateError, and ValueError for an address that is none."""
    url = _url(spec.url, pieces)
    headers = {"Accept": "application/json", "X-Correlation-Id": "{correlation_id}"}
    if spec.method != "GET":
        headers["Idempotency-Key"] = "{idempotency_key}"
    body = None
    if spec.json is not None:
        body = json.dumps(fill(spec.json, pieces), ensure_ascii=False).encode()
        headers["Content-Type"] = "application/json"
    return Request(method=spec.method, url=url, headers=_headers(headers, spec, pieces), body=body)


def question_of(spec: Http, poll: Poll, pieces: Pieces, *, asked: str, accepted: Reply) -> Request:
    """How to ask after a call that was sent to ``asked`` and accepted. Raises ValueError."""
    try:
        found = accepted.json()
    except ValueError:
        found = None
    where = urljoin(asked, accepted.location) if accepted.location else None
    pieces = Pieces({**pieces.values, "location": where}, pieces.environment, found)
    url = _url(poll.url, pieces)
    host = host_part(poll.url)
    # An answer may say what to ask for, never whom: that would send our headers wherever it likes.
    if ("{location}" in host or "{answer:" in host) and origin(url) != origin(asked):
        raise ValueError("it names another host to ask")
    headers = {"Accept": "application/json", "X-Correlation-Id": "{correlation_id}"}
    return Request(method="GET", url=url, headers=_headers(headers, spec, pieces))


def with_identity(request: Request, token: str) -> Request:
    """The request as somebody sends it whom an identity token names."""
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})


def check_private(url: str, spec: Http, secrets: Collection[str]) -> None:
    """Raises ValueError where a secret could be read on its way."""
    if (has_secret(spec) or any(secrets)) and not is_private(url):
        raise ValueError(f"a secret would go to {origin(url)[1]} over plain http. Use https")


def secrets_of(spec: Http, environment: Mapping[str, str]) -> list[str]:
    """What shows nowhere: each environment variable that the spec names, but for those that say where the service is."""
    urls = [spec.url, spec.poll.url if spec.poll else ""]
    hosts = environment_names([host_part(url) for url in urls], (VARIABLE,))
    sent = [environment.get(name, "") for name in environment_names([spec.headers, spec.json])]
    named = {name: environment.get(name, "") for name in environment_names(urls)}
    return [*sent, *(value for name, value in named.items() if name not in hosts or "@" in value or "?" in value)]


def _headers(usual: Mapping[str, str], spec: Http, pieces: Pieces) -> dict[str, str]:
    """The usual headers and the spec's own, which win. A usual one without a value is left out."""
    own = {name.lower() for name in spec.headers}
    given = {name: value for name, value in usual.items() if name.lower() not in own}
    filled = {}
    for name, value in given.items():
        if "{" not in value or pieces.values.get(value.strip("{}")):
            filled[name] = fill_text(value, pieces)
    filled |= {name: fill_text(value, pieces) for name, value in spec.headers.items()}
    for name, value in filled.items():
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"header {name} has signs in it that no header may have")
    return filled


def _url(template: str, pieces: Pieces) -> str:
    """An address filled in, each value in it quoted but for one that it begins with. Raises ValueError."""
    begins = template.startswith(("${", "{location}", "{answer:"))
    first, brace, rest = template.partition("}") if begins else ("", "", template)
    head = fill_text(first + brace, pieces).rstrip("/") if begins and rest.startswith("/") else fill_text(first + brace, pieces)
    url = head + fill_text(rest, pieces, lambda value: quote(value, safe=""))
    try:
        if begins and rest.startswith("/"):
            check_base(head)
        origin(url)
    except ValueError as error:
        raise ValueError(f"its address cannot be used: {error}") from error
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("its address has signs in it that no address may have")
    return url
