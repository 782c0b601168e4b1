"""What is said of services before a run calls them: by the doctor, by execute, and when a project is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_core.testing.metadata_server import MetadataServer
from faulty_service import Asked, Said, serving
from projects import backfill
from scored_shop import PLUGINS, SPAN, everything_that_was_kept, guarded, make_scored_shop, scoring
from shop import SETTINGS
from slow_shop import ask

#: Two more targets: one with a prefix, one with a dataset of another name.
MORE = """
[tool.backfill.targets.dev]
runtime = "local"
warehouse = "w.duckdb"
landing = "landing"
prefix = "dev_"
[tool.backfill.targets.moved]
runtime = "local"
warehouse = "w.duckdb"
landing = "landing"
datasets = { shop = "store" }
"""
DEV = 'of the prefix "dev_" of target dev: it would write into shop itself.'
PASS = "Pass it on: json={…, "
CALLS = 'error: plugins/all.py:3: processor "scores" calls a service that is not told'
TOLD = PLUGINS.replace(", identity=True", "").replace('json={"date": "{date}"}', 'json={"date": "{date}", "into": "{prefix}"}')


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataServer]:
    with MetadataServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def doctor(project: Path) -> tuple[int, list[str]]:
    """Its exit code, and what it says of services."""
    came = ask(project, "doctor", "--format", "json")
    found = json.loads(came.stdout)["findings"]
    told = [f"{'error' if each['stops'] else 'warning'}: {each['what']}" for each in found]
    return came.returncode, [line for line in told if "landing folder" not in line]


ME = "runner@local-cloud.iam.gserviceaccount.com"
OR = 'or name the audience that it wants: identity="https://…"; see plugins/all.py:3'


def test_a_service_that_takes_us_is_asked_once_and_does_nothing(
    tmp_path: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_scored_shop(tmp_path)
    with serving(Said()) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        checks = guarded(metadata, lambda _asked, _before: Said(404))
        service.probed = lambda asked: checks(asked, 0)
        assert doctor(project) == (0, [])
        assert ", 1 service, room on the disk\nfit to run. next: backfill plan --target local\n" in ask(project, "doctor").stdout
        del service.probes[1:]
    assert [(asked.method, asked.path) for asked in service.probes] == [("GET", "/robots.txt")]
    assert service.asked == []
    assert not (project / ".backfill").exists()


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        (
            Said(403),
            2,
            f"error: URL does not accept {ME} (HTTP 403, audience URL). Grant {ME} roles/run.invoker on it; see plugins/all.py:3",
        ),
        (
            Said(401),
            2,
            f"error: URL does not accept {ME} (HTTP 401, audience URL). Grant {ME} roles/run.invoker on it, {OR}",
        ),
        (Said(405), 0, ""),
        (Said(501), 0, ""),
        (Said(503), 0, "warning: URL is ill (HTTP 503): its calls may fail. Look at its logs"),
        (
            Said(302, b"", {"Location": "https://accounts.google.com/x"}),
            0,
            "warning: URL sends us to accounts.google.com (HTTP 302), and redirects are not followed; see plugins/all.py:3",
        ),
    ],
)
def test_what_a_service_answers_is_told_with_its_mend(
    tmp_path: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch, said: Said, code: int, told: str
) -> None:
    project = make_scored_shop(tmp_path)
    with serving(Said()) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        service.probed = lambda _asked: said
        told = told.replace("URL", service.url)
        assert doctor(project) == (code, [told] if told else [])
    assert len(metadata.asked) == 1


def test_no_service_no_token_and_no_variable(tmp_path: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_scored_shop(tmp_path)
    told = 'error: plugins/all.py:3: processor "scores" names ${SCORING_URL}, which is not set. Set it'
    assert doctor(project) == (2, [told])
    monkeypatch.setenv("SCORING_URL", "http://127.0.0.1:1/base")
    why = "no connection to 127.0.0.1: Connection refused (http://127.0.0.1:1)"
    assert doctor(project) == (2, [f"error: {why}. Is the service up, and its address right? See plugins/all.py:3"])
    metadata.refuses = 404
    why = f"{metadata.host}, which gives them: HTTP 404: a fault that was asked for"
    mend = "Log in, or set one of credentials, impersonate, identity_command for the target"
    assert doctor(project) == (2, [f"error: there is no identity token for http://127.0.0.1:1: {why}. {mend}"])
    refused = ask(project, "execute", *SPAN, "--yes")
    told = f"error: there is no identity token for http://127.0.0.1:1: {why}. {mend}; nothing was run"
    assert refused.returncode == 2 and refused.stderr.startswith(told)
    assert not (project / ".backfill" / "logs").exists()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://scoring.example", "it does not begin with https:// or http:// and a host"),
        ("scoring.example:80", "it does not begin with https:// or http:// and a host"),
        ("https://me:s3cr3t@scoring.example", "it has a user in it. Send a header"),
        ("https://scoring.example/base?key=s3cr3t", "what it begins with has a ? or # in it, and no path can follow that"),
        ("http://127.0.0.1:99999", "Port out of range 0-65535"),
    ],
)
def test_what_is_no_address_is_told_before_a_run_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    project = make_scored_shop(tmp_path)
    monkeypatch.setenv("SCORING_URL", url)
    told = f'plugins/all.py:3: processor "scores" calls ${{SCORING_URL}}, whose address cannot be used: {why}'
    assert doctor(project) == (2, [f"error: {told}. Write one like https://its.address"])
    refused = ask(project, "execute", *SPAN, "--yes")
    assert (refused.returncode, "; nothing was run" in refused.stderr, "s3cr3t" in refused.stderr) == (2, True, False)
    forced = ask(project, "execute", *SPAN, "--yes", "--skip-preflight")
    assert forced.returncode == 1 and "nothing was sent: its address cannot be used: " in forced.stdout
    assert b"s3cr3t" not in everything_that_was_kept(project) + (forced.stdout + forced.stderr).encode()


def test_a_header_that_cannot_be_sent_is_told_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = PLUGINS.replace("identity=True", """headers={"X-Key": Secret("env:SCORING_KEY")}""")
    project = make_scored_shop(tmp_path, plugins=plugins)
    monkeypatch.setenv("SCORING_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SCORING_KEY", "s3cr3t\nX-Other: 1")
    with serving(Said()) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        assert doctor(project) == (2, ["error: plugins/all.py:3 has a header with signs in it that no header may have"])
        assert service.probes == []
        monkeypatch.setenv("SCORING_KEY", "s3cr3t")
        service.probed = lambda _asked: Said(403)
        assert doctor(project) == (0, [f"warning: {service.url} does not accept what plugins/all.py:3 sends (HTTP 403)"])
        assert service.probes[0].headers["X-Key"] == "s3cr3t"


def test_execute_asks_only_the_services_of_what_is_planned(
    tmp_path: Path, metadata: MetadataServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_scored_shop(tmp_path)
    with serving(guarded(metadata, scoring(project))) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        service.probed = lambda _asked: Said(403)
        refused = ask(project, "execute", *SPAN, "--yes")
        assert (refused.returncode, service.asked) == (2, [])
        assert "roles/run.invoker" in refused.stderr and "; nothing was run" in refused.stderr
        assert ask(project, "execute", *SPAN, "--yes", "--skip-preflight").returncode == 0
        assert len(service.probes) == 1
        assert ask(project, "execute", *SPAN, "--yes").returncode == 0
        assert len(service.probes) == 1, "nothing is planned, so nobody is asked"


def test_a_target_with_a_prefix_wants_it_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_scored_shop(tmp_path, SETTINGS + MORE, PLUGINS, dataset="dev_shop")
    for command in ("plan", "coverage", "execute"):
        refused = ask(project, command, "--target", "dev", *SPAN)
        assert (refused.returncode, refused.stderr) == (
            2,
            f'{CALLS} {DEV} {PASS}"dataset_prefix": "{{prefix}}"}}\n',
        )
    refused = ask(project, "plan", "--target", "moved", *SPAN)
    assert (refused.returncode, refused.stderr) == (
        2,
        CALLS + ' where its tables are: on target moved dataset shop is store. Pass it on: json={…, "dataset": "{dataset}"}\n',
    )
    assert ask(project, "plan", *SPAN).returncode == 0
    plugins = project / "plugins" / "all.py"
    plugins.write_text(TOLD, encoding="utf-8")
    assert "dataset" in ask(project, "plan", "--target", "moved", *SPAN).stderr
    with serving(scoring(project)) as service:
        monkeypatch.setenv("SCORING_URL", service.url)
        done = ask(project, "execute", "--target", "dev", *SPAN, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert {asked.body["into"] for asked in service.asked} == {"dev_"}
        plugins.write_text(TOLD.replace("{prefix}", "{dataset}"), encoding="utf-8")
        again = ask(project, "execute", "--target", "dev", *SPAN, "--yes", "--force", "--processor", "scores")
        assert {asked.body["into"] for asked in service.asked[6:]} == {"dev_shop"}, again.stdout + again.stderr
        assert ask(project, "plan", "--target", "moved", *SPAN).returncode == 0


def test_variables_and_secrets_come_from_the_environment_or_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = """headers={"Authorization": f"Bearer {Secret('env:SCORING_KEY')}", "X-Team": "${TEAM}"}"""
    body = 'json={"date": "{date}", "key": Secret("env:SCORING_KEY")}'
    plugins = PLUGINS.replace("identity=True", headers).replace('json={"date": "{date}"}', body)
    project = make_scored_shop(tmp_path, plugins=plugins)

    def answer(asked: Asked, before: int) -> Said:
        scoring(project)(asked, before)
        return Said(500, {"error": f"bad key {asked.body['key']}"}) if before == 0 else Said()

    with serving(answer) as service:
        (project / ".env").write_text("SCORING_KEY=s3cr3t-k3y\nTEAM=lakers\n", encoding="utf-8")
        variables = f'variables = {{ SCORING_URL = "{service.url}", TEAM = "none" }}\n'
        (project / "pyproject.toml").write_text(SETTINGS + variables, encoding="utf-8")
        monkeypatch.setenv("TEAM", "celtics")
        done = backfill(project, "execute", *SPAN, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {asked.headers["Authorization"] for asked in service.asked} == {"Bearer s3cr3t-k3y"}
    assert {asked.headers["X-Team"] for asked in service.asked} == {"celtics"}
    assert {asked.body["key"] for asked in service.asked} == {"s3cr3t-k3y"}
    kept = everything_that_was_kept(project) + (done.stdout + done.stderr).encode()
    assert b"bad key ***" in kept and b"s3cr3t" not in kept
    (project / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    (project / ".env").write_text("SCORING_URL=https://scoring.example\nTEAM=lakers\n", encoding="utf-8")
    refused = ask(project, "execute", *SPAN, "--yes", "--force", "--processor", "scores")
    told = 'processor "scores" names the environment variable SCORING_KEY, which is not set. Set it; nothing was run'
    assert (refused.returncode, refused.stderr) == (2, f"error: plugins/all.py:3: {told}\n")
    for wrong, where in (('Secret("SCORING_KEY")', "ValueError: a Secret names no variable"), ('"{dat}"', "names {dat}")):
        (project / "plugins" / "all.py").write_text(plugins.replace('"{date}"', wrong), encoding="utf-8")
        refused = ask(project, "plan", *SPAN)
        assert refused.returncode == 2 and "plugins/all.py:" in refused.stderr and where in refused.stderr
