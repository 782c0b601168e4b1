"""Identity tokens over a real wire: Google's own library before a metadata server on loopback, and a service that checks them."""

from __future__ import annotations

import io
import logging
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from test_http_runner import DONE, call_of

from backfill_core.adapters.call_folder import CallFolders
from backfill_core.adapters.http_runner import HttpRunner
from backfill_core.adapters.identity_sources import Identity, identity_source
from backfill_core.adapters.identity_tokens import IdentityTokens, NoIdentityError, Token, read_token
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.http import Answer, Http, Poll
from backfill_core.testing.metadata_server import MetadataServer
from faulty_service import Asked, Said, Service, serving

AUDIENCE = "https://l4-abc.a.run.app"
PRINTS = "import sys; print('Updated property.', file=sys.stderr); print(open(sys.argv[1]).read())"


@pytest.fixture
def metadata() -> Iterator[MetadataServer]:
    with MetadataServer() as server:
        yield server


def as_metadata(metadata: MetadataServer, _folder: Path, _patch: pytest.MonkeyPatch) -> Identity:
    return Identity(metadata_host=metadata.host)


def as_key_file(metadata: MetadataServer, folder: Path, _patch: pytest.MonkeyPatch) -> Identity:
    return Identity(credentials=metadata.key_file(folder / "key.json"))


def as_impersonated(metadata: MetadataServer, folder: Path, patch: pytest.MonkeyPatch) -> Identity:
    from google.auth import iam

    url = f"http://{metadata.host}/v1/projects/-/serviceAccounts/{{}}:generateIdToken"
    patch.setattr(iam, "_IAM_IDTOKEN_ENDPOINT", url)  # the one place of Google's that no setting moves
    return Identity(credentials=metadata.key_file(folder / "key.json"), impersonate="other@local-cloud.iam.gserviceaccount.com")


def as_command(metadata: MetadataServer, folder: Path, _patch: pytest.MonkeyPatch) -> Identity:
    code = (
        "import sys, urllib.request as u; "
        "q = u.Request(sys.argv[1] + sys.argv[2], headers={'Metadata-Flavor': 'Google'}); print(u.urlopen(q).read().decode())"
    )
    url = f"http://{metadata.host}/computeMetadata/v1/instance/service-accounts/default/identity?audience="
    return Identity(command=f'"{sys.executable}" -c "{code}" {url} {{audience}}', folder=folder)


GOOD = Said(body={})
Make = Callable[[MetadataServer, Path, pytest.MonkeyPatch], Identity]
WAYS = pytest.mark.parametrize("make", [as_metadata, as_key_file, as_impersonated, as_command])


def tokens_of(identity: Identity, now: Callable[[], float] = time.time) -> IdentityTokens:
    return IdentityTokens(identity_source(identity), now)


def checking(metadata: MetadataServer, audience: str = "", then: Said | None = None) -> Callable[[Asked, int], Said]:
    """A service as Cloud Run keeps it: nobody gets in without a token for it."""

    def answer(asked: Asked, _before: int) -> Said:
        why = metadata.check(asked.headers.get("Authorization"), audience or f"http://{asked.headers['Host']}")
        return Said(401, {"error": why}) if why else then or GOOD

    return answer


def ask(runner: HttpRunner, http: Http) -> Outcome:
    (outcome,) = runner.run(call_of(http)).outcomes.values()
    return outcome


def http_of(service: Service, path: str = "", **changed: Any) -> Http:
    given: dict[str, Any] = {"identity": True, "answer": Answer(error="error"), "timeout": 20.0}
    return Http(service.url + path, **given | changed)


def runner_of(folder: Path, identity: Identity) -> HttpRunner:
    return HttpRunner(CallFolders(folder), {}, tokens_of(identity))


def seen(service: Service) -> list[str]:
    return [asked.headers.get("Authorization", "") for asked in service.asked]


