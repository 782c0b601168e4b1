"""Landing files in a bucket of Cloud Storage: listed and read, and never written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from backfill_core.adapters.bigquery_client import LOCAL_CLOUD, Account, open_session
from backfill_core.adapters.landing_files import entries_in, glob_of
from backfill_core.errors import Failure, LandingError
from backfill_core.model.calendar import Schedule, ScheduleEntry
from backfill_core.model.table import Files
from backfill_core.replies import words_of

if TYPE_CHECKING:
    import requests

#: Where Google serves it.
_GOOGLE = "https://storage.googleapis.com"
#: Seconds that listing or reading may take, tries and all.
_WITHIN = 60.0
_PASSING = frozenset((408, 429, 500, 502, 503, 504))


class BucketLanding:
    """The objects below one prefix of a bucket."""

    def __init__(self, place: str, account: Account, *, within: float = _WITHIN) -> None:
        """``place`` is ``gs://bucket/prefix``; ``account`` says who asks, and where if not Google."""
        self.place = place.rstrip("/")
        bucket, _, prefix = self.place.removeprefix("gs://").partition("/")
        self._objects = f"{(account.endpoint or _GOOGLE).rstrip('/')}/storage/v1/b/{quote(bucket, safe='')}/o"
        self._prefix = f"{prefix}/" if prefix else ""
        self._account = account
        self._within = within
        self._schedules: dict[str, tuple[ScheduleEntry, ...]] = {}

    def schedule(self, calendar: Schedule) -> tuple[ScheduleEntry, ...]:
        if calendar.name not in self._schedules:
            entries: list[ScheduleEntry] = []
            with self._session() as session:
                for path in sorted(self._listed(session, calendar.files)):
                    url = f"{self._objects}/{quote(self._prefix + path, safe='')}"
                    content = self._asked(session, url, {"alt": "media"}).content
                    entries += entries_in(content, calendar, f"{self.place}/{path}")
            self._schedules[calendar.name] = tuple(entries)
        return self._schedules[calendar.name]

    def files(self, source: Files) -> Mapping[str, int]:
        with self._session() as session:
            return self._listed(session, glob_of(source))

    def describe(self, pattern: str) -> str:
        return f"{self.place}/{pattern}"

    def _session(self) -> requests.Session:
        """Raises CloudError where there are no credentials."""
        session: requests.Session = open_session(self._account)
        return session

    def _listed(self, session: requests.Session, glob: str) -> dict[str, int]:
        """The objects that fit a pattern, by path below the prefix, each with when it was last written."""
        fits = _regex(glob)
        found = {}
        for each in self._pages(session, self._prefix + re.split(r"[*?\[]", glob, maxsplit=1)[0]):
            path = str(each["name"]).removeprefix(self._prefix)
            if fits.fullmatch(path):
                found[path] = round(datetime.fromisoformat(each["updated"]).timestamp() * 1_000_000)
        return found

    def _pages(self, session: requests.Session, prefix: str) -> Iterator[Mapping[str, Any]]:
        asked = {"prefix": prefix, "fields": "items(name,updated),nextPageToken"}
        while True:
            page = self._asked(session, self._objects, asked).json()
            yield from page.get("items", ())
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]

    def _asked(self, session: requests.Session, url: str, asked: Mapping[str, str]) -> requests.Response:
        """The answer to a request, made again while what goes wrong may pass. Raises LandingError."""
        import requests
        from google.auth.exceptions import GoogleAuthError
        from tenacity import RetryError, Retrying, retry_if_exception, retry_if_result, stop_after_delay, wait_random_exponential

        until = monotonic() + self._within

        def once() -> requests.Response:
            left = max(0.1, min(until - monotonic(), self._account.request_timeout))
            return session.get(url, params=dict(asked), timeout=left)

        passing = retry_if_exception(self._may_pass) | retry_if_result(lambda answer: answer.status_code in _PASSING)
        wait = wait_random_exponential(multiplier=self._account.first_pause, max=8)
        try:
            answer: requests.Response = Retrying(retry=passing, wait=wait, stop=stop_after_delay(self._within))(once)
        except RetryError as error:
            last = error.last_attempt
            why = f"it does not answer ({last.exception() if last.failed else _said(last.result())}). Try again later"
            raise LandingError(path=self.place, problem=why, failure=Failure.TRANSIENT) from error
        except GoogleAuthError as error:
            why = words_of(str(error)).rstrip(".")
            problem = f"{why}. Log in: gcloud auth application-default login"
            raise LandingError(path=self.place, problem=problem, failure=Failure.AUTH) from error
        except requests.RequestException as error:
            served = not self._refused(error)
            why = words_of(str(error)) if served else f"nothing listens at {self._account.endpoint}. Start it: {LOCAL_CLOUD}"
            raise LandingError(path=self.place, problem=why) from error
        if answer.status_code != 200:
            raise LandingError(path=self.place, problem=_said(answer))
        return answer

    def _refused(self, error: BaseException) -> bool:
        """Whether nobody serves an address of the settings' own."""
        return self._account.here and "Connection refused" in str(error)

    def _may_pass(self, error: BaseException) -> bool:
        import requests

        return isinstance(error, (requests.ConnectionError, requests.Timeout)) and not self._refused(error)


def _said(answer: requests.Response) -> str:
    """What an answer without what was asked for says, and what to do."""
    words = ""
    with suppress(ValueError, AttributeError):
        words = words_of(str(answer.json()["error"]["message"]))
    mend = {403: "Grant roles/storage.objectViewer on the bucket", 404: "Is the bucket's name right?"}
    told = f"HTTP {answer.status_code}" + (f": {words.rstrip('.')}" if words else "")
    return told + (f". {mend[answer.status_code]}" if answer.status_code in mend else "")


def _regex(glob: str) -> re.Pattern[str]:
    """What a pattern of paths picks: a star stops at a slash, two do not."""
    signs = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts), re.DOTALL)
