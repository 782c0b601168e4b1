"""A run whose identity is lost on the way, with the real command, a metadata server and a service that checks tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_core.testing.metadata_server import MetadataServer
from faulty_service import Asked, Said, serving
from scored_shop import PLUGINS, SPAN, everything_that_was_kept, guarded, make_scored_shop, scoring
from slow_shop import ask, begin, end_all, finish, wait_for


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataServer]:
    with MetadataServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(make_scored_shop(tmp_path))
    yield tmp_path
    end_all()


def test_a_run_waits_for_a_token_fails_nothing_and_goes_on(
    project: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = guarded(metadata, scoring(project))

    def answer(asked: Asked, before: int) -> Said:
        if before == 2:  # from here on no token is good, and there is no new one
            metadata.revoke()
            metadata.refuses = 403
        return checks(asked, before)

    with serving(answer) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        running = begin(project, "execute", *SPAN, "--yes", "--concurrency", "1")
        shown = " ".join(wait_for(project, r"no\s+identity\s+token").split())
        assert re.search(r"run r1 PAUSED .*ETA none while paused", shown)
        told = (
            r"paused: no identity token since \d\d:\d\d UTC\. No unit was failed\. Log in, then: backfill continue r1 "
            r"\(127.0.0.1:\d+, which gives them: HTTP 403: a fault that was asked for\)"
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
    assert len(metadata.asked) == 3, "of the check before the run, and two of the run"
    kept = everything_that_was_kept(project) + said.encode()
    assert b"process-date" in kept
    assert not any(part.encode() in kept for token in metadata.tokens() for part in token.split(".")[1:])


def test_no_service_is_called_over_plain_http(project: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORING_URL", "http://scoring.example")
    refused = ask(project, "execute", *SPAN, "--yes")
    told = "a secret would go to http://scoring.example, where it can be read on the way. plugins/all.py:3: use https"
    assert refused.returncode == 2 and refused.stderr.startswith(f"error: {told}; nothing was run")
    ran = ask(project, "execute", *SPAN, "--yes", "--skip-preflight")
    assert ran.returncode == 1
    assert "a secret would go to scoring.example over plain http. Use https" in " ".join(ran.stdout.split())
    (project / "plugins" / "all.py").write_text(PLUGINS.replace("${SCORING_URL}", "http://scoring.example"), encoding="utf-8")
    refused = ask(project, "plan", *SPAN)
    told = 'processor "scores" would send a secret to http://scoring.example, where it can be read on the way. Use https'
    assert (refused.returncode, refused.stderr) == (2, f"error: plugins/all.py:3: {told}\n")
    assert metadata.asked == []
