"""Landing files, in a folder and in a bucket: the same questions have the same answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backfill_core.adapters.bigquery_client import Account
from backfill_core.adapters.bucket_landing import BucketLanding
from backfill_core.adapters.landing_files import LandingFiles
from backfill_core.errors import LandingError
from backfill_core.model.calendar import Schedule
from backfill_core.model.table import Files
from backfill_core.ports import Landing
from backfill_core.testing.bigquery_server import Fault
from backfill_core.testing.storage_server import StorageServer

GAMES = Schedule("games", files="games/*.csv", date="day", key="id", season="season", type="type", expected=("1",))
DAILY = Files("feed/{date}.csv")
NASTY = "it's `a` \\ ;#?%2F&.csv"
WRITTEN = datetime(2024, 5, 2, 3, 4, 5, 500000, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {
        "games/2024.csv": "id,day,season,type\n7,2024-05-01,2024,1\n8,2024-05-02,2024,2\n",
        f"games/{NASTY}": "day,id,season,type\n2025-05-01,9,2025,1\n",
        "games/old/2019.csv": "no,such,columns\n",
        "feed/2024-05-01.csv": "x",
        "feed/2024-05-02.csv": "",
        "feed/deep/2024-05-03.csv": "x",
        "feeding/2024-05-04.csv": "x",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        os.utime(tmp_path / name, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return tmp_path


@pytest.fixture
def storage(folder: Path) -> Iterator[StorageServer]:
    with StorageServer("my-bucket", folder, prefix="in/landing") as server:
        server.page = 1  # so that every listing has pages
        yield server


def bucket(storage: StorageServer, within: float = 20.0, place: str = "gs://my-bucket/in/landing/") -> BucketLanding:
    account = Account(project="p", location="US", maximum_bytes_billed=1, endpoint=storage.url, first_pause=0.01)
    return BucketLanding(place, account, within=within)


@pytest.fixture(params=["folder", "bucket"])
def landing(request: pytest.FixtureRequest, folder: Path, storage: StorageServer) -> Landing:
    return LandingFiles(folder) if request.param == "folder" else bucket(storage)


def test_files_of_a_source_with_when_they_were_written(landing: Landing) -> None:
    at = round(WRITTEN.timestamp() * 1_000_000)
    assert landing.files(DAILY) == {"feed/2024-05-01.csv": at, "feed/2024-05-02.csv": at}
    assert landing.files(Files("none/{season}.csv")) == {}


def test_schedules_are_read_from_all_files_that_fit(landing: Landing) -> None:
    found = {(entry.key, str(entry.day), entry.season, entry.type) for entry in landing.schedule(GAMES)}
    assert found == {("7", "2024-05-01", "2024", "1"), ("8", "2024-05-02", "2024", "2"), ("9", "2025-05-01", "2025", "1")}


def test_what_cannot_be_read_is_told_with_its_line(landing: Landing, folder: Path) -> None:
    (folder / "games" / "2024.csv").write_text("id,day,season,type\n7,2024-05-01,2024,1\n8,May,2024,2\n", encoding="utf-8")
    with pytest.raises(LandingError, match=r"games/2024\.csv cannot be read: line 3: "):
        landing.schedule(GAMES)
    (folder / "games" / "2024.csv").write_text("id,date\n", encoding="utf-8")
    with pytest.raises(LandingError, match='no column "day", which calendar games names'):
        landing.schedule(GAMES)


PASSING = [Fault("", status=503), Fault("", status=429), Fault("", status=500), Fault("", reset=True)]


@pytest.mark.parametrize("route", ["objects.list", "objects.get"])
def test_a_moment_of_unrest_is_waited_out_and_a_lasting_one_told(storage: StorageServer, route: str) -> None:
    for fault in PASSING:
        storage.faults[:] = [Fault(route, status=fault.status, reset=fault.reset)]
        assert len(bucket(storage).schedule(GAMES)) == 3
        assert storage.faults[0].seen == 1
    started = time.monotonic()
    storage.faults[:] = [Fault(route, times=None)]
    told = r"^landing files below gs://my-bucket/in/landing cannot be read: it does not answer \(HTTP 503: a fault that was"
    with pytest.raises(LandingError, match=told):
        bucket(storage, within=0.5).schedule(GAMES)
    storage.faults[:] = [Fault(route, times=None, slow=5)]
    with pytest.raises(LandingError, match=r"it does not answer \(.*[Tt]imed out"):
        bucket(storage, within=0.3).schedule(GAMES)
    assert time.monotonic() - started < 5


LASTING = [
    (
        Fault("objects.list", status=403, message="no access."),
        "HTTP 403: no access. Grant roles/storage.objectViewer on the bucket",
    ),
    (
        Fault("objects.list", status=401),
        "Anonymous credentials cannot be refreshed. Log in: gcloud auth application-default login",
    ),
    (Fault("objects.list", status=302, message=""), "cannot be read: HTTP 302"),
    (None, "HTTP 404: The specified bucket does not exist. Is the bucket's name right?"),
]


@pytest.mark.parametrize(("fault", "told"), LASTING, ids=lambda each: str(each)[-20:])
def test_what_no_other_try_would_mend_is_asked_once(storage: StorageServer, fault: Fault | None, told: str) -> None:
    if fault is None:
        storage.bucket = "other"
    else:
        storage.faults.append(replace(fault, seen=0))
    with pytest.raises(LandingError) as raised:
        bucket(storage).files(DAILY)
    assert told in str(raised.value)
    assert len(storage.requests) <= 1


def test_where_nobody_serves_the_address_it_says_so_at_once(storage: StorageServer) -> None:
    account = Account(project="p", location="US", maximum_bytes_billed=1, endpoint="http://127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(LandingError, match=r"nothing listens at http://127\.0\.0\.1:1\. Start it: python -m"):
        BucketLanding("gs://my-bucket", account).files(DAILY)
    assert time.monotonic() - started < 5
    assert bucket(storage, place="gs://my-bucket").files(Files("in/landing/feed/{date}.csv")).keys() == {
        "in/landing/feed/2024-05-01.csv",
        "in/landing/feed/2024-05-02.csv",
    }
