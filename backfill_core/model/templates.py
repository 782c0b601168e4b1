"""Texts with names in braces, filled in from a call: arguments, environment, addresses, headers, bodies.

``{date}`` stands for a value of the call, ``{date:%Y%m%d}`` for a day in a format, ``${NAME}`` for an environment variable;
``{{`` and ``}}`` are braces, and ``$$`` before one is a dollar. What is not known, or is empty when its turn comes, is an error
and never an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from string import Formatter
from typing import Any, NamedTuple

#: What a call tells: name -> what it is.
NAMES: Mapping[str, str] = {
    "date": "its only date",
    "date_from": "its first date",
    "date_to": "its last date",
    "dates": "its dates",
    "processor": "its only processor",
    "processors": "its processors",
    "prefix": "what stands before every dataset's name on the target; may be nothing",
    "dataset": "the dataset of its tables on the target, prefix and all",
    "run": "the run's name",
    "batch": "the call's number in the run",
    "attempt": "which call of these units it is, from 1 on",
    "has_rows": "whether its dates hold rows already",
    "reason": "why it is planned",
    "forced": "whether rows that are there are to be written anew",
    "correlation_id": "the run and what the call is about, the same at each attempt",
    "idempotency_key": "the same, the same nowhere else",
}
#: Those that are days, or several of them: they may have a format.
DAYS = ("date", "date_from", "date_to", "dates")
#: Fields that stand for environment variables: ``${NAME}``, and what a `Secret` is written as.
VARIABLE, SECRET = "$", "secret"
#: What a Secret is made from.
_SOURCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_BRACES = "Two braces, {{ and }}, stand for one"


class TemplateError(ValueError):
    """A template that cannot be filled; the text says which name and why."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The value of an environment variable, ``Secret("env:KEY")``, where a text may stand in headers, body and environment.

    It is looked up when a call leaves, shows nowhere, and leaves only over https or to this machine. In a longer text it is
    written ``f"Bearer {Secret('env:KEY')}"``. Raises ValueError for anything that names no variable.
    """

    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not _SOURCE.fullmatch(self.source):
            # Without the text: somebody may have put the secret itself there.
            raise ValueError('a Secret names no variable. Write Secret("env:NAME"), and the value into the environment or .env')

    @property
    def variable(self) -> str:
        """The variable that holds it."""
        return self.source.removeprefix("env:")

    def __str__(self) -> str:
        """What stands for it in a template."""
        return f"{{secret:{self.variable}}}"


class Field(NamedTuple):
    """A name in braces, and what stands behind its colon."""

    name: str
    argument: str

    def __str__(self) -> str:
        if self.name == VARIABLE:
            return f"${{{self.argument}}}"
        return f"{{{self.name}:{self.argument}}}" if self.argument else f"{{{self.name}}}"


class Pieces(NamedTuple):
    """Where the values of a template come from."""

    values: Mapping[str, Any]
    environment: Mapping[str, str]
    #: What ``{answer:path}`` looks into.
    answer: Any = None


def texts(value: Any) -> Iterator[str]:
    """Every text in a value made of mappings and sequences, keys left out."""
    if isinstance(value, (str, Secret)):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from texts(each)


def fields(text: str) -> list[Field]:
    """The names in a text. Raises TemplateError for braces that do not pair, or hold no name."""
    return [field for _, field in _parts(text) if field is not None]


def environment_names(value: Any, kinds: Sequence[str] = (VARIABLE, SECRET)) -> list[str]:
    """The environment variables that the texts of a value name, each once."""
    found = (field for text in texts(value) for field in fields(text) if field.name in kinds)
    return list(dict.fromkeys(field.argument for field in found))


def fill(value: Any, pieces: Pieces) -> Any:
    """The value with every text in it filled in. A text that is nothing but one name becomes its value: a list, a number, true.

    Raises TemplateError.
    """
    if isinstance(value, Secret):
        return fill_text(value, pieces)
    if isinstance(value, str):
        parts = list(_parts(value))
        if len(parts) == 1 and parts[0][0] == "" and (only := parts[0][1]) is not None:
            return _plain(_value(only, pieces), only)
        return fill_text(value, pieces)
    if isinstance(value, Mapping):
        return {key: fill(each, pieces) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [fill(each, pieces) for each in value]
    return value


def fill_text(text: str | Secret, pieces: Pieces, quote: Callable[[str], str] = str) -> str:
    """The text filled in, as text; ``quote`` is put round each value. Raises TemplateError."""
    filled = []
    for literal, field in _parts(str(text)):
        filled.append(literal)
        if field is not None:
            filled.append(quote(_words(_value(field, pieces), field)))
    return "".join(filled)


def look_into(answer: Any, path: str) -> Any:
    """What stands at a path of names with dots in a JSON answer; a number picks from a list. None where nothing does."""
    found = answer
    for name in path.split(".") if path else ():
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def _parts(text: str) -> Iterator[tuple[str, Field | None]]:
    try:
        for literal, name, argument, conversion in Formatter().parse(text):
            if name is None:
                yield literal, None
            elif not name.isidentifier() or conversion or "{" in (argument or ""):
                raise TemplateError(f'"{text}" has braces round "{name}", which is no name. {_BRACES}')
            elif literal.endswith("$") and not literal.endswith("$$"):
                if argument:
                    raise TemplateError(f'"{text}" has more than a name in ${{{name}:{argument}}}. Write ${{{name}}}')
                yield literal[:-1], Field(VARIABLE, name)
            else:
                literal = literal[:-1] if literal.endswith("$$") else literal
                yield literal, Field(name, argument or "")
    except ValueError as error:
        if isinstance(error, TemplateError):
            raise
        raise TemplateError(f'"{text}" has a brace without its other. {_BRACES}') from error


def _value(field: Field, pieces: Pieces) -> Any:
    if field.name in (VARIABLE, SECRET):
        value: Any = pieces.environment.get(field.argument)
        if not value:
            raise TemplateError(f"environment variable {field.argument} is {'not set' if value is None else 'empty'}")
        return value
    if field.name == "answer":
        value = look_into(pieces.answer, field.argument)
        if value is None or isinstance(value, (list, Mapping)):
            raise TemplateError(f'the answer holds nothing at "{field.argument}"')
    else:
        value = pieces.values.get(field.name)
    if value is None:
        raise TemplateError(f"this call has no {field}")
    if value in ("", [], ()) and field.name != "prefix":
        raise TemplateError(f"{field} is empty in this call")
    return value


def _plain(value: Any, field: Field) -> Any:
    """A value as JSON has it."""
    if isinstance(value, date):
        return _words(value, field)
    if isinstance(value, (list, tuple)):
        return [_plain(each, field) for each in value]
    return value


def _words(value: Any, field: Field) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.strftime(field.argument) if field.argument else value.isoformat()
    if isinstance(value, (list, tuple)):
        return ",".join(_words(each, field) for each in value)
    return str(value)
