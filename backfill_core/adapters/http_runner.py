"""The runner of `Http` specs: one request a call, asked after until it is done where the service only accepts it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from backfill_core.adapters.call_folder import CallFolders, masked
from backfill_core.adapters.http_requests import check_private, question_of, request_of, secrets_of, with_identity
from backfill_core.adapters.http_wire import LateError, NoReplyError, NotSentError, Request, StoppedError, Wire
from backfill_core.adapters.identity_sources import Identity, identity_source
from backfill_core.adapters.identity_tokens import WITHIN, IdentityTokens, NoIdentityError, scrubbed
from backfill_core.calls import call_values
from backfill_core.events import Claim, Failure, Outcome
from backfill_core.model.hosts import audience
from backfill_core.model.http import Http, Poll
from backfill_core.model.templates import Pieces, TemplateError, fill_text
from backfill_core.model.units import Unit
from backfill_core.ports import BatchResult, Call
from backfill_core.queries.dialect import Names
from backfill_core.replies import Reply, outcome_of, read_reply, same_for_all

#: Calls that never reached the service are sent again so many times, within about a second.
_CONNECTS = 3
#: Seconds after which an accepted call is first asked after.
_FIRST_QUESTION = 0.1
#: Characters of an answer that its log keeps.
_KEPT = 100_000
_Outcomes = Mapping[Unit, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Going:
    """A call under way."""

    call: Call
    spec: Http
    pieces: Pieces
    #: Processors by name, as the service calls them.
    names: Mapping[str, str]
    #: Texts that show nowhere.
    secrets: list[str]
    log: Callable[[str], None]
    #: When its time is up, on the monotonic clock.
    until: float | None

    @property
    def left(self) -> float | None:
        """Seconds that are left of its time."""
        return None if self.until is None else max(0.001, self.until - monotonic())

    def all(self, outcome: Outcome) -> _Outcomes:
        return same_for_all(self.call.batch, outcome)


class HttpRunner:
    """Runs `Http` specs."""

    def __init__(
        self,
        folders: CallFolders,
        environment: Mapping[str, str] | None = None,
        tokens: IdentityTokens | None = None,
        place: Names | None = None,
    ) -> None:
        """``environment`` holds what specs may name; without ``tokens`` they are those that Google's libraries find.

        ``place`` is where the target keeps its tables.
        """
        self.folders = folders
        self.environment = os.environ if environment is None else environment
        self.tokens = tokens or IdentityTokens(identity_source(Identity()))
        self.place = place or Names()
        self.wire = Wire()

    def run(self, call: Call) -> BatchResult:
        assert isinstance(call.spec, Http)
        secrets = secrets_of(call.spec, self.environment)
        try:
            outcomes = self._run(call, call.spec, secrets)
        except TemplateError as error:
            outcomes = same_for_all(call.batch, outcome_of("failed", f"nothing was sent: {error}"))
        except (OSError, ValueError) as error:
            outcomes = same_for_all(call.batch, outcome_of("failed", f"nothing was sent: {error}"))
        return BatchResult(outcomes={unit: _masked(outcome, call.spec, secrets) for unit, outcome in outcomes.items()})

    def close(self) -> None:
        """Gives up what is under way: nobody knows what becomes of it."""
        self.wire.close()

    def _begun(self, call: Call, spec: Http, secrets: list[str]) -> _Going:
        """A call about to leave, with its log. Raises OSError."""
        names = {name: _name_of(call, name) for name in call.batch.processors}
        path = self.folders.log(call)

        def log(text: str) -> None:
            with path.open("a", encoding="utf-8") as file:
                file.write(_shown(text, spec, secrets) + "\n")

        limit = spec.time_limit
        return _Going(
            call=call,
            spec=spec,
            pieces=Pieces(call_values(call, names, self.place), self.environment),
            names=names,
            secrets=secrets,
            log=log,
            until=None if limit is None else monotonic() + limit,
        )

    def _run(self, call: Call, spec: Http, secrets: list[str]) -> _Outcomes:
        going = self._begun(call, spec, secrets)
        request = request_of(spec, going.pieces)
        check_private(request.url, spec, secrets)
        going.log(f"> {request.method} {request.url}")
        if request.body:
            going.log(f"> {request.body.decode()}")
        try:
            reply = self._send(going, request)
        except NoIdentityError as error:
            return going.all(outcome_of("auth", str(error)))
        except NotSentError as error:
            return going.all(outcome_of("transient", str(error)))
        except LateError:
            return going.all(outcome_of("unknown", f"sent, and no answer within {spec.time_limit:g} s"))
        except NoReplyError as error:
            return going.all(outcome_of("unknown", f"sent, and {error}"))
        except StoppedError:
            return going.all(outcome_of("unknown", "given up, for the run was stopped"))
        _log_reply(going, reply)
        if 300 <= reply.status < 400 and reply.status not in spec.statuses:
            why = f"HTTP {reply.status}: it sends us elsewhere, and redirects are not followed. Name that address"
            return going.all(outcome_of("failed", why))
        outcomes = read_reply(spec, spec.answer, call.batch, going.names, reply)
        if outcomes is not None:
            return outcomes
        if spec.poll is None:
            return going.all(outcome_of("unknown", f"HTTP {reply.status}: it goes on, and no poll= says how to ask after it"))
        return self._poll(going, spec.poll, request.url, reply)

    def _send(self, going: _Going, request: Request) -> Reply:
        """Sends a request with the identity that its spec wants, and once more with a new one where that is refused.

        Raises NoIdentityError beside what a wire raises.
        """
        wanted = going.spec.identity
        if not wanted:
            return self._connected(going, request)
        meant = audience(request.url) if wanted is True else fill_text(wanted, going.pieces)
        token = self._token(going, meant)
        reply = self._connected(going, with_identity(request, token))
        if reply.status == 401 and going.spec.meaning(401) == "auth":
            going.log(f"< HTTP 401 for a token for {meant}: once more with a new one")
            reply = self._connected(going, with_identity(request, self._token(going, meant, refused=token)))
        return reply

    def _token(self, going: _Going, meant: str, refused: str | None = None) -> str:
        within = WITHIN if going.left is None else min(WITHIN, going.left)
        token = self.tokens.token(meant, refused=refused, within=within).text
        going.secrets.append(token)  # nothing that the service says of it is kept
        return token

    def _connected(self, going: _Going, request: Request) -> Reply:
        """Sends a request, once more where it did not get as far as the service."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        for attempt in Retrying(
            retry=retry_if_exception_type(NotSentError),
            stop=stop_after_attempt(_CONNECTS),
            wait=wait_random_exponential(multiplier=0.1, max=0.5),
            sleep=self._pause,
            reraise=True,
        ):
            with attempt:
                return self.wire.send(request, going.left)
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, seconds: float) -> None:
        self.wire.closed.wait(seconds)

    def _poll(self, going: _Going, poll: Poll, asked: str, accepted: Reply) -> _Outcomes:
        """Asks what became of an accepted call until it says so, or its time is up."""
        try:
            request = question_of(going.spec, poll, going.pieces, asked=asked, accepted=accepted)
            check_private(request.url, going.spec, going.secrets)
        except ValueError as error:  # it was accepted, and goes on unobserved
            return going.all(outcome_of("unknown", f"accepted, and cannot be asked after: {error}"))
        until = monotonic() + poll.within
        until = until if going.until is None else min(until, going.until)
        wait, last = min(poll.every, _FIRST_QUESTION), "no answer"
        while True:
            if monotonic() + wait >= until:
                return going.all(outcome_of("unknown", f"accepted, and no end after {_seconds(going, poll)} s: {last}"))
            if self.wire.closed.wait(wait):
                return going.all(outcome_of("unknown", "accepted, and not asked after any more, for the run was stopped"))
            wait = min(poll.every, 2 * wait)
            try:
                reply = self._send(replace(going, until=until), request)
            except (StoppedError, LateError):  # the time is up, and what it said last is what is known
                continue
            except (NotSentError, NoReplyError, NoIdentityError) as error:
                last = str(error) or "no answer"
                continue
            _log_reply(going, reply)
            outcomes = read_reply(going.spec, poll.answer or going.spec.answer, going.call.batch, going.names, reply)
            if outcomes is None:
                last = "it is still at it"
            elif _in_passing(outcomes):
                wait = max(poll.every, reply.retry_after or 0.0)
                last = next(iter(outcomes.values())).why
            else:
                return outcomes


