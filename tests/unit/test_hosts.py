"""Which addresses a secret may go to, and whom an identity token for one is for."""

from __future__ import annotations

import pytest

from backfill_core.model.hosts import audience, host_part, is_private


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://l4-abc.a.run.app/process-date?x=1", "https://l4-abc.a.run.app"),
        ("https://L4-abc.a.run.app:443", "https://l4-abc.a.run.app"),
        ("https://l4.test:8443/x", "https://l4.test:8443"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("http://localhost:80", "http://localhost"),
    ],
)
def test_a_token_is_for_the_origin_of_the_address(url: str, meant: str) -> None:
    assert audience(url) == meant


@pytest.mark.parametrize("url", ["ftp://x/y", "/x", "https://me:pw@l4.test/x", "https://"])
def test_what_is_no_address_has_none(url: str) -> None:
    with pytest.raises(ValueError, match="it "):
        audience(url)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://l4.test/x", True),
        ("http://127.0.0.1:80/x", True),
        ("http://127.9.9.9/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://l4.test/x", False),
        ("http://127.0.0.1.evil.test/x", False),
        ("http://localhost.evil.test/x", False),
        ("http://127.0.0.1@evil.test/x", False),
        ("http://10.0.0.1/x", False),
    ],
)
def test_plain_http_is_private_on_this_machine_alone(url: str, private: bool) -> None:
    assert is_private(url) is private


def test_the_part_of_an_address_that_says_where() -> None:
    assert host_part("${BASE}/x/{date}") == "${BASE}"
    assert host_part("https://l4.test:1/x?a=${KEY}") == "https://l4.test:1"
