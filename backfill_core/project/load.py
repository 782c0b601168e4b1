"""Collecting what project files declare: values, found in a module's namespace however it is written."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from backfill_core.adapters.author_code import PACKAGE
from backfill_core.errors import InvalidProject, Problem, did_you_mean
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay, Monthly, Schedule, Weekly
from backfill_core.model.expectations import Offending
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Sql
from backfill_core.project.author_errors import error_words
from backfill_core.queries.asking import sql_path, tables_named

#: Folders of a project whose files are loaded.
FOLDERS = ("layers", "plugins")
#: Group of entry points by which installed distributions give modules.
ENTRY_POINTS = "backfill.plugins"
_KINDS = (Layer, Processor, EveryDay, Weekly, Monthly, Schedule)


class BrokenFiles(InvalidProject):
    """{message}"""

    def __init__(self, problems: Iterable[Problem], found: list[Declared]) -> None:
        #: What the other files declare.
        self.found = found
        super().__init__(problems)


def load_project(root: Path) -> tuple[list[Declared], list[str]]:
    """(what the files and installed plugins declare, warnings). Raises BrokenFiles with every one that does not load."""
    found: list[Declared] = []
    warnings: list[str] = []
    problems: list[Problem] = []
    seen: set[int] = set()
    _forget()
    _package(PACKAGE, [])
    for folder in FOLDERS:
        _package(f"{PACKAGE}.{folder}", [str(root / folder)])
        for path in sorted((root / folder).glob("*.py")):
            file = path.relative_to(root).as_posix()
            module = _load(path, f"{PACKAGE}.{folder}.{path.stem}", file, problems)
            if module is not None:
                given = _collect(module, file, seen)
                found += given
                if not given and not _imported_from(module):
                    warnings.append(f"{file} declares nothing")
    found += _installed(problems, seen)
    if problems:
        raise BrokenFiles(problems, _with_lines(found, root))
    for kind, folder in ((Layer, "layers"), (Processor, "plugins")):
        if not any(isinstance(declared.value, kind) for declared in found):
            problem = f"{folder}/*.py declare no {kind.__name__.lower()}: write one in {root / folder}"
            raise InvalidProject([Problem("", problem)])
    return _with_lines(found, root), warnings


def check_sql_files(root: Path, pipeline: Pipeline) -> None:
    """Raises InvalidProject for every SQL file that is not there or names what its processor neither reads nor writes."""
    problems = []
    for name, processor in pipeline.processors.items():
        known = {name, *(up for edge in pipeline.edges_into[name] for up in edge.upstreams)}
        known |= tables_named(pipeline, tuple(sorted(known))).keys()
        spec = processor.spec_for(pipeline.runtime)
        files = [spec.file] if isinstance(spec, Sql) else []
        rules = [rule for each in (processor, *processor.parts.values()) for rule in each.rules]
        for file in [*files, *(rule.sql for rule in rules if isinstance(rule, Offending))]:
            path, where = sql_path(pipeline, name, file), pipeline.declared[name].where
            try:
                text = (root / path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
                problems.append(Problem(where, f'processor "{name}" names {path}: {reason}'))
                continue
            for found in _BRACES.finditer(text):
                if found.group(1) not in known:
                    line = text.count("\n", 0, found.start()) + 1
                    hint = did_you_mean(found.group(1), known)
                    what = f'{{{found.group(1)}}} is nothing that processor "{name}" needs or writes.{hint}'
                    problems.append(Problem(f"{path}:{line}", what))
    if problems:
        raise InvalidProject(problems)


def _forget() -> None:
    """Drops an earlier load, so that a changed file is read anew."""
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
        del sys.modules[name]


def _package(name: str, path: list[str]) -> None:
    package = types.ModuleType(name)
    package.__path__ = path
    sys.modules[name] = package


def _load(path: Path, name: str, file: str, problems: list[Problem]) -> types.ModuleType | None:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        problems.append(_unreadable(error, path, file))
        return None
    except (Exception, SystemExit) as error:  # whatever an author's file raises is told with its line, beside the others
        line = _line_in(error, path)
        problems.append(Problem(f"{file}:{line}" if line else file, error_words(error)))
        return None
    return module


def _unreadable(error: SyntaxError, path: Path, file: str) -> Problem:
    """What is wrong with the text of a file, or of another one of the project that it imports."""
    if error.filename and error.filename != str(path):
        file = Path(os.path.relpath(error.filename, path.parents[1])).as_posix()
    elif not error.lineno and b"\0" in (text := path.read_bytes()):
        line = text.partition(b"\0")[0].count(b"\n") + 1
        return Problem(f"{file}:{line}", "it holds a NUL byte, and is no Python. Save it as text in UTF-8")
    return Problem(f"{file}:{error.lineno}" if error.lineno else file, f"syntax error: {error.msg}")


def _line_in(error: BaseException, path: Path) -> int:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _installed(problems: list[Problem], seen: set[int]) -> list[Declared]:
    found: list[Declared] = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            module = point.load()
        except Exception as error:  # an installed plugin may fail in any way, and is told with the project's own
            problems.append(Problem(f"plugin {point.name} ({point.value})", f"{type(error).__name__}: {error}"))
        else:
            found += _collect(module, f"plugin {point.name}", seen)
    return found


def _collect(module: types.ModuleType, file: str, seen: set[int]) -> list[Declared]:
    """What a module's namespace holds. Where its own name stands nowhere, a value is told by the line of what holds it."""
    path = Path(module.__file__ or "")
    text = path.read_text(encoding="utf-8") if path.suffix == ".py" and path.is_file() else ""
    found = []
    for name, held in vars(module).items():
        for value in _values([held] if not name.startswith("__") else []):
            if id(value) not in seen:
                seen.add(id(value))
                found.append(Declared(value, file, _line_of(text, name)))
    return found