@WAYS
def test_a_service_gets_a_token_for_its_origin(
    metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    runner = runner_of(tmp_path, make(metadata, tmp_path, monkeypatch))
    with serving(checking(metadata)) as service:
        http = http_of(service, "/a/b?c=1")
        assert [ask(runner, http), ask(runner, http)] == [DONE, DONE]
        assert metadata.asked == [service.url], "one token for both calls"
    assert seen(service) == [f"Bearer {metadata.tokens()[0]}"] * 2


def certificate(folder: Path) -> Path:
    """A certificate for this machine that only those trust who are told to, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    address = x509.IPAddress(ip_address("127.0.0.1"))
    made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    pem = serialization.Encoding.PEM
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(key.private_bytes(*plain) + made.sign(key, hashes.SHA256()).public_bytes(pem))
    return folder / "cert.pem"


def test_over_https_it_goes_to_whom_the_certificate_names(
    metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate(tmp_path))
    runner = runner_of(tmp_path, Identity(metadata_host=metadata.host))

    def answer(asked: Asked, _before: int) -> Said:
        why = metadata.check(asked.headers.get("Authorization"), f"https://{asked.headers['Host']}")
        return Said(401, {"error": why}) if why else GOOD

    with serving(answer, tls) as service:
        stranger = ask(runner, http_of(service))
        assert (stranger.failure, service.asked) == (Failure.TRANSIENT, [])
        assert "certificate" in stranger.why
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert ask(runner, http_of(service)) == DONE
    assert metadata.asked == [service.url] and service.url.startswith("https://")


def test_another_audience_may_be_named(metadata: MetadataServer, tmp_path: Path) -> None:
    runner = runner_of(tmp_path, Identity(metadata_host=metadata.host))
    with serving(checking(metadata, AUDIENCE)) as service:
        assert ask(runner, http_of(service, identity=AUDIENCE)) == DONE
        runner.environment = {"WHOM": AUDIENCE}
        assert ask(runner, http_of(service, identity="${WHOM}")) == DONE
        refused = ask(runner, http_of(service))
    assert (refused.failure, len(service.asked)) == (Failure.AUTH, 4)
    assert refused.why == f"HTTP 401: the identity token is for {service.url}, not for {AUDIENCE}"


@WAYS
def test_a_refused_token_is_renewed_and_the_call_repeated_once(
    metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    runner = runner_of(tmp_path, make(metadata, tmp_path, monkeypatch))
    with serving(checking(metadata)) as service:
        http = http_of(service)
        ask(runner, http)
        metadata.revoke()
        assert ask(runner, http) == DONE
    first, again, renewed = seen(service)
    assert first == again != renewed
    with serving(Said(401, {"error": "who?"})) as service:
        outcome = ask(runner, http_of(service))
    assert (outcome.failure, outcome.why, len(service.asked)) == (Failure.AUTH, "HTTP 401: who?", 2)


def test_a_token_is_renewed_before_it_ends(metadata: MetadataServer) -> None:
    clock = [time.time()]
    tokens = tokens_of(Identity(metadata_host=metadata.host), lambda: clock[0])
    first = tokens.token(AUDIENCE)
    clock[0] += metadata.lifetime - 230
    assert tokens.token(AUDIENCE) == first
    metadata.refuses = 403
    clock[0] += 10
    assert tokens.token(AUDIENCE) == first, "early to renew it, and still good"
    clock[0] += 225
    with pytest.raises(NoIdentityError, match="403"):
        tokens.token(AUDIENCE)
    metadata.refuses, metadata.lifetime = 0, 7200
    second = tokens.token(AUDIENCE)
    assert second.text != first.text
    assert tokens.token("https://other.test").audience == "https://other.test"


def test_a_token_that_lasts_a_moment_is_used_for_half_of_it(metadata: MetadataServer) -> None:
    metadata.lifetime = 60
    clock = [time.time()]
    tokens = tokens_of(Identity(metadata_host=metadata.host), lambda: clock[0])
    first = tokens.token(AUDIENCE)
    clock[0] += 20
    assert tokens.token(AUDIENCE) == first
    clock[0] += 20
    assert tokens.token(AUDIENCE) != first
    clock[0] += 7200
    with pytest.raises(NoIdentityError, match="Is this machine's clock right"):
        tokens.token(AUDIENCE)


def test_many_calls_fetch_one_token() -> None:
    asked: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def source(audience: str) -> Token:
        asked.append(audience)
        begun.set()
        assert go.wait(20)
        if audience != AUDIENCE:
            raise NoIdentityError("nobody is logged in")
        return Token("t", audience, time.time() + 3600)

    tokens = IdentityTokens(source)
    with ThreadPoolExecutor(16) as pool:
        good = [pool.submit(tokens.token, AUDIENCE) for _ in range(8)]
        bad = [pool.submit(tokens.token, "https://other.test") for _ in range(8)]
        assert begun.wait(20)
        go.set()
        assert {future.result(20).text for future in good} == {"t"}
        assert {str(future.exception(20)) for future in bad} == {"nobody is logged in"}
    assert asked.count(AUDIENCE) == 1


def test_a_server_that_is_slow_ill_or_not_there_holds_nobody_up(metadata: MetadataServer, tmp_path: Path) -> None:
    runner = runner_of(tmp_path, Identity(metadata_host=metadata.host))
    with serving(Said()) as service:
        metadata.delay = 30
        outcome = ask(runner, http_of(service, timeout=0.2))
        assert (outcome.failure, outcome.why) == (Failure.AUTH, "none came within 0.2 s") or "within" in outcome.why
        metadata.delay, metadata.refuses = 0, 503
        outcome = ask(runner, http_of(service))
        assert (outcome.failure, outcome.why) == (Failure.AUTH, f"{metadata.host}, which gives them: HTTP 503")
        gone = runner_of(tmp_path, Identity(metadata_host="127.0.0.1:1"))
        outcome = ask(gone, http_of(service))
        assert (outcome.failure, outcome.why) == (Failure.AUTH, "127.0.0.1:1, which gives them: no connection")
        assert service.asked == [], "nothing is sent without one"


def test_a_token_for_somebody_else_is_sent_to_nobody(metadata: MetadataServer, tmp_path: Path) -> None:
    metadata.audience = "https://elsewhere.test"
    with serving(Said()) as service:
        outcome = ask(runner_of(tmp_path, Identity(metadata_host=metadata.host)), http_of(service))
    assert (outcome.failure, service.asked) == (Failure.AUTH, [])
    assert outcome.why == f"a token for {service.url} was wanted, and one for https://elsewhere.test came"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-program --x", "identity_command no-such-program cannot be run: No such file or directory"),
        ('sh -c "echo no login >&2; exit 3"', "identity_command sh failed with exit 3: no login"),
        ("true", "identity_command true printed none"),
        ("echo hello", "what came is no identity token: it is no JWT with an end"),
        ("echo a.b.c", "what came is no identity token: it is no JWT with an end"),
        ("echo $(id); $HOME", "what came is no identity token: it is no JWT with an end"),
    ],
)
def test_a_command_that_gives_none_says_why(command: str, told: str) -> None:
    with pytest.raises(NoIdentityError) as raised:
        identity_source(Identity(command=command))(AUDIENCE)
    assert str(raised.value) == told


def test_a_command_is_killed_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill_core.adapters.identity_sources.WITHIN", 0.3)
    began = time.monotonic()
    with pytest.raises(NoIdentityError, match=r"printed none within 0\.3 s"):
        identity_source(Identity(command='sh -c "sleep 600 & sleep 600"'))(AUDIENCE)
    assert time.monotonic() - began < 30


def test_a_command_without_an_audience_gives_what_its_login_has(metadata: MetadataServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(metadata.make_token("32555940559.apps.googleusercontent.com"), encoding="utf-8")
    command = f'"{sys.executable}" -c "{PRINTS}" token'
    token = identity_source(Identity(command=command, folder=tmp_path))(AUDIENCE)
    assert (token.audience, token.account) == ("32555940559.apps.googleusercontent.com", metadata.account)


def test_what_is_no_key_file_is_told_and_not_shown(metadata: MetadataServer, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    for text in ('{"type": "authorized_user", "refresh_token": "s3cr3t"}', "s3cr3t"):
        key.write_text(text, encoding="utf-8")
        with pytest.raises(NoIdentityError) as raised:
            identity_source(Identity(credentials=key))(AUDIENCE)
        assert str(key) in str(raised.value) and "s3cr3t" not in str(raised.value)
    with pytest.raises(NoIdentityError, match="No such file"):
        identity_source(Identity(credentials=tmp_path / "none.json"))(AUDIENCE)
    metadata.refuses = 401
    with pytest.raises(NoIdentityError, match="HTTP 401: a fault that was asked for"):
        identity_source(Identity(credentials=metadata.key_file(key)))(AUDIENCE)


def test_what_googles_library_finds_by_itself(metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
    found = identity_source(Identity())
    assert found(AUDIENCE).account == metadata.account
    with MetadataServer(account="keyed@local-cloud.iam.gserviceaccount.com") as other:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(other.key_file(tmp_path / "key.json")))
        assert found(AUDIENCE).account == other.account, "a key file that is named comes first"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(NoIdentityError, match=r"names .*none\.json, which is not there"):
        found(AUDIENCE)


def test_where_there_is_nothing_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:1")
    found = identity_source(Identity())
    for login in ("", '{"type": "authorized_user", "client_id": "c", "client_secret": "s3cr3t", "refresh_token": "r"}'):
        if login:
            (tmp_path / "login.json").write_text(login, encoding="utf-8")
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "login.json"))
        with pytest.raises(NoIdentityError) as raised:
            found(AUDIENCE)
        assert str(raised.value) == (
            "GOOGLE_APPLICATION_CREDENTIALS names no key file of a service account, and there is no metadata server. "
            "A user's login gives none either: set credentials, impersonate or identity_command in the target's settings"
        )


def test_whoever_is_found_may_act_as_another(metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    acting = as_impersonated(metadata, tmp_path, monkeypatch).impersonate
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    token = identity_source(Identity(impersonate=acting))(AUDIENCE)
    assert (token.account, token.audience) == (acting, AUDIENCE)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:1")
    with pytest.raises(NoIdentityError, match=f"nobody is logged in who could act as {acting}: gcloud auth application-default"):
        identity_source(Identity(impersonate=acting))(AUDIENCE)


def test_whom_a_named_metadata_server_knows_may_act_as_another(
    metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = as_impersonated(metadata, tmp_path, monkeypatch).impersonate
    found = identity_source(Identity(impersonate=acting, metadata_host=metadata.host))
    for name, value in {"GCE_METADATA_HOST": "127.0.0.1:1", "CLOUDSDK_CONFIG": str(tmp_path), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)  # nobody but the one that is named is asked
    assert (found(AUDIENCE).account, metadata.asked) == (acting, [AUDIENCE])
    started = time.monotonic()
    with pytest.raises(NoIdentityError, match=r"^127\.0\.0\.1:1, which gives them: no connection$"):
        identity_source(Identity(impersonate=acting, metadata_host="127.0.0.1:1"))(AUDIENCE)
    monkeypatch.setattr("google.auth.iam._IAM_IDTOKEN_ENDPOINT", "http://127.0.0.1:2/{}:generateIdToken")
    with pytest.raises(NoIdentityError, match=r"^127\.0\.0\.1:2, which gives them: no connection$"):
        found(AUDIENCE)
    assert time.monotonic() - started < 5


def polled(service: Service) -> Http:
    answer = Answer(status="state", error="error", means={"running": "running", "done": "done"})
    poll = Poll(f"{service.url}/jobs/1", every=0.01, within=20.0)
    return Http(f"{service.url}/start", identity=True, answer=answer, poll=poll, timeout=20.0)


def test_what_is_asked_after_is_asked_with_a_token_that_is_renewed(metadata: MetadataServer, tmp_path: Path) -> None:
    checks = checking(metadata)

    def answer(asked: Asked, before: int) -> Said:
        if asked.method == "GET" and before == 1:
            metadata.revoke()
        said = checks(asked, before)
        if said.status == 401:
            return said
        return Said(202, {}) if asked.method == "POST" else Said(body={"state": "done" if before > 2 else "running"})

    with serving(answer) as service:
        assert ask(runner_of(tmp_path, Identity(metadata_host=metadata.host)), polled(service)) == DONE
    assert [(asked.method, asked.path) for asked in service.asked] == [("POST", "/start"), *[("GET", "/jobs/1")] * 4]
    assert len(set(seen(service))) == 2


def test_what_was_accepted_is_not_called_again_for_want_of_a_token(metadata: MetadataServer, tmp_path: Path) -> None:
    def answer(asked: Asked, _before: int) -> Said:
        return Said(202, {}) if asked.method == "POST" else Said(401, {"error": "who?"})

    with serving(answer) as service:
        http = polled(service)
        assert http.poll is not None
        http = replace(http, poll=replace(http.poll, within=0.2))
        outcome = ask(runner_of(tmp_path, Identity(metadata_host=metadata.host)), http)
    assert (outcome.claim, outcome.failure) == (Claim.FAILED, Failure.UNKNOWN)
    assert outcome.why.startswith("accepted, and no end after 0.2 s: ")


class Leaks(logging.Handler):
    """Everything that any library logs, with all that records carry."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        self.text.write(f"{record.getMessage()} {vars(record)}\n")


@pytest.fixture
def leaks() -> Iterator[Leaks]:
    handler, loggers = Leaks(), [logging.getLogger(name) for name in ("", "google", "urllib3")]
    held = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield handler
    for logger, (level, propagate) in zip(loggers, held, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@WAYS
def test_a_token_shows_nowhere_and_goes_to_nobody_else(
    metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make, leaks: Leaks
) -> None:
    tokens = tokens_of(make(metadata, tmp_path, monkeypatch))
    runner = HttpRunner(CallFolders(tmp_path), {"HOST": "plain.example"}, tokens)

    def echoes(asked: Asked, _before: int) -> Said:
        return Said(400, {"error": f"bad {asked.headers['Authorization']}"}, {"X-Echo": asked.headers["Authorization"]})

    def cuts(asked: Asked, _before: int) -> Said:
        token = asked.headers["Authorization"].split()[1]
        return Said(400, {"error": f"{token[:90]}... is not for {token.split('.')[0]}"})

    with serving(Said()) as elsewhere:
        with serving(cuts) as service:
            assert ask(runner, http_of(service)).why == "HTTP 400: *** is not for ***"
        with serving(Said(307, b"", {"Location": f"{elsewhere.url}/x"})) as service:
            assert ask(runner, http_of(service)).failure is Failure.PERMANENT
        with serving(echoes) as service:
            outcome = ask(runner, http_of(service))
        assert outcome.why == "HTTP 400: bad Bearer ***…"
        assert elsewhere.asked == [], "redirects are not followed"
    before = list(metadata.asked)
    plain = ask(runner, Http("http://${HOST}/x", identity=True, timeout=20.0))
    assert plain.why == "nothing was sent: a secret would go to plain.example over plain http. Use https"
    assert metadata.asked == before, "there is not even a token for it"
    token = tokens.token(metadata.asked[-1])
    kept = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "logs").rglob("*.log"))
    assert "HTTP 400" in kept and "> " in kept
    assert "eyJ" not in kept
    given = [*metadata.tokens(), *(text.rpartition(".")[0] for text in metadata.tokens())]
    assert len(metadata.tokens()) >= 2
    for said in (kept, leaks.text.getvalue(), repr(outcome), repr(token), str(vars(runner))):
        assert not any(text in said for text in given)


