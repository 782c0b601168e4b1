"""Whether declarations hold values of the kinds that their fields are for: a type checker's work, for those who run none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import FunctionType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

#: Fields of which more is said where their values are judged.
_JUDGED = frozenset(("window", "warmup", "settles_after", "per", "arguments", "values"))
#: What kinds are called that authors do not write as they are called.
_NAMES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "Called": "a spec such as Python(…) or Sql(…)",
    "Source": "SOURCE",
}
_NUMBERS = {int: (int,), float: (int, float)}
#: Kinds of values that hold no declaration.
_WHOLE = frozenset((str, int, float, bool, NoneType, FunctionType))

_Fit = Callable[[object], bool]


def shape_problems(value: object) -> Iterator[str]:
    """What is wrong with the kinds of a declaration's values, and of those within it."""
    kind: Any = type(value)
    for name, hint, fit in _fields_of(kind):
        given = getattr(value, name)
        if not fit(given):
            yield f"has {name}={_shown(given)}. {_mend(name, given, hint)}"
            continue
        if type(given) in _WHOLE:
            continue
        for within in _parts(given):
            yield from (f"has {name}={_shown(within)}, which {problem}" for problem in shape_problems(within))


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of the kind that an annotation names. Lists do for tuples, whole numbers for others."""
    return _fit(hint)(value)


@cache
def _fit(hint: Any) -> _Fit:
    """Whether a value fits an annotation, which is taken apart once: a graph has thousands of values of a few kinds."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return _anything
    if origin in (Union, UnionType):
        return _any_of([_fit(each) for each in args])
    if origin is Literal:
        return lambda value: value in args
    if origin is tuple and args[-1:] != (...,):
        each_fits = [_fit(each) for each in args]
        return lambda value: (
            isinstance(value, (tuple, list))
            and len(value) == len(args)
            and all(fit(each) for fit, each in zip(each_fits, value, strict=True))
        )
    if origin in (tuple, Sequence):
        element_fits = _fit(args[0])
        return lambda value: isinstance(value, (tuple, list)) and all(map(element_fits, value))
    if origin is Mapping:
        # Which words there are for a meaning is told with a hint where they are judged.
        key_fits, item_fits = _fit(args[0]), _fit(str if get_origin(args[1]) is Literal else args[1])
        return lambda value: isinstance(value, Mapping) and all(key_fits(key) and item_fits(each) for key, each in value.items())
    if origin is Callable:
        return callable
    kinds = _NUMBERS.get(hint, hint)
    if hint is bool:
        return lambda value: isinstance(value, bool)
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool)


def _any_of(some: Sequence[_Fit]) -> _Fit:
    return lambda value: any(fit(value) for fit in some)


def _anything(_: object) -> bool:
    return True


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, Any, _Fit], ...]:
    """Name, annotation and what fits it, of each field of a declaration."""
    known = get_type_hints(kind)
    return tuple(
        (each.name, known[each.name], _anything if each.name in _JUDGED else _fit(known[each.name])) for each in fields(kind)
    )


@cache
def _declares(kind: Any) -> bool:
    return is_dataclass(kind)


def _parts(given: object) -> Iterator[object]:
    """The declarations within a value."""
    if isinstance(given, Mapping):
        given = tuple(given.values())
    for each in given if isinstance(given, (tuple, list)) else (given,):
        kind: Any = type(each)
        if _declares(kind):
            yield each


def _mend(name: str, given: object, hint: Any) -> str:
    if isinstance(given, type):
        return f"Call it: {_shown(given)}(…)"
    wanted = [each for each in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)) if each is not NoneType]
    for each in wanted:
        if get_origin(each) not in (tuple, Sequence) or get_args(each)[-1:] != (...,):
            continue
        element = get_args(each)[0]
        if fits(given, element):
            return f"Put it in brackets, with a comma behind: {name}=({_shown(given)},)"
        if isinstance(given, (tuple, list)):
            wrong = next(one for one in given if not fits(one, element))
            call = f": call it, {_shown(wrong)}()" if isinstance(wrong, type) else f", which is not {_words(element)}"
            return f"It holds {_shown(wrong)}{call}"
    return f"It takes {' or '.join(dict.fromkeys(map(_words, wanted)))}"


def _words(hint: Any) -> str:
    """What an annotation wants, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(each) for each in args if each is not NoneType))
    if origin is Literal:
        return " or ".join(f'"{each}"' for each in args)
    if origin is tuple and args[-1:] != (...,):
        return f"({', '.join(map(_words, args))})"
    if origin in (tuple, Sequence):
        return f"several in brackets, each {_words(args[0])}"
    if origin is Mapping:
        return "a dict, {…: …}"
    if origin is Callable:
        return "a function"
    return _NAMES.get(hint.__name__, f"{hint.__name__}(…)")


def _shown(given: object) -> str:
    """A value as its author wrote it, or nearly so."""
    if isinstance(given, type) or callable(given):
        return getattr(given, "__name__", repr(given))
    if is_dataclass(given):
        first = next((getattr(given, field.name) for field in fields(given) if not field.kw_only), None)
        within = f'"{first}"' if isinstance(first, str) else "" if repr(given) == _bare(type(given)) else "…"
        return f"{type(given).__name__}({within})"
    if isinstance(given, (tuple, list)):
        return f"({', '.join(map(_shown, given))}{',' if len(given) == 1 else ''})"
    if isinstance(given, Mapping):
        return f"{{{', '.join(f'{_shown(key)}: {_shown(each)}' for key, each in given.items())}}}"
    return f'"{given}"' if isinstance(given, str) else repr(given)


def _bare(kind: Any) -> str:
    """What a declaration is that was given nothing; empty where it wants something."""
    try:
        return repr(kind())
    except TypeError:
        return ""
