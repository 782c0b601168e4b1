"""What BigQuery's errors mean for us: by the reason they give, never by the class they arrive as.

`bytesBilledLimitExceeded` arrives as an internal error, a used-up quota and a missing permission both as 403.
"""

from __future__ import annotations

from typing import Any

from backfill_core.events import Failure

#: Reasons that pass by themselves.
_PASSING = frozenset((
    "rateLimitExceeded", "quotaExceeded", "jobRateLimitExceeded", "userRateLimitExceeded", "backendError", "internalError",
    "jobBackendError", "jobInternalError", "badGateway", "tableUnavailable", "resourceInUse",
))  # fmt: skip
#: Reasons that no other try would mend, though the status in front of them might.
_LASTING = frozenset((
    "bytesBilledLimitExceeded", "invalidQuery", "invalid", "notFound", "accessDenied", "billingNotEnabled", "blocked",
    "duplicate", "resourcesExceeded", "responseTooLarge", "stopped", "timeout", "notImplemented", "required",
))  # fmt: skip
#: What is said of a transaction that met another one on the same rows.
_CONFLICTS = ("concurrent update", "could not serialize")
#: Our own statuses that may pass.
_PASSING_STATUS = frozenset((408, 429, 500, 502, 503, 504))


def reason_of(error: BaseException) -> str:
    """The reason that Google gives; empty where it gives none."""
    found = getattr(error, "errors", None)
    first = found[0] if found else {}
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def failure_of(error: BaseException) -> Failure:
    """The class of a failure, by what may be done about it."""
    import requests
    from google.api_core import exceptions
    from google.auth import exceptions as auth

    if isinstance(error, (auth.RefreshError, auth.DefaultCredentialsError, auth.InvalidOperation, exceptions.Unauthorized)):
        return Failure.AUTH
    if isinstance(error, (auth.TransportError, requests.ConnectionError, requests.Timeout, ConnectionError)):
        return Failure.TRANSIENT
    reason, text = reason_of(error), str(error).lower()
    if any(words in text for words in _CONFLICTS) or reason in _PASSING:
        return Failure.TRANSIENT
    if reason in _LASTING:
        return Failure.PERMANENT
    status = getattr(error, "code", None)
    return Failure.TRANSIENT if status in _PASSING_STATUS else Failure.PERMANENT


def reading_failure(error: BaseException) -> Failure:
    """The class of what went wrong in reading, where there is nothing that may have happened unseen."""
    return Failure.TRANSIENT if isinstance(error, TimeoutError) else failure_of(error)


def words_of(error: BaseException) -> str:
    """One line that says what went wrong, with the reason."""
    found = getattr(error, "errors", None)
    said = found[0].get("message") if found and isinstance(found[0], dict) else None
    message = said or getattr(error, "message", "") or str(error) or type(error).__name__
    line = str(message).strip().split("\n", 1)[0].strip()
    reason = reason_of(error)
    return f"{line} ({reason})" if reason and reason not in line else line


def retry_after(error: BaseException) -> float | None:
    """Seconds after which the server wants to be asked again, where it says so."""
    response: Any = getattr(error, "response", None)
    said = response.headers.get("Retry-After") if response is not None and hasattr(response, "headers") else None
    return float(said) if said and str(said).isdigit() else None
