"""A service on target gcp, whose settings choose an identity, before a BigQuery and a metadata server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from backfill_core.testing.bigquery_engine import HeldTable
from backfill_core.testing.bigquery_server import BigQueryServer
from backfill_core.testing.metadata_server import MetadataServer
from faulty_service import Asked, Said, serving
from scored_shop import LAYERS, everything_that_was_kept, guarded
from slow_shop import ask

SETTINGS = """
from = "2024-05-01"
target = "cloud"
[targets.cloud]
runtime = "gcp"
project = "shop-project"
prefix = "test_"
landing = "landing"
api_endpoint = "{url}"
{identity}
"""
PLUGINS = """
from backfill_core import Http, Processor, Rows, Table
SCORES = Processor("scores", layer="scores", calendar="daily", complete_when=Rows(at_least=2), writes=Table("shop.scores",
    date="day", key=("shop",), updated="written"), run={{"gcp": Http("{url}/process-date", identity=True, timeout=60,
    json={{"date": "{{date}}", "dataset": "{{dataset}}"}})}})
"""
SPAN = ("--to", "2024-05-03", "--today", "2024-05-20")
COLUMNS = {"day": "DATE", "shop": "STRING", "written": "TIMESTAMP"}
COMMAND = (
    "import sys, urllib.request as u; "
    "print(u.urlopen(u.Request(sys.argv[1], headers={'Metadata-Flavor': 'Google'})).read().decode())"
)


@pytest.fixture
def warehouse() -> Iterator[BigQueryServer]:
    with BigQueryServer("shop-project") as server:
        server.engine.create("test_shop", "scores", HeldTable(COLUMNS, partition="day"))
        yield server


def chosen(way: str, metadata: MetadataServer, folder: Path) -> str:
    """The settings that choose an identity in that way."""
    if way == "metadata_host":
        return f'metadata_host = "{metadata.host}"'
    if way == "credentials":
        metadata.key_file(folder / "key.json")
        return 'credentials = "key.json"'
    (folder / "token.py").write_text(COMMAND, encoding="utf-8")
    url = f"http://{metadata.host}/computeMetadata/v1/instance/service-accounts/default/identity?audience={{audience}}"
    return f'identity_command = \'"{sys.executable}" token.py "{url}"\'\ncredentials = "none.json"'


@pytest.mark.parametrize("way", ["metadata_host", "credentials", "identity_command"])
def test_settings_choose_who_calls(warehouse: BigQueryServer, tmp_path: Path, way: str) -> None:
    def scores(asked: Asked, _before: int) -> Said:
        day, dataset = date.fromisoformat(asked.body["date"]), asked.body["dataset"]
        warehouse.engine.load(dataset, "scores", [{"day": day, "shop": shop, "written": datetime.now(UTC)} for shop in "ab"])
        return Said()

    with MetadataServer() as metadata, serving(guarded(metadata, scores)) as service:
        service.probed = lambda asked: (
            Said(404) if not metadata.check(asked.headers.get("Authorization"), service.url) else Said(401)
        )
        texts = {
            "backfill.toml": SETTINGS.format(url=warehouse.url, identity=chosen(way, metadata, tmp_path)),
            "layers/all.py": LAYERS,
            "plugins/all.py": PLUGINS.format(url=service.url),
            "landing/none": "",
        }
        for name, text in texts.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        fit = ask(tmp_path, "doctor")
        assert (fit.returncode, "fit to run" in fit.stdout) == (0, True), fit.stdout
        done = ask(tmp_path, "execute", *SPAN, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(service.probes) == 2 and {asked.body["dataset"] for asked in service.asked} == {"test_shop"}
        assert warehouse.engine.count("test_shop", "scores") == 6
        metadata.refuses = 403
        unfit = ask(tmp_path, "doctor")
        assert unfit.returncode == 2 and f"error: there is no identity token for {service.url}: " in unfit.stdout
    assert not any(token.rpartition(".")[2].encode() in everything_that_was_kept(tmp_path) for token in metadata.tokens())
