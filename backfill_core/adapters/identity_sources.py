"""Where identity tokens come from: Google's libraries, or a command of the user's."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backfill_core.adapters.identity_tokens import WITHIN, NoIdentityError, Source, Token, read_token
from backfill_core.replies import words_of

if TYPE_CHECKING:
    from backfill_core.adapters.identity_transport import Transport

#: What stands for the audience in a token command.
AUDIENCE = "{audience}"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_OTHERS = "set credentials, impersonate or identity_command in the target's settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls say they are, as a target's settings have it; the first of these that is set counts."""

    #: Prints a token; ``{audience}`` in it is filled in.
    command: str | None = None
    #: Account to act as, with the credentials below.
    impersonate: str | None = None
    #: Key file of a service account; none: what Google's libraries find.
    credentials: Path | None = None
    #: Host and port of the metadata server; none: where Google's libraries look for it.
    metadata_host: str | None = None
    #: Where a token command is run.
    folder: Path = Path()


def identity_source(identity: Identity) -> Source:
    """The source of tokens that settings choose."""
    if identity.command:
        arguments, folder = shlex.split(identity.command), identity.folder
        return lambda audience: _from_command(arguments, folder, audience)
    if identity.impersonate:
        return lambda audience: _from_google(lambda request: _impersonated(identity, audience, request), identity, audience)
    if identity.credentials:
        key = identity.credentials
        return lambda audience: _from_google(lambda _request: _of_key(key, audience), identity, audience)
    return lambda audience: _from_google(lambda request: _found(audience, request), identity, audience)


def _from_command(arguments: list[str], folder: Path, audience: str) -> Token:
    """What a command prints last. It is killed, with all that it started, when its time is up."""
    filled = [argument.replace(AUDIENCE, audience) for argument in arguments]
    name = arguments[0]
    try:
        child = subprocess.Popen(
            filled,
            cwd=folder,
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise NoIdentityError(f"identity_command {name} cannot be run: {error.strerror or error}") from None
    with child:
        try:
            printed, said = child.communicate(timeout=WITHIN)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            raise NoIdentityError(f"identity_command {name} printed none within {WITHIN:g} s") from None
    if child.returncode:
        words = words_of(said)
        raise NoIdentityError(f"identity_command {name} failed with exit {child.returncode}" + (f": {words}" if words else ""))
    lines = printed.decode("utf-8", "replace").split()
    if not lines:
        raise NoIdentityError(f"identity_command {name} printed none")
    return read_token(lines[-1], audience, strict=any(AUDIENCE in argument for argument in arguments))


def _from_google(make: Callable[[Transport], Any], identity: Identity, audience: str) -> Token:
    """A token from credentials that are made anew, for whoever logs in again changes what they are made from."""
    from google.auth.exceptions import GoogleAuthError

    from backfill_core.adapters.identity_transport import Transport

    with Transport(identity.metadata_host or os.environ.get("GCE_METADATA_HOST")) as request:
        try:
            credentials = make(request)
            credentials.refresh(request)
        except (GoogleAuthError, OSError, ValueError) as error:
            raise NoIdentityError(_why(error, request, identity)) from None
    return read_token(credentials.token, audience, strict=True)


def _why(error: Exception, request: Transport, identity: Identity) -> str:
    """Why there are no credentials, without the words of a file or an answer that could not be read."""
    import requests

    if request.refused:
        return request.refused
    if isinstance(error, requests.RequestException):  # the library asks whoever lets it act as another by itself
        url = error.request.url if error.request is not None else None
        host = urlsplit(str(url)).netloc if url else "Google"
        return f"{host}, which gives them: {'no answer' if isinstance(error, requests.Timeout) else 'no connection'}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    if identity.credentials and not request.asked:
        return f"{identity.credentials} is no key file of a service account"
    return words_of(str(error.args[0] if error.args else error)) or type(error).__name__


def _found(audience: str, request: Transport) -> Any:
    """The credentials that Google's libraries find: a key file that the environment names, else the metadata server's."""
    from google.auth.compute_engine import IDTokenCredentials
    from google.auth.exceptions import DefaultCredentialsError
    from google.oauth2.id_token import fetch_id_token_credentials

    if _asks_metadata(request):
        return IDTokenCredentials(request, audience, use_metadata_identity_endpoint=True)
    try:
        return fetch_id_token_credentials(audience, request=request)
    except (DefaultCredentialsError, NoIdentityError):
        why = "GOOGLE_APPLICATION_CREDENTIALS names no key file of a service account, and there is no metadata server"
        path = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if path and not Path(path).is_file():
            why = f"GOOGLE_APPLICATION_CREDENTIALS names {path}, which is not there"
        raise NoIdentityError(f"{why}. A user's login gives none either: {_OTHERS}") from None


def _asks_metadata(request: Transport) -> bool:
    """Whether whoever runs this is known to a metadata server that somebody named."""
    return bool(request.metadata_host) and not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")


def _of_key(key: Path, audience: str) -> Any:
    from google.oauth2.service_account import IDTokenCredentials

    return IDTokenCredentials.from_service_account_file(str(key), target_audience=audience)


def _impersonated(identity: Identity, audience: str, request: Transport) -> Any:
    import google.auth
    from google.auth import compute_engine, impersonated_credentials
    from google.auth.credentials import DEFAULT_UNIVERSE_DOMAIN
    from google.auth.exceptions import DefaultCredentialsError
    from google.oauth2 import service_account

    if identity.credentials:
        source = service_account.Credentials.from_service_account_file(str(identity.credentials), scopes=[_SCOPE])
    elif _asks_metadata(request):
        # Named here, for the library would ask for it where Google has a metadata server.
        source = compute_engine.Credentials(scopes=[_SCOPE], universe_domain=DEFAULT_UNIVERSE_DOMAIN)
    else:
        try:
            source, _ = google.auth.default(scopes=[_SCOPE], request=request)
        except (DefaultCredentialsError, NoIdentityError):
            why = f"nobody is logged in who could act as {identity.impersonate}"
            raise NoIdentityError(f"{why}: gcloud auth application-default login, or {_OTHERS}") from None
    target = impersonated_credentials.Credentials(source, target_principal=identity.impersonate, target_scopes=[_SCOPE])
    return impersonated_credentials.IDTokenCredentials(target, target_audience=audience, include_email=True)
