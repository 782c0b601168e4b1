"""Statements sent to BigQuery as jobs: each with an id of ours, labels, a limit of bytes and a time that it may take.

The client's own retries are switched off everywhere: they would go on for ten minutes unseen. What may pass is tried again
here, within the time that the caller gave. A job id of ours makes that safe: a job that was sent twice is there once.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from backfill_core.adapters.bigquery_client import LOCAL_CLOUD, Account, connect
from backfill_core.adapters.bigquery_errors import failure_of, reading_failure, reason_of, retry_after, words_of
from backfill_core.errors import CloudError
from backfill_core.events import Event, Failure
from backfill_core.queries.dialect import Query

if TYPE_CHECKING:
    from google.cloud import bigquery

_PAGE_ROWS = 20_000
_T = TypeVar("_T")


class JobLostError(Exception):
    """A job was sent, or may have been, and nobody could learn what became of it."""


@dataclass(slots=True)
class Labels:
    """What our jobs are labelled with. It listens to the run it is in, to know its name."""

    run: str = "none"

    def heard(self, run: str, events: Iterable[Event]) -> None:  # noqa: ARG002  (the signature of a listener)
        self.run = run

    def of(self, layer: str, **more: str) -> dict[str, str]:
        given = {"backfill_run": self.run, "layer": layer or "none", **more}
        return {name: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63] for name, value in given.items()}


class Jobs:
    """Sends statements and waits for them. May be used from several threads."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.labels = Labels()
        self._client: Any = None  # its own types deny that retries can be switched off
        self._making = threading.Lock()
        #: Jobs that are waited for now, so that they can be cancelled.
        self._open: set[str] = set()
        #: Jobs that are there, or may be: nobody refused them.
        self._sent: set[str] = set()
        #: Jobs that failed: to send one of those again would only tell the same.
        self._dead: set[str] = set()
        #: Bytes that each query read.
        self.read: list[int] = []
        self._stopped = threading.Event()
        #: When the call that a thread is in has to end, on the monotonic clock.
        self._ends = threading.local()

    def client(self) -> Any:
        """Google's client, made when it is first used. Raises CloudError where there are no credentials."""
        with self._making:
            if self._client is None:
                self._client = connect(self.account, self._most)
            return self._client

    def rows(self, query: Query, *, layer: str, within: float) -> list[tuple[Any, ...]]:
        """All rows of a query, every page of them. Raises what Google raises, or TimeoutError, within so many seconds."""
        return self.run(query, job=new_id("ask"), labels=self.labels.of(layer), within=within)

    def run(self, query: Query, *, job: str, labels: Mapping[str, str], within: float) -> list[tuple[Any, ...]]:
        """The rows of the job of that id: sent if it is not there yet, else only waited for."""
        until = self._until(within)
        tries, this = 0, job
        while True:
            try:
                return self._once(query, this, labels, until)
            except Exception as error:
                self._refuse_unserved(error)
                tries += 1
                passing = isinstance(error, TimeoutError) or failure_of(error) is Failure.TRANSIENT
                pause = self._pause(error, tries)
                if not passing or monotonic() + pause >= until or self._stopped.wait(pause):
                    if passing and this not in self._dead:
                        self._cancel(this)  # nobody waits for it any more
                    raise
                if this in self._dead:
                    this = f"{job}-{tries}"  # that job has failed, and its id stays with it

    def _refuse_unserved(self, error: Exception) -> None:
        """Raises CloudError where nobody serves an address of the settings' own: waiting for it would be in vain."""
        if self.account.here and "Connection refused" in str(error):
            problem = f"nothing listens at {self.account.endpoint}. Start it: {LOCAL_CLOUD}"
            raise CloudError(project=self.account.project, problem=problem) from error

    def write(self, query: Query, *, job: str, labels: Mapping[str, str], within: float) -> list[tuple[Any, ...]]:
        """As `run`, of a job that must not be done twice unseen. Raises JobLostError where it may be at work, or done."""
        try:
            return self.run(query, job=job, labels=labels, within=within)
        except TimeoutError:
            raise
        except Exception as error:
            lost = [each for each in self._sent - self._dead if each == job or each.startswith(f"{job}-")]
            lost = [each for each in lost if not self._came_to_nothing(each)]
            if not lost:
                raise
            for each in lost:
                self._cancel(each)
            raise JobLostError(f"its answer was lost: {words_of(error)}") from error

    def persisting(self, call: Callable[[], _T], *, within: float) -> _T:
        """What a call returns, made again while what it raises may pass, for so many seconds. Raises what it raised last."""
        until = self._until(within)
        tries = 0
        while True:
            self._ends.at = until
            try:
                return call()
            except Exception as error:
                self._refuse_unserved(error)
                tries += 1
                pause = self._pause(error, tries)
                if failure_of(error) is not Failure.TRANSIENT or monotonic() + pause >= until or self._stopped.wait(pause):
                    raise
            finally:
                self._ends.at = None

    def dry_run(self, query: Query, *, within: float) -> bigquery.QueryJob:
        """What a query would read and return; nothing is read, and nothing is paid."""
        until = self._until(within)
        return self.persisting(lambda: self._insert(query, new_id("dry"), {}, until, dry=True), within=within)

    def created(self, query: Query, *, within: float) -> datetime:
        """When BigQuery says that the job of a query was made."""
        name, until = new_id("clock"), self._until(within)
        job = self.persisting(lambda: self._insert(query, name, self.labels.of(""), until), within=within)
        found: datetime = job.created
        return found

    def running(self, *, everybody: bool = False, within: float) -> list[bigquery.QueryJob]:
        """Jobs of the project that are not done: ours, or everybody's where those may be seen."""

        def listed(state: str) -> list[bigquery.QueryJob]:
            timeout = self.account.request_timeout
            client = self.client()
            return list(client.list_jobs(state_filter=state, all_users=everybody, max_results=1000, retry=None, timeout=timeout))

        found = [job for state in ("pending", "running") for job in self.persisting(lambda: listed(state), within=within)]  # noqa: B023
        return list({job.job_id: job for job in found}.values())

    def wait(self, job: str, *, within: float) -> list[tuple[Any, ...]]:
        """The rows of a job that is under way. Raises as `write` does."""
        return self.write(Query("", {}), job=job, labels={}, within=within)

    def failed(self, job: str, error: Exception) -> bool:
        """Whether a job that was waited for has come to nothing, given what that raised: else it may be at work, or done."""
        if isinstance(error, TimeoutError):
            return False  # there is no time left to do it again
        return job in self._dead or reason_of(error) == "notFound" or self._came_to_nothing(job)

    def stop(self) -> None:
        """Cancels what is under way, and retries nothing from now on."""
        self._stopped.set()
        for job in sorted(self._open):
            self._cancel(job)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _pause(self, error: BaseException, tries: int) -> float:
        """Seconds to wait before another try: as the server says, else longer each time, and not all who wait the same."""
        return retry_after(error) or min(8.0, self.account.first_pause * 2 ** (tries - 1)) * random.uniform(0.6, 1.0)

    def _until(self, within: float) -> float:
        """When so many seconds are over, on the monotonic clock; to load Google's library takes none of them."""
        self.client()
        return monotonic() + within

    def _most(self) -> float:
        """Seconds that a request may take: those of any, or what is left to the call that it is made for."""
        ends: float | None = getattr(self._ends, "at", None)
        return self.account.request_timeout if ends is None else max(0.2, min(self.account.request_timeout, ends - monotonic()))

    def _once(self, query: Query, job: str, labels: Mapping[str, str], until: float) -> list[tuple[Any, ...]]:
        self._open.add(job)
        self._ends.at = until
        sent = None
        try:
            sent = self._insert(query, job, labels, until) if query.text else self._get(job)
            self._sent.add(job)
            left = max(0.5, until - monotonic())
            answer = sent.result(page_size=_PAGE_ROWS, retry=None, job_retry=None, timeout=left)
            rows = [tuple(row.values()) for row in answer]
            self.read.append(int(answer.total_bytes_processed or 0))
            return rows
        except Exception as error:
            if sent is None and not 400 <= (getattr(error, "code", None) or 0) < 500:
                self._sent.add(job)
            if sent is not None and sent.state == "DONE" and sent.error_result:
                self._dead.add(job)
            raise
        finally:
            self._ends.at = None
            self._open.discard(job)

    def _insert(self, query: Query, job: str, labels: Mapping[str, str], until: float, *, dry: bool = False) -> bigquery.QueryJob:
        from google.api_core.exceptions import Conflict
        from google.cloud import bigquery

        left = max(1.0, until - monotonic())
        config = bigquery.QueryJobConfig(
            query_parameters=[_parameter(name, value) for name, value in query.params.items()],
            labels=dict(labels),
            maximum_bytes_billed=self.account.maximum_bytes_billed,
            dry_run=dry,
            use_query_cache=not dry,
            job_timeout_ms=None if dry else int(left * 1000),
        )
        try:
            sent: bigquery.QueryJob = self.client().query(
                query.text,
                job_config=config,
                job_id=job,
                location=self.account.location,
                retry=None,
                job_retry=None,
                timeout=min(self.account.request_timeout, left),
            )
            return sent
        except Conflict as error:
            if reason_of(error) not in ("duplicate", ""):
                raise
            return self._get(job)  # it was sent before, and the answer was lost

    def _get(self, job: str) -> bigquery.QueryJob:
        from google.cloud import bigquery

        found = self.client().get_job(job, location=self.account.location, retry=None, timeout=self.account.request_timeout)
        assert isinstance(found, bigquery.QueryJob)
        return found

    def _came_to_nothing(self, job: str) -> bool:
        """Whether a job failed, or is not there."""
        try:
            found = self._get(job)
        except Exception as error:
            return reason_of(error) == "notFound"
        return found.state == "DONE" and bool(found.error_result)

    def _cancel(self, job: str) -> None:
        with suppress(Exception):  # it is given up in any case; BigQuery ends it at its own time-out
            self.client().cancel_job(job, location=self.account.location, retry=None, timeout=10)


def new_id(kind: str) -> str:
    return f"backfill-{kind}-{uuid4().hex}"


def cloud_error(error: BaseException, account: Account) -> CloudError:
    """An error that is about no table, in a line that says what to do."""
    if isinstance(error, CloudError):
        return error  # it says so already
    failure, what = reading_failure(error), words_of(error)
    if failure is Failure.AUTH:
        what += ". Log in: gcloud auth application-default login"
    elif failure is Failure.TRANSIENT:
        what = f"it does not answer: {what}. Try again later; nothing was changed"
    return CloudError(project=account.project, problem=what, failure=failure)


def _parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    from google.cloud import bigquery

    if isinstance(value, Sequence) and not isinstance(value, str):
        return bigquery.ArrayQueryParameter(name, _kind(value[0]) if value else "DATE", list(value))
    return bigquery.ScalarQueryParameter(name, _kind(value), value)


def _kind(value: Any) -> str:
    kinds = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING", datetime: "TIMESTAMP", date: "DATE"}
    return kinds[type(value)]
