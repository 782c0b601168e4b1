"""Which addresses a secret may go to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: The part of an address in which a name stands for where a service is, and for no secret.
_HOST = re.compile(r"(?:https?://)?[^/?#]*")
#: Headers that hold a secret, however it was put there.
SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key")


def is_private(url: str) -> bool:
    """Whether what is sent there can be read by no one on the way: https, or this machine itself. Raises ValueError."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def host_part(template: str) -> str:
    """What of an address says where it is, names in braces and all."""
    found = _HOST.match(template)
    return found[0] if found else ""


def audience(url: str) -> str:
    """Whom an identity token for an address is for: its scheme and host, with the port where it is not the usual one.

    Raises ValueError.
    """
    scheme, host, port = origin(url)
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}" + (f":{port}" if port not in (None, 443 if scheme == "https" else 80) else "")


def check_base(url: str) -> None:
    """Raises ValueError for what an address cannot begin with, if a path is to follow."""
    origin(url)
    if "?" in url or "#" in url:
        raise ValueError("what it begins with has a ? or # in it, and no path can follow that")


def origin(url: str) -> tuple[str, str, int | None]:
    """(scheme, host, port) of an address. Raises ValueError for one that has none of http and https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it does not begin with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it has a user in it. Send a header")
    return parts.scheme, parts.hostname, parts.port
