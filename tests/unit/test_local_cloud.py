"""What a local cloud serves of a project, and what it leaves out and says so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from backfill_core.errors import BadUsage
from backfill_core.project.session import open_project
from backfill_core.testing.layer_services import Job
from backfill_core.testing.local_cloud import LocalCloud

FILES = {
    "backfill.toml": 'from = "2024-05-01"\n[targets.cloud]\nruntime = "gcp"\nproject = "p"\nlanding = "landing"\n'
    '[targets.local]\nruntime = "local"\nwarehouse = "w.duckdb"\nlanding = "landing"\n',
    "layers/all.py": "from backfill_core import EveryDay, Layer\nDAILY = EveryDay('daily')\nONE = Layer('one')\n",
    "plugins/all.py": """
from backfill_core import Http, Processor, Python, Rows, Service, Table
DAY = {"analysis_date": "{date}"}
MARKS = Service("marks", in_flight=2, lock=7)

def made(name, http, local=None):
    table = Table(f"s.{name}", date="day", key=("shop",), ddl="CREATE TABLE {table} (day DATE, shop STRING)")
    run = {"gcp": http, "local": local or http}
    return Processor(name, layer="one", calendar="daily", writes=table, complete_when=Rows(), run=run)

def fill(dates, ctx):
    return [{"day": day, "shop": "a"} for day in dates]

ALL = [
    made("marks", Http("${MARKS}/process-date", json=DAY, service=MARKS, known_as="MarkProcessor", identity=True), Python(fill)),
    made("ranks", Http("${MARKS}/process-date", json=DAY, service=MARKS)),
    made("afar", Http("https://scores.example/process-date", json=DAY)),
    made("odd", Http("${MARKS}/odd/{date}", json=DAY)),
]
""",
}


JOBS = {name: Job(len) for name in ("marks", "ranks")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_services_are_read_from_the_specs_and_what_cannot_be_served_is_told(project: Path) -> None:
    with LocalCloud(open_project(project, "cloud"), jobs={"ranks": Job(len)}) as cloud:
        assert list(cloud.services) == ["marks"]
        behind = cloud.behind("marks")
        assert (list(behind.jobs), behind.limits.lock) == (["MarkProcessor", "ranks"], 7)
        assert cloud.not_served == {
            "afar": "its address is https://scores.example, and here there are addresses like http://127.0.0.1:9053",
            "odd": "it calls ${MARKS}/odd/{date}, and there are /process-date, /process-date-range, /start here",
        }
        assert cloud.environment["MARKS"] == cloud.services["marks"].url
        assert cloud.services["marks"].refused(None) is not None, "one spec that wants an identity is enough"


def test_a_bucket_holds_the_landing_files_of_the_local_target(project: Path) -> None:
    settings = project / "backfill.toml"
    text = settings.read_text(encoding="utf-8").replace('"landing"', '"gs://scraped/in"', 1)
    settings.write_text(text, encoding="utf-8")
    with LocalCloud(open_project(project, "cloud"), jobs=JOBS) as cloud:
        assert cloud.storage is not None and cloud.storage.folder == project / "landing"
        assert cloud.environment["BACKFILL_TARGETS__CLOUD__STORAGE_ENDPOINT"] == cloud.storage.url
    settings.write_text(text.partition("[targets.local]")[0], encoding="utf-8")
    with pytest.raises(BadUsage, match="has its landing files in a bucket, and no target of runtime local has a folder of them"):
        LocalCloud(open_project(project, "cloud"), jobs=JOBS)


def test_a_processor_that_nothing_here_computes_is_an_error(project: Path) -> None:
    with pytest.raises(BadUsage, match='"ranks" has no Sql or Python for runtime "local"'):
        LocalCloud(open_project(project, "cloud"))


def test_a_port_that_is_taken_is_told(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(BadUsage, match=rf"127\.0\.0\.1:{port} cannot be served .*: perhaps another local cloud runs"):
            LocalCloud(open_project(project, "cloud"), variables={"MARKS": f"http://127.0.0.1:{port}"}, jobs=JOBS)
