"""What is wrong with how a processor is called, said in words before anything leaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from inspect import signature
from types import FunctionType
from typing import Any

from backfill_core.errors import did_you_mean
from backfill_core.model.command import Command
from backfill_core.model.hosts import SECRET_HEADERS, is_private, origin
from backfill_core.model.http import Answer, Http
from backfill_core.model.meanings import MEANINGS
from backfill_core.model.processor import Processor
from backfill_core.model.runs import Called, Python, RunSpec
from backfill_core.model.table import Table
from backfill_core.model.templates import DAYS, NAMES, SECRET, VARIABLE, Secret, TemplateError, environment_names, fields, texts

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Where an address that is not built from names ends its host.
_HOST = re.compile(r"(https?://[^/?#{}]+)(?:[/?#]|$)")


def specs_of(processor: Processor) -> dict[str, RunSpec]:
    """A processor's specs by runtime; one for all of them has an empty name."""
    return dict(processor.run) if isinstance(processor.run, Mapping) else {"": processor.run}


def spec_problems(processor: Processor, processors: Mapping[str, Processor]) -> Iterator[str]:
    """What is wrong with a processor's specs, and with those that go together with it in one call."""
    for runtime, spec in specs_of(processor).items():
        match spec:
            case Command():
                yield from _command_problems(spec)
                yield from _company_problems(processor, spec, runtime, processors)
            case Http():
                yield from _http_problems(spec)
                yield from _company_problems(processor, spec, runtime, processors)
            case Python():
                yield from _function_problems(spec)
            case _:
                pass


