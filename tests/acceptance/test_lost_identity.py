"""A run whose identity is lost on the way, with the real command, a metadata server and a service that checks tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from backfill_core.testing.metadata_server import MetadataServer
from faulty_service import Asked, Said, serving
from projects import backfill
from shop import SETTINGS
from slow_shop import ask, begin, end_all, finish, wait_for
from test_runners import everything_that_was_kept, lake_file

LAYERS = """
from datetime import date
from backfill_core import EveryDay, Layer
DAILY = EveryDay("daily", since=date(2024, 5, 1))
SCORES = Layer("scores", aliases=("L1",), measured_by=("scores", "shop"))
"""
PLUGINS = """
from backfill_core import Http, Processor, Rows, Table
SCORES = Processor("scores", layer="scores", calendar="daily", writes=Table("shop.scores", date="day", key=("shop",)),
    complete_when=Rows(at_least=2), run=Http("${SCORING_URL}/process-date", identity=True, json={"date": "{date}"}, timeout=60))
"""
SPAN = ("--to", "2024-05-06", "--today", "2024-05-20")


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataServer]:
    with MetadataServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in {"pyproject.toml": SETTINGS, "layers/all.py": LAYERS, "plugins/all.py": PLUGINS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "lake" / "scores").mkdir(parents=True)
    lake_file(tmp_path, "scores", "2024-04-30", "WHERE false")
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute(f"CREATE VIEW shop.scores AS SELECT * FROM read_parquet('{tmp_path}/lake/scores/*.parquet')")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    end_all()


def scoring(project: Path, metadata: MetadataServer, lose_after: int) -> Callable[[Asked, int], Said]:
    """A service as Cloud Run keeps it; once it was called so often, no token is good, and there is no new one."""

    def answer(asked: Asked, before: int) -> Said:
        if before == lose_after:
            metadata.revoke()
            metadata.refuses = 403
        why = metadata.check(asked.headers.get("Authorization"), f"http://{asked.headers['Host']}")
        if why:
            return Said(401, {"error": why})
        lake_file(project, "scores", asked.body["date"])
        return Said()

    return answer


def test_a_run_waits_for_a_token_fails_nothing_and_goes_on(
    project: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(scoring(project, metadata, 2)) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        running = begin(project, "execute", *SPAN, "--yes", "--concurrency", "1")
        shown = " ".join(wait_for(project, r"no\s+identity\s+token").split())
        assert re.search(r"run r1 PAUSED .*ETA none while paused", shown)
        told = (
            r"paused: no identity token since \d\d:\d\d UTC: \S+, which gives them: HTTP 403: a fault that was asked for\. "
            r"No unit was failed\. Log in, then: backfill continue r1"
        )
        assert re.search(told, shown)
        assert re.search(r"next: backfill continue r1$", shown)
        metadata.refuses = 0
        assert ask(project, "continue", "r1").returncode == 0
        said = finish(running)
        assert running.returncode == 0, said
    told_once = " ".join(said.split())
    assert len(re.findall(told, told_once)) == told_once.count("no identity token") == 1
    assert "there is an identity token again: the run goes on" in told_once
    assert "failed" not in told_once.partition("run r1 ended")[0].replace("No unit was failed", "")
    assert [asked.body["date"] for asked in service.asked].count("2024-05-03") == 2, "once refused, once when there was a new one"
    assert len(metadata.asked) == 2
    kept = everything_that_was_kept(project) + said.encode()
    assert b"process-date" in kept
    assert not any(part.encode() in kept for token in metadata.tokens() for part in token.split(".")[1:])


def test_a_service_is_not_called_over_plain_http(
    project: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_URL", "http://scoring.example")
    ran = backfill(project, "execute", *SPAN, "--yes")
    assert ran.returncode == 1
    assert "a secret would go to scoring.example over plain http. Use https" in " ".join(ran.stdout.split())
    plugins = project / "plugins" / "all.py"
    plugins.write_text(PLUGINS.replace("${SCORING_URL}", "http://scoring.example"), encoding="utf-8")
    ran = backfill(project, "plan", *SPAN)
    told = 'processor "scores" would send a secret to http://scoring.example, where it can be read on the way. Use https'
    assert (ran.returncode, ran.stderr) == (2, f"error: plugins/all.py:3: {told}\n") or told in " ".join(ran.stderr.split())
    assert metadata.asked == []
    assert os.environ["GCE_METADATA_HOST"] == metadata.host