def _line_of(text: str, name: str) -> int:
    """The line on which a module's text gives a name its value; 0 where it does so in no plain way."""
    given = re.search(rf"^{re.escape(name)}\b", text, re.MULTILINE)
    return text.count("\n", 0, given.start()) + 1 if given else 0


def _values(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, _KINDS):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _values(value)
        elif isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            yield from _values([item for key, item in value.items() if not key.startswith("__")])


def _imported_from(module: types.ModuleType) -> bool:
    """Whether a file that declares nothing itself gives functions that others use."""
    return any(isinstance(value, types.FunctionType) and value.__module__ == module.__name__ for value in vars(module).values())


def _with_lines(found: list[Declared], root: Path) -> list[Declared]:
    """Adds the line on which each value's name stands as the first argument of a call; of two of a name the first, the second."""
    lines: dict[str, dict[str, list[int]]] = {}
    given: dict[tuple[str, str], int] = {}
    placed = []
    for declared in found:
        file, name = declared.file, str(declared.value.name)
        if file not in lines and (root / file).is_file():
            lines[file] = _named_lines((root / file).read_text(encoding="utf-8"))
        known, place = lines.get(file, {}).get(name, [declared.line]), given.get((file, name), 0)
        given[file, name] = place + 1
        placed.append(Declared(declared.value, file, known[min(place, len(known) - 1)]))
    return placed


def _named_lines(text: str) -> dict[str, list[int]]:
    """The lines of each declared name; of a name that a function of the author's declares, where it is quoted."""
    found: dict[str, list[int]] = {}
    for pattern in (_CALL, _QUOTED):
        here: dict[str, list[int]] = {}
        for call in pattern.finditer(text):
            here.setdefault(call.group(1), []).append(text.count("\n", 0, call.start()) + 1)
        found = here | found
    return found


#: A declaration with its name in quotes. Good enough to tell a line; reading the syntax of every file would cost each command.
_CALL = re.compile(rf"\b(?:{'|'.join(kind.__name__ for kind in _KINDS)})\(\s*(?:name\s*=\s*)?[\"']([^\"']+)[\"']")
_BRACES = re.compile(r"\{(\w+)\}")
_QUOTED = re.compile(r"[\"'](\w+)[\"']")