def _function_problems(spec: Python) -> Iterator[str]:
    name = getattr(spec.function, "__qualname__", "")
    if spec.process and (not name or "<" in name):
        yield "runs in a process of its own, which finds a function by its name. Define it at the top of its file"
    if callable(spec.function) and not _takes_two(spec.function):
        named = f"{name}({', '.join(signature(spec.function).parameters)})"
        yield f"runs {named}, which is called with two values. Write def {name or 'work'}(dates, ctx)"


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function may be called with two values, as far as it says."""
    if isinstance(function, FunctionType) and (function.__code__.co_argcount, function.__code__.co_kwonlyargcount) == (2, 0):
        return True  # as nearly all do; to ask for a signature takes longer than all the rest
    try:
        signature(function).bind([], None)
    except ValueError:  # one that is written in C need not say
        return True
    except TypeError:
        return False
    return True


def _command_problems(spec: Command) -> Iterator[str]:
    if (
        isinstance(spec.arguments, str)
        or not spec.arguments
        or not all(isinstance(each, str | Secret) for each in spec.arguments)
    ):
        yield 'runs a command that is no list of texts. No shell reads it: Command(["program", "--day", "{date}"])'
        return
    for argument in map(str, spec.arguments):
        yield from _name_problems(spec, argument, f'the argument "{argument}"')
        if any(field.name == SECRET for field in _fields(argument)):
            yield f'shows a secret in the argument "{argument}", for all on this machine to read. Put it in environment={{…}}'
    for name, value in spec.environment.items():
        yield from _name_problems(spec, str(value), f"{name} of its environment")
    for code, means in spec.exit_codes.items():
        if type(code) is not int or code not in range(256):
            yield f"says what exit code {code!r} means. They go from 0 to 255"
        yield from _means_problems(means, f"exit code {code}", but=("running",))


def _http_problems(spec: Http) -> Iterator[str]:
    yield from _name_problems(spec, spec.url, "its address")
    if spec.method not in _METHODS:
        yield f'has the method "{spec.method}". There are {", ".join(_METHODS)}'
    for text in texts(spec.json):
        yield from _name_problems(spec, text, f'"{text}" in its body')
    for name, value in spec.headers.items():
        if not _HEADER.fullmatch(name) or "\n" in str(value) or "\r" in str(value):
            yield f'has a header "{name}" that cannot be sent'
        yield from _name_problems(spec, str(value), f"its header {name}")
    yield from _identity_problems(spec)
    told = {field.name for text in texts([spec.url, spec.headers, spec.json]) for field in _fields(text)}
    if spec.max_dates > 1 and not spec.consecutive and {"date_from", "date_to"} <= told and "dates" not in told:
        yield "is told the first and the last date of a call alone, and a call may leave dates out. Set consecutive=True"
    for status, means in spec.statuses.items():
        if type(status) is not int or status not in range(100, 600):
            yield f"says what status {status!r} means. They go from 100 to 599"
        yield from _means_problems(means, f"status {status}", but=() if spec.poll else ("running",))
    for answer in [spec.answer, *([spec.poll.answer] if spec.poll else [])]:
        if answer is not None:
            yield from _answer_problems(answer, polled=spec.poll is not None)
    if spec.poll is not None:
        yield from _name_problems(spec, spec.poll.url, "the address of its poll", more=("answer", "location"))
        if spec.poll.every <= 0 or spec.poll.within <= 0:
            yield "polls in no time. Give every= and within= more than 0 seconds"
        if (spec.poll.answer or spec.answer or Answer()).status == "":
            yield 'polls, and no answer says when to stop. Name where: Answer(status="…", means={…})'
    yield from _address_problems(spec)


def _identity_problems(spec: Http) -> Iterator[str]:
    if spec.identity and any(name.lower() == "authorization" for name in spec.headers):
        yield "sends an identity token and a header Authorization of its own. Keep one of the two"
    if isinstance(spec.identity, str):
        if not spec.identity or not spec.identity.isprintable() or " " in spec.identity:
            yield f'has the audience "{spec.identity}", which is none. Write identity=True, or identity="https://host"'
        yield from _name_problems(spec, spec.identity, "its audience")


def _address_problems(spec: Http) -> Iterator[str]:
    """Of addresses whose host stands there in plain words."""
    secret = has_secret(spec)
    for url in [spec.url, *([spec.poll.url] if spec.poll else [])]:
        host = _HOST.match(url)
        if host is None:
            if not url.startswith(("${", "{location}", "{answer:", "http://{", "https://{")):
                yield f'has the address "{url}", which does not begin with https:// or http:// and a host'
            continue
        try:
            origin(host.group(1))
        except ValueError as error:
            yield f'has the address "{url}": {error}'
        else:
            if secret and not is_private(host.group(1)):
                yield f"would send a secret to {host.group(1)}, where it can be read on the way. Use https"


def has_secret(spec: Http) -> bool:
    """Whether what is sent holds something that others must not read."""
    if spec.identity or any(name.lower() in SECRET_HEADERS for name in spec.headers):
        return True
    try:
        return bool(environment_names([spec.headers, spec.json]))
    except TemplateError:
        return False


def _answer_problems(answer: Answer, *, polled: bool) -> Iterator[str]:
    but = () if polled else ("running",)
    for value, means in answer.means.items():
        yield from _means_problems(means, f'"{value}" in its answer', but=but)
    if answer.means and not answer.status:
        yield 'says what values mean, and not where they stand. Name it: Answer(status="…")'
    if answer.status and not answer.means:
        yield f'has no meaning for any value at "{answer.status}" of its answer. Name them: Answer(means={{"ok": "done"}})'
    for sign in answer.signs:
        yield from _means_problems(sign.means, f"a sign {sign}", but=but)
        if sign.status is None and not sign.at and not sign.contains:
            yield "has a sign that fits every answer. Give it a status= or at="
        if sign.at and not sign.values and not sign.contains:
            yield f'has a sign at "{sign.at}" that no value fits. Give it values= or contains='


def _company_problems(processor: Processor, spec: Called, runtime: str, processors: Mapping[str, Processor]) -> Iterator[str]:
    """Of processors that go together: one call can only be made one way."""
    if not spec.together:
        return
    for other in processors.values():
        theirs = specs_of(other).get(runtime)
        if other.name <= processor.name or other.layer != processor.layer or not isinstance(theirs, type(spec)):
            continue
        if theirs.together == spec.together and _way(theirs) != _way(spec):
            yield f'goes together with "{other.name}" ("{spec.together}"), which is called another way. Make them alike'
        elif (
            theirs.together == spec.together
            and isinstance(spec, Http)
            and "dataset" in _named(spec)
            and _dataset(processor) != _dataset(other)
        ):
            there = f'goes together with "{other.name}", whose table is in {_dataset(other)}'
            yield f"names {{dataset}}, and {there} and not in {_dataset(processor)}. Take {{prefix}}"


def _named(spec: Called) -> set[str]:
    """The names in what is sent, or given to a program."""
    match spec:
        case Http():
            given: list[Any] = [spec.url, spec.headers, spec.json]
        case Command():
            given = [spec.arguments, spec.environment]
        case _:
            given = []
    return {field.name for text in texts(given) for field in _fields(text)}


def _dataset(processor: Processor) -> str:
    return processor.writes.name.partition(".")[0] if isinstance(processor.writes, Table) else ""


def _way(spec: Called) -> Called:
    """What of a spec has to be the same for all processors in one call."""
    own = replace(spec, seconds=None)
    return replace(own, known_as=None) if isinstance(own, Http) else own


def _means_problems(means: str, of: str, *, but: Collection[str]) -> Iterator[str]:
    known = [each for each in MEANINGS if each not in but]
    if means not in known:
        yield f'has the meaning "{means}" for {of}.{did_you_mean(means, known)} There are: {", ".join(known)}'


def _name_problems(spec: Called, text: str, where: str, more: Collection[str] = ()) -> Iterator[str]:
    """Of the names in braces in one text."""
    try:
        found = fields(text)
    except TemplateError as error:
        yield f"has in {where} a name that cannot be read: {error}"
        return
    for field in found:
        if field.name in (VARIABLE, SECRET):
            continue
        if field.name == "answer" and "answer" in more:
            if not field.argument:
                yield f"names {field} in {where} and not which. Write {{answer:NAME}}"
        elif field.name not in NAMES and field.name not in more:
            hint = did_you_mean(field.name, NAMES)
            yield f"names {field} in {where}, which no call has.{hint} There are: {', '.join(NAMES)}, and ${{NAME}}"
        elif field.argument and field.name not in DAYS:
            yield f"gives {field} in {where} a format. Only days take one"
        elif field.name == "date" and spec.max_dates > 1:
            yield f"names {{date}} in {where}, and a call has up to {spec.max_dates}. Take {{dates}}, or max_dates=1"
        elif field.name == "processor" and spec.together:
            yield f"names {{processor}} in {where}, and a call has all that go together. Take {{processors}}"


def _fields(text: str) -> list[Any]:
    try:
        return list(fields(text))
    except TemplateError:
        return []
