"""Where settings come from, and which place each value came from.

``[tool.backfill]`` in pyproject.toml, or backfill.toml beside it; above that ``.env``, above that the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backfill_core.errors import BadSettings, NoProject, did_you_mean
from backfill_core.project.settings import PREFIX, Settings
from backfill_core.project.settings_problems import setting_path, settings_problem

#: Set for programs that a run starts, which may ask backfill something themselves.
_OURS = "BACKFILL_OUT"
_TARGETS = "BACKFILL_TARGETS"
_OWN_FILE = "backfill.toml"


@dataclass(frozen=True, slots=True)
class SettingsLayer:
    """One place that settings come from, and what it says."""

    where: str
    values: Mapping[str, Any]


def find_root(start: Path) -> Path:
    """The project that a folder is in: the nearest with backfill.toml, or [tool.backfill] in pyproject.toml. Raises NoProject."""
    for folder in (start, *start.parents):
        if (folder / _OWN_FILE).is_file():
            return folder
        file = folder / "pyproject.toml"
        if file.is_file() and "backfill" in _read(file).get("tool", {}):
            return folder
    raise NoProject(start=start)


def settings_file(root: Path) -> Path:
    """The file that a project's settings stand in."""
    return root / (_OWN_FILE if (root / _OWN_FILE).is_file() else "pyproject.toml")


def load_settings(root: Path) -> Settings:
    """Raises BadSettings for what is wrong, one problem at a time."""
    layers = read_layers(root)
    _check_target_names(layers)
    values: dict[str, Any] = {}
    for layer in reversed(layers):
        values = _over(values, layer.values)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = _origin(layers, setting_path(first["loc"]))
        raise BadSettings(where=where, problem=settings_problem(first)) from error


def read_layers(root: Path) -> list[SettingsLayer]:
    """Where settings come from, the strongest first. Raises BadSettings."""
    layers = [_variables("environment", os.environ)]
    if (root / ".env").is_file():
        layers.append(_variables(".env", environment(root, {})))
    file = settings_file(root)
    if file.name == _OWN_FILE:
        layers.append(SettingsLayer(file.name, _read(file)))
        project = root / "pyproject.toml"
        if project.is_file() and "backfill" in _read(project).get("tool", {}):
            raise BadSettings(where=file.name, problem="pyproject.toml has [tool.backfill] too. Keep one of the two")
    else:
        layers.append(SettingsLayer(f"{file.name} [tool.backfill]", _read(file).get("tool", {}).get("backfill", {})))
    return layers


def environment(root: Path, above: Mapping[str, str]) -> dict[str, str]:
    """The variables that specs may name: those of ``above``, else those of the project's .env."""
    if not (root / ".env").is_file():
        return dict(above)
    from dotenv import dotenv_values

    found = dotenv_values(root / ".env", encoding="utf-8")
    return {name: value for name, value in found.items() if value is not None} | dict(above)


def origin(layers: list[SettingsLayer], path: tuple[str, ...]) -> str:
    """The place that gives a setting its value; ``default`` where none names it."""
    for layer in layers:
        found: Any = layer.values
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is not None:
            return layer.where
    return "default"


def _check_target_names(layers: list[SettingsLayer]) -> None:
    """Raises BadSettings for a target that variables alone name, and not whole: it is a mistyped one of the file."""
    *others, file = [(layer.where, layer.values.get("targets")) for layer in layers]
    known = list(file[1]) if isinstance(file[1], Mapping) else []
    for where, targets in others:
        for name, values in targets.items() if isinstance(targets, Mapping) else ():
            if name not in known and not (isinstance(values, Mapping) and "runtime" in values):
                hint = did_you_mean(name, known)
                raise BadSettings(where=where, problem=f'no target "{name}".{hint} Targets: {", ".join(known) or "none"}')


def _origin(layers: list[SettingsLayer], path: tuple[str, ...]) -> str:
    found = origin(layers, path)
    return layers[-1].where if found == "default" else found


def _over(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        held = merged.get(key)
        merged[key] = _over(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return merged


def _variables(where: str, variables: Mapping[str, str]) -> SettingsLayer:
    """Raises BadSettings for a variable that is nearly a setting's, for it would be passed over in silence."""
    known = [PREFIX + (field.alias or name).upper() for name, field in Settings.model_fields.items()]
    for name in sorted(variables):
        first, _, more = name.upper().partition("__")
        if first in known and more and first != _TARGETS:
            meant = f' Did you mean "{_TARGETS}__{more}"?' if first + "S" == _TARGETS else f' There is "{first}" alone.'
            raise BadSettings(where=where, problem=f'no setting "{name}".{meant}')
        strange = first.startswith(PREFIX) and first not in (*known, _OURS)
        hint = did_you_mean(first, known) if strange else ""
        if hint:
            raise BadSettings(where=where, problem=f'no setting "{name}".{hint}')
    if not any(name.upper().startswith(PREFIX) for name in variables):
        return SettingsLayer(where, {})
    from backfill_core.project.variables import settings_in

    try:
        return SettingsLayer(where, settings_in(variables))
    except ValueError as error:
        raise BadSettings(where=where, problem=str(error)) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadSettings(where=file, problem=str(error)) from error
