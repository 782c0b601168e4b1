"""Identity tokens for services: one an audience for all calls, renewed before it ends and where it was refused."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

#: Seconds in which a token must come.
WITHIN = 30.0
#: Seconds before its end in which a token is renewed, or half its life if that is less.
_EARLY = 225.0
#: Tokens in a stranger's words: of identity, and of access.
_TOKENS = re.compile(r"eyJ[\w-]+(?:\.[\w=-]*)*|ya29\.[\w.-]+")

#: What a token is made of, so that it can be sent.
_SENT = re.compile(r"[\w.=-]+", re.ASCII)


class NoIdentityError(Exception):
    """There is no token. The text says why and what to do about it, and holds nothing of one."""

    def __init__(self, why: str) -> None:
        super().__init__(scrubbed(why))


@dataclass(frozen=True, slots=True)
class Token:
    """An identity token, read and not checked: that is for the service that it is meant for."""

    text: str = field(repr=False)
    audience: str
    #: When it ends, in seconds since 1970.
    ends: float
    #: Whom it names; empty where it does not say.
    account: str = ""


#: Gets a token for an audience. Raises NoIdentityError.
Source = Callable[[str], Token]


class IdentityTokens:
    """The tokens of one source. Used from several threads at once."""

    def __init__(self, source: Source, now: Callable[[], float] = time.time) -> None:
        """``now`` gives seconds since 1970: that is what tokens end by."""
        self._source = source
        self._now = now
        self._lock = threading.Lock()
        #: By audience, with when it is renewed.
        self._held: dict[str, tuple[Token, float]] = {}
        #: What is being fetched: a token, or why there is none. All who want it wait for the same answer.
        self._coming: dict[str, Future[Token | str]] = {}

    def token(self, audience: str, *, refused: str | None = None, within: float = WITHIN) -> Token:
        """A token for an audience; another one than ``refused``, if there is any.

        Raises NoIdentityError, after ``within`` seconds at the latest.
        """
        with self._lock:
            token, renew_at = self._held.get(audience, (None, 0.0))
            if token is not None and token.text != refused and self._now() < renew_at:
                return token
            coming = self._coming.get(audience)
            if coming is None:
                coming = self._coming[audience] = Future()
                threading.Thread(target=self._fetch, args=(audience, coming), daemon=True).start()
        try:
            found = coming.result(within)
        except TimeoutError:
            found = f"none came within {within:g} s"
            with self._lock:
                if self._coming.get(audience) is coming:
                    del self._coming[audience]
        if isinstance(found, Token):
            return found
        if token is not None and token.text != refused and self._now() < token.ends:
            return token  # it is early to renew it, and it is still good
        raise NoIdentityError(found)

    def _fetch(self, audience: str, coming: Future[Token | str]) -> None:
        found: Token | str
        try:
            found = self._source(audience)
        except NoIdentityError as error:
            found = str(error)
        except Exception as error:  # a library's own mistake is no reason for a call to wait for ever
            found = f"{type(error).__name__}: {scrubbed(str(error))}"
        now = self._now()
        if isinstance(found, Token) and found.ends <= now:
            found = f"the one that came ended at {_clock(found.ends)}. Is this machine's clock right?"
        with self._lock:
            if isinstance(found, Token):
                self._held[audience] = (found, found.ends - min(_EARLY, (found.ends - now) / 2))
            if self._coming.get(audience) is coming:
                del self._coming[audience]
        coming.set_result(found)


def read_token(text: str, audience: str, *, strict: bool) -> Token:
    """A token from its text; ``strict``: it has to be for that audience. Raises NoIdentityError."""
    claims = _claims(text) if _SENT.fullmatch(text) else {}
    ends = claims.get("exp")
    if not isinstance(ends, (int, float)):
        raise NoIdentityError("what came is no identity token: it is no JWT with an end")
    meant = str(claims.get("aud", ""))
    if strict and meant != audience:
        raise NoIdentityError(f"a token for {audience} was wanted, and one for {meant or 'nobody'} came")
    return Token(text, meant, float(ends), str(claims.get("email", "")))


def scrubbed(text: str) -> str:
    """A stranger's words with nothing in them that looks like a token."""
    return _TOKENS.sub("***", text)


def _claims(text: str) -> Mapping[str, Any]:
    """What a JWT says; nothing where it is none."""
    parts = text.split(".")
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) if len(parts) == 3 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
