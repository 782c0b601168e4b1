"""Whether the services that a run would call are there and take us for who we are. They are asked, and do nothing for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backfill_core.model.hosts import audience, check_base, host_part, is_private
from backfill_core.model.http import Http
from backfill_core.model.runs import RunSpec
from backfill_core.model.spec_validity import has_secret
from backfill_core.model.templates import SECRET, VARIABLE, Pieces, TemplateError, fields, fill_text
from backfill_core.project.findings import Finding
from backfill_core.project.runners import identity_tokens, variables_of
from backfill_core.project.session import Session
from backfill_core.replies import Reply

if TYPE_CHECKING:  # it asks over HTTP, which few runs need
    from backfill_core.adapters.http_wire import Wire
    from backfill_core.adapters.identity_tokens import IdentityTokens, Token

#: A path that services have nothing behind: whoever guards the door answers as for any other, and no work is begun.
_PATH = "/robots.txt"
#: Seconds in which a service has to answer. One that has to be started first may take longer, and is not wrong for it.
_WITHIN = 15.0
_CHOICES = "credentials, impersonate, identity_command"


@dataclass(frozen=True, slots=True)
class _Door:
    """A service as it is asked, for all specs that call it in the same way."""

    #: Its scheme and host.
    url: str
    #: Of the identity token that it wants; none: it wants none.
    audience: str | None
    #: Headers that every call sends, whatever it is about.
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    secret: bool


def service_findings(session: Session, names: Collection[str]) -> list[Finding]:
    """What is wrong with the services that those processors call, and with the variables that they name."""
    given = session.variables
    found: list[Finding] = []
    doors: dict[_Door, str] = {}
    for name in sorted(names):
        spec, where = session.pipeline.processors[name].spec_for(session.pipeline.runtime), session.pipeline.declared[name].where
        unset = [variable for variable in variables_of(spec) if not given.get(variable)]
        found += [Finding(what=f'{where}: processor "{name}" names ${{{each}}}, which is not set. Set it') for each in unset]
        try:
            door = _door(spec, Pieces({"prefix": session.target.prefix}, given)) if isinstance(spec, Http) and not unset else None
        except ValueError as error:
            what = f'{where}: processor "{name}" calls {_shown(spec)}, whose address cannot be used: {error}'
            found.append(Finding(what=f"{what}. Write one like https://its.address"))
            continue
        if door:
            doors.setdefault(door, where)
    if doors:
        from concurrent.futures import ThreadPoolExecutor

        from backfill_core.adapters.http_wire import Wire

        tokens, wire = identity_tokens(session.target, session.root), Wire()
        with ThreadPoolExecutor(min(8, len(doors))) as pool:
            for each in pool.map(lambda pair: list(_asked(pair[0], pair[1], tokens, wire)), doors.items()):
                found += each
    return found


def _door(spec: Http, pieces: Pieces) -> _Door | None:
    """How a spec's service is asked; None where its host is not known before the call. Raises ValueError for no address."""
    try:
        base = fill_text(host_part(spec.url), pieces)
        meant = fill_text(spec.identity, pieces) if isinstance(spec.identity, str) else None
    except TemplateError:
        return None
    check_base(base)
    url = audience(base)
    meant = url if spec.identity is True else meant
    always = {VARIABLE, SECRET, "prefix"}
    headers = tuple(
        (header, fill_text(value, pieces))
        for header, value in sorted(spec.headers.items())
        if all(field.name in always for field in fields(str(value)))
    )
    return _Door(url, meant, headers, has_secret(spec))


def _shown(spec: RunSpec | None) -> str:
    """A service as its spec names it: what a variable holds is shown to nobody."""
    return host_part(spec.url) if isinstance(spec, Http) else ""


def _asked(door: _Door, where: str, tokens: IdentityTokens, wire: Wire) -> Iterator[Finding]:
    """What asking a service shows to be wrong."""
    from backfill_core.adapters.http_wire import NoReplyError, NotSentError, Request
    from backfill_core.adapters.identity_tokens import NoIdentityError

    if door.secret and not is_private(door.url):
        yield Finding(what=f"a secret would go to {door.url}, where it can be read on the way. {where}: use https")
        return
    token = None
    try:
        token = tokens.token(door.audience) if door.audience else None
    except NoIdentityError as error:
        mend = "" if _CHOICES.rpartition(" ")[2] in str(error) else f". Log in, or set one of {_CHOICES} for the target"
        yield Finding(what=f"there is no identity token for {door.audience}: {error}{mend}")
        return
    headers = dict(door.headers) | ({"Authorization": f"Bearer {token.text}"} if token else {})
    try:
        reply = wire.send(Request(method="GET", url=door.url + _PATH, headers=headers), _WITHIN)
    except ValueError:  # its words would hold the value
        yield Finding(what=f"{where} has a header with signs in it that no header may have")
    except NotSentError as error:
        yield Finding(what=f"{error} ({door.url}). Is the service up, and its address right? See {where}")
    except NoReplyError as error:
        said = str(error) or f"no answer within {_WITHIN:g} s"
        yield Finding(what=f"{door.url} did not answer: {said}. It may be starting; see {where}", stops=False)
    else:
        yield from _of_reply(door, where, token, reply)


def _of_reply(door: _Door, where: str, token: Token | None, reply: Reply) -> Iterator[Finding]:
    status = f"HTTP {reply.status}"
    if reply.status in (401, 403):
        if token is not None:
            who = token.account or "the account that the token names"
            grant = f"Grant {who} roles/run.invoker on it"
            other = "" if reply.status == 403 else ', or name the audience that it wants: identity="https://…"'
            yield Finding(
                what=f"{door.url} does not accept {who} ({status}, audience {door.audience}). {grant}{other}; see {where}"
            )
        elif door.headers:
            yield Finding(what=f"{door.url} does not accept what {where} sends ({status})", stops=False)
        else:
            what = f"{door.url} wants to know who asks ({status}). If it is a Cloud Run service, {where}: write identity=True"
            yield Finding(what=what, stops=False)
    elif 300 <= reply.status < 400:
        host = urlsplit(reply.location).hostname or "elsewhere"
        yield Finding(what=f"{door.url} sends us to {host} ({status}), and redirects are not followed; see {where}", stops=False)
    elif reply.status >= 500 and reply.status != 501:
        yield Finding(what=f"{door.url} is ill ({status}): its calls may fail. Look at its logs", stops=False)