def _in_passing(outcomes: _Outcomes) -> bool:
    """Whether asking after a call went wrong in a way that says nothing of the call."""
    return all(
        outcome.claim is Claim.FAILED and outcome.failure in (Failure.TRANSIENT, Failure.UNKNOWN, Failure.AUTH)
        for outcome in outcomes.values()
    )


def _name_of(call: Call, name: str) -> str:
    spec = call.specs.get(name, call.spec)
    return (spec.known_as if isinstance(spec, Http) else None) or name


def _log_reply(going: _Going, reply: Reply) -> None:
    said = _shown(reply.body.decode("utf-8", "replace"), going.spec, going.secrets)[:_KEPT]
    with suppress(OSError):  # what the service did counts, whether it can be written down here or not
        going.log(f"< HTTP {reply.status}" + (f"\n< {said}" if said else ""))


def _seconds(going: _Going, poll: Poll) -> str:
    limit = going.spec.time_limit
    return f"{poll.within if limit is None else min(poll.within, limit):g}"


def _masked(outcome: Outcome, spec: Http, secrets: list[str]) -> Outcome:
    return replace(outcome, why=_shown(outcome.why, spec, secrets)) if any(secrets) and outcome.why else outcome


def _shown(text: str, spec: Http, secrets: list[str]) -> str:
    """The text without secrets; of a service that gets tokens also without what it cut out of one."""
    clean = masked(text, secrets)
    return scrubbed(clean) if spec.identity else clean
