"""Settings: what is wrong is told with its place, and every value with where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from backfill_core.errors import BadSettings
from backfill_core.project.session import open_place, open_project
from backfill_core.project.settings import GcpTarget
from backfill_core.project.settings_sources import environment, find_root, load_settings, origin, read_layers
from backfill_core.project.shown_settings import leaves, masked
from projects import copy_of_reference

CLOUD = '[targets.cloud]\nruntime = "gcp"\nproject = "p"\nlanding = "landing"\n'


def settings(folder: Path, text: str = CLOUD, env: str = "") -> Path:
    (folder / "backfill.toml").write_text(text, encoding="utf-8")
    if env:
        (folder / ".env").write_text(env, encoding="utf-8")
    return folder


def test_the_environment_wins_over_dotenv_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = "BACKFILL_FROM=2024-01-02\nOTHER=3\nBACKFILL_TARGETS__CLOUD__LOCATION=EU\nBACKFILL_CONCURRENCY=7\n"
    settings(tmp_path, 'timezone = "Europe/Berlin"\n' + CLOUD, env)
    monkeypatch.setenv("BACKFILL_CONCURRENCY", "9")
    monkeypatch.setenv("BACKFILL_TARGETS__CLOUD__DATASETS__RAW", "raw_copy")
    found, layers = load_settings(tmp_path), read_layers(tmp_path)
    told = {".".join(path): (str(value), origin(layers, path)) for path, value in leaves(found)}
    assert told["concurrency"] == ("9", "environment")
    assert told["from"] == ("2024-01-02", ".env")
    assert told["timezone"] == ("Europe/Berlin", "backfill.toml")
    assert told["targets.cloud.location"] == ("EU", ".env")
    assert told["targets.cloud.datasets.raw"] == ("raw_copy", "environment")
    assert told["targets.cloud.in_flight.services"] == ("{}", "default")
    assert told["targets.cloud.maximum_bytes_billed"] == ("100000000000", "default")
    assert environment(tmp_path, {"OTHER": "4"})["OTHER"] == "4"
    assert environment(tmp_path, {})["OTHER"] == "3"
    monkeypatch.setenv("BACKFILL_OUT", "/tmp/x")
    assert load_settings(tmp_path) == found, "a program that a run started may ask backfill something"


@pytest.mark.parametrize(
    ("text", "env", "told"),
    [
        (CLOUD + 'projct = "x"', "", 'backfill.toml: no setting "targets.cloud.projct". Did you mean "project"?'),
        ("concurency = 3\n" + CLOUD, "", 'backfill.toml: no setting "concurency". Did you mean "concurrency"?'),
        (
            CLOUD + 'banana = "x"',
            "",
            'backfill.toml: no setting "targets.cloud.banana". There are: datasets, prefix,',
        ),
        (CLOUD + 'warehouse = "x"', "", 'backfill.toml: no setting "targets.cloud.warehouse": it is one of runtime local'),
        (CLOUD + 'identity_comand = "x"', "", 'no setting "targets.cloud.identity_comand". Did you mean "identity_command"?'),
        (CLOUD + "in_flight = { servces = {} }", "", 'no setting "targets.cloud.in_flight.servces". Did you mean "services"?'),
        (
            CLOUD + "identity_command = 'gcloud \"x'",
            "",
            "targets.cloud.identity_command: it cannot be read as a command: No closing",
        ),
        (CLOUD + 'variables = { API_KEY = "x" }', "", "API_KEY is for a secret by its name: put it into the environment or .env"),
        (CLOUD + 'identity_command = "print {aud}"', "", 'it names "{aud}". There is {audience} alone'),
        (CLOUD.replace("landing =", "prefix ="), "", 'targets.cloud.landing is not set. Write landing = "landing", the folder'),
        (CLOUD + "concurrency = 'x'", "", 'targets.cloud.concurrency: "x" is no whole number'),
        (CLOUD + "concurrency = 0", "", "targets.cloud.concurrency: 0 will not do: the least is 1"),
        (CLOUD + "per_minute = { l4 = 0 }", "", "targets.cloud.per_minute.l4: 0 will not do: it must be over 0"),
        (CLOUD + "location = 5", "", 'targets.cloud.location: 5 is no text. Write it in quotes: "…"'),
        (CLOUD + "credentials = true", "", 'targets.cloud.credentials: true is no path. Write it in quotes: "…"'),
        (CLOUD + "in_flight = 3", "", "in_flight: 3 is no table. Write in_flight = { services = { l4 = 5 } }"),
        ("from = '2024-02-30'\n" + CLOUD, "", 'from: "2024-02-30" is no day. Write it as 2024-10-01'),
        ("target = 'x'", "", "targets is not set. Write [tool.backfill.targets.local] ([targets.local] in backfill.toml)"),
        ("targets = { local = 3 }", "", "targets.local: 3 is no table. Write [tool.backfill.targets.local]"),
        (CLOUD + 'metadata_host = "example.com:80"', "", "and example.com is no host of this machine's or Google's"),
        ("[target.cloud]\nruntime = 'gcp'\n", "", 'target is the name of one, where none is typed. Did you mean "targets"?'),
        (CLOUD, "BACKFILL_TARGETS__CLUOD__PROJECT=x", '.env: no target "cluod". Did you mean "cloud"? Targets: cloud'),
        (
            CLOUD,
            "BACKFILL_TARGETS__CLOUD__IMPERSONTE=x",
            '.env: no setting "targets.cloud.impersonte". Did you mean "impersonate"?',
        ),
        (
            CLOUD,
            "BACKFILL_TARGET__CLOUD__PROJECT=x",
            '.env: no setting "BACKFILL_TARGET__CLOUD__PROJECT". Did you mean "BACKFILL_TARGETS__CLOUD__PROJECT"?',
        ),
        (CLOUD, "BACKFILL_CONCURRENCY__X=3", 'no setting "BACKFILL_CONCURRENCY__X". There is "BACKFILL_CONCURRENCY" alone.'),
        (CLOUD, "BACKFILL_CONCURENCY=3", '.env: no setting "BACKFILL_CONCURENCY". Did you mean "BACKFILL_CONCURRENCY"?'),
        (CLOUD, "BACKFILL_TARGETS__CLOUD__PROJCT=3", '.env: no setting "targets.cloud.projct". Did you mean "project"?'),
        (
            CLOUD.replace('"gcp"', '"gpc"'),
            "",
            'targets.cloud.runtime: no runtime "gpc". Did you mean "gcp"? Runtimes: local, gcp',
        ),
        (CLOUD.replace('runtime = "gcp"\n', ""), "", "targets.cloud.runtime: say which, local or gcp"),
        (CLOUD + 'api_endpoint = "http://example.com"', "", "plain http is for this machine only"),
        (CLOUD + 'storage_endpoint = "http://example.com"', "", "plain http is for this machine only"),
        (CLOUD.replace('"landing"', '"s3://b/x"'), "", 'landing: "s3://b/x" is neither gs://bucket/prefix nor a folder'),
        (CLOUD.replace('"landing"', '"gs:/b/x"'), "", 'landing: "gs:/b/x" is neither gs://bucket/prefix nor a folder'),
        (CLOUD.replace('"landing"', '"gs:///x"'), "", 'landing: "gs:///x" is neither gs://bucket/prefix nor a folder'),
        ('timezone = "Mars"\n' + CLOUD, "", 'timezone: no time zone "Mars"'),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, env: str, told: str) -> None:
    with pytest.raises(BadSettings) as raised:
        load_settings(settings(tmp_path, text, env))
    assert told in str(raised.value)


def test_two_places_for_one_project_are_one_too_many(tmp_path: Path) -> None:
    settings(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.backfill]\n", encoding="utf-8")
    with pytest.raises(BadSettings, match="Keep one of the two"):
        load_settings(tmp_path)


def test_a_folder_with_backfill_toml_is_a_project(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_root(settings(tmp_path) / "a" / "b") == tmp_path
    assert isinstance(load_settings(tmp_path).targets["cloud"], GcpTarget)


def test_a_target_gives_the_variables_that_nobody_else_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CLOUD + 'variables = { L3_URL = "http://a", L4_URL = "http://b", L5_URL = "http://c" }\n'
    monkeypatch.setenv("L4_URL", "http://mine")
    place = open_place(settings(tmp_path, text, "L4_URL=http://file\nL5_URL=http://file\n"), "cloud")
    found = {name: place.variables[name] for name in ("L3_URL", "L4_URL", "L5_URL")}
    assert found == {"L3_URL": "http://a", "L4_URL": "http://mine", "L5_URL": "http://file"}


def test_secrets_are_masked() -> None:
    assert masked(("targets", "cloud", "api_token"), "abc") == "***"
    assert masked(("targets", "cloud", "api_endpoint"), "https://user:word@host/") == "https://***@host/"
    assert masked(("targets", "cloud", "project"), "p") == "p"
    gcloud = "gcloud auth print-identity-token --audiences={audience}"
    assert masked(("targets", "cloud", "identity_command"), gcloud) == gcloud
    curl = 'curl --api-key=k1 -H "Authorization: Bearer b2" "https://me:pw@host/"'
    told = 'curl --api-key=*** -H "Authorization: Bearer ***" "https://***@host/"'
    assert masked(("targets", "cloud", "identity_command"), curl) == told


def test_the_environment_is_told_as_dotenv_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFILL_TARGETS__CLOUD__METADATA_HOTS", "x")
    with pytest.raises(
        BadSettings, match=r'environment: no setting "targets\.cloud\.metadata_hots"\. Did you mean "metadata_host"'
    ):
        load_settings(settings(tmp_path))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("in_flight = { services = { l44 = 2 } }", 'in_flight.services: no service "l44" in this project. Did you mean "l4"?'),
        ("in_flight = { services = { x = 2 } }", 'in_flight.services: no service "x" in this project. There are: l3, l4, l5'),
        (
            "in_flight = { processors = { player_dayly_cache = 2 } }",
            'in_flight.processors: no processor "player_dayly_cache" in this project. Did you mean "player_daily_cache"?',
        ),
        (
            'in_flight = { tables = { "nba_raw.player_shot" = 2 } }',
            'in_flight.tables: no table "nba_raw.player_shot" in this project. Did you mean "nba_raw.player_shots"?',
        ),
        ("per_minute = { l_3 = 2 }", 'per_minute: no service "l_3" in this project. Did you mean "l3"?'),
        ('datasets = { nba_rwa = "x" }', 'datasets: no dataset "nba_rwa" in this project. Did you mean "nba_raw"?'),
    ],
)
def test_names_that_the_project_does_not_have_are_told(tmp_path: Path, given: str, told: str) -> None:
    project = copy_of_reference(tmp_path, "2024-10-01")
    with (project / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(given)  # of the last target, which is gcp
    with pytest.raises(BadSettings) as raised:
        open_project(project, "gcp")
    assert str(raised.value) == f"pyproject.toml [tool.backfill]: targets.gcp.{told}"


def test_names_that_the_project_has_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = copy_of_reference(tmp_path, "2024-10-01")
    monkeypatch.setenv("BACKFILL_TARGETS__GCP__IN_FLIGHT__SERVICES__L4", "2")
    monkeypatch.setenv("BACKFILL_TARGETS__GCP__PER_MINUTE__L3", "30")
    assert open_project(project, "gcp").target.in_flight.services == {"l4": 2}
    monkeypatch.setenv("BACKFILL_TARGETS__GCP__PER_MINUTE__L33", "30")
    with pytest.raises(BadSettings, match=r'^environment: targets\.gcp\.per_minute: no service "l33"'):
        open_project(project, "gcp")
