"""Google's BigQuery client, and the session that it asks through, made so that every request ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backfill_core.adapters.bigquery_errors import words_of
from backfill_core.errors import CloudError, Failure
from backfill_core.model.hosts import is_loopback

if TYPE_CHECKING:
    from google.cloud import bigquery

#: What serves a cloud of one's own.
LOCAL_CLOUD = "python -m backfill_core.testing.local_cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where BigQuery is asked, by whom, and how much it may cost."""

    project: str
    location: str
    maximum_bytes_billed: int
    #: Key file of a service account; none: what Google's own tools find.
    credentials: Path | None = None
    impersonate: str | None = None
    #: Where it is served, if not where Google has it for all: on this machine nobody asks who we are.
    endpoint: str | None = None
    #: Seconds one request may take.
    request_timeout: float = 60.0
    #: Seconds before what may pass is tried again; each further time it is about twice as long.
    first_pause: float = 0.2

    @property
    def here(self) -> bool:
        """Whether a cloud on this machine is asked."""
        return is_loopback(urlsplit(self.endpoint or "").hostname or "")


def connect(account: Account, most: Callable[[], float]) -> bigquery.Client:
    """Google's client, whose requests may each take as many seconds as ``most`` says then. Raises as `open_session` does."""
    from google.cloud import bigquery

    session = open_session(account, most)
    options = {"api_endpoint": account.endpoint.rstrip("/")} if account.endpoint else {}
    return bigquery.Client(
        project=account.project, credentials=session.credentials, _http=session, location=account.location, client_options=options
    )


def open_session(account: Account, most: Callable[[], float] | None = None) -> Any:
    """A session of requests that say who asks; each may take as many seconds as ``most`` says then.

    It has no credentials where Google is played on this machine. Raises CloudError where there should be some and are none.
    """
    import requests
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    longest = most or (lambda: account.request_timeout)

    class Session(AuthorizedSession):
        """Every request has an end: the client would give the wait for results two minutes at the least, others none.

        It goes to whom it was meant for: no answer sends a statement or who asks it elsewhere.
        """

        def request(self, *given: Any, **more: Any) -> Any:
            asked = more.pop("timeout", None)
            bounded = min(asked, longest()) if isinstance(asked, (int, float)) else longest()
            return super().request(*given, timeout=bounded, **more | {"allow_redirects": False})  # type: ignore[no-untyped-call, misc]

    try:
        credentials = AnonymousCredentials() if account.here else _credentials(account)
    except (GoogleAuthError, OSError, ValueError) as error:
        said = words_of(error).rstrip(". ")
        mend = "Log in (gcloud auth application-default login), or name a key file: credentials in the target's settings"
        raise CloudError(project=account.project, problem=f"no credentials: {said}. {mend}", failure=Failure.AUTH) from error
    session = Session(credentials)  # type: ignore[no-untyped-call]
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    return session


def _credentials(account: Account) -> Any:
    import google.auth
    from google.auth import impersonated_credentials
    from google.oauth2 import service_account

    scope = ["https://www.googleapis.com/auth/cloud-platform"]
    if account.credentials:
        found = service_account.Credentials.from_service_account_file(str(account.credentials), scopes=scope)
    else:
        found, _ = google.auth.default(scopes=scope)
    if account.impersonate:
        found = impersonated_credentials.Credentials(found, target_principal=account.impersonate, target_scopes=scope)
    return found