@WAYS
def test_a_traceback_holds_no_token(
    metadata: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    metadata.audience = "https://elsewhere.test"
    identity = make(metadata, tmp_path, monkeypatch)
    with pytest.raises(NoIdentityError) as raised:
        tokens_of(identity).token(AUDIENCE)
    with pytest.raises(NoIdentityError) as broken:
        read_token(metadata.tokens()[0].replace(".", ",", 1), AUDIENCE, strict=True)
    with pytest.raises(NoIdentityError) as told:
        raise NoIdentityError(f"the answer was {{'token': '{metadata.tokens()[0]}'}} and ya29.s3cr3t-0f_access")
    assert str(told.value) == "the answer was {'token': '***'} and ***"
    for error in (raised, broken, told):
        said = "".join(traceback.format_exception(error.value))
        assert not any(part in said for text in metadata.tokens() for part in (text, *text.split(".")[1:]))


def test_what_was_set_is_not_in_the_way_of_a_plain_call(tmp_path: Path) -> None:
    def refuses(_audience: str) -> Any:
        raise AssertionError("nobody wants a token")

    runner = HttpRunner(CallFolders(tmp_path), {}, IdentityTokens(refuses))
    with serving(Said()) as service:
        assert ask(runner, Http(service.url, timeout=20.0)) == DONE
    assert seen(service) == [""]
