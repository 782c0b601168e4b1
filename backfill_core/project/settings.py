"""What a project and its targets are set to, and which place each value came from.

``[tool.backfill]`` in pyproject.toml, or backfill.toml beside it; above that ``.env``, above that the environment.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError, field_validator

from backfill_core.dates import EPOCH, LAST_DAY
from backfill_core.errors import BadSettings, NoProject, UnknownTarget, did_you_mean
from backfill_core.model.hosts import is_loopback

_Cap = Annotated[int, Field(ge=1)]


class InFlight(BaseModel):
    """Most calls in flight, by what they share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: dict[str, _Cap] = Field(default_factory=dict)
    processors: dict[str, _Cap] = Field(default_factory=dict)
    #: By dataset.table, as declared.
    tables: dict[str, _Cap] = Field(default_factory=dict)


#: Hosts that plain http may reach: nothing leaves this machine.
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: Where Google has its metadata server: reached from inside a machine of theirs.
_METADATA_HOSTS = ("metadata.google.internal", "169.254.169.254")
#: Words in the name of what is shown to nobody.
SECRET_WORDS = ("token", "secret", "password", "key")
PREFIX = "BACKFILL_"
#: Set for programs that a run starts, which may ask backfill something themselves.
_OURS = "BACKFILL_OUT"
_TARGETS = "BACKFILL_TARGETS"
_OWN_FILE = "backfill.toml"


class _Where(BaseModel):
    """What every target says of its tables and files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Folder of landing files, from the project's root.
    landing: Path
    #: Datasets that have another name here.
    datasets: dict[str, str] = Field(default_factory=dict)
    #: Stands before every dataset's name.
    prefix: str = ""
    #: Calls in flight at most, of all together; none: as the project says.
    concurrency: int | None = Field(default=None, ge=1, le=256)
    in_flight: InFlight = InFlight()
    #: Values of the variables that specs name, where neither the environment nor .env has one: addresses, and nothing secret.
    variables: dict[str, str] = Field(default_factory=dict)
    #: Most calls that leave in a minute, by service.
    per_minute: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    @field_validator("variables")
    @classmethod
    def _open(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            if any(word in name.lower() for word in SECRET_WORDS):
                raise ValueError(f"{name} is for a secret by its name: put it into the environment or .env")
        return variables


class LocalTarget(_Where):
    """An embedded warehouse with local runners."""

    runtime: Literal["local"]
    #: DuckDB file, from the project's root.
    warehouse: Path


class GcpTarget(_Where):
    """BigQuery, and services beside it."""

    runtime: Literal["gcp"]
    #: The Google Cloud project that holds the tables and pays for the queries.
    project: str
    location: str = "US"
    #: A query that would read more is refused.
    maximum_bytes_billed: int = Field(default=100_000_000_000, ge=10_485_760)
    #: What reading 10^12 bytes costs, and in what.
    price_per_tb: float = Field(default=6.25, ge=0)
    currency: str = "USD"
    #: Seconds after which a question to BigQuery is given up, and one processor's statements.
    query_timeout: float = Field(default=300.0, gt=0)
    write_timeout: float = Field(default=3600.0, gt=0)
    #: Questions that are asked side by side.
    queries_in_flight: int = Field(default=8, ge=1, le=100)
    #: Key file of a service account, from the project's root; none: the credentials that Google's tools find.
    credentials: Path | None = None
    #: Service account to act as.
    impersonate: str | None = None
    #: Prints an identity token for services, which is then asked for nowhere else; ``{audience}`` in it is filled in.
    identity_command: str | None = None
    #: Host and port of the metadata server, if not where Google has it: a local cloud.
    metadata_host: str | None = None
    #: Where BigQuery is served, if not by Google: a local cloud.
    api_endpoint: AnyHttpUrl | None = None

    @field_validator("api_endpoint")
    @classmethod
    def _safe(cls, url: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if url is not None and url.scheme != "https" and url.host not in _LOOPBACK:
            raise ValueError(f"plain http is for this machine only, and {url.host} is another: write https")
        return url

    @field_validator("identity_command")
    @classmethod
    def _runnable(cls, command: str | None) -> str | None:
        try:
            words = shlex.split(command or "-")
        except ValueError as error:
            raise ValueError(f"it cannot be read as a command: {error}") from error
        for name in re.findall(r"\{(\w*)\}", command or ""):
            if name != "audience":
                raise ValueError(f'it names "{{{name}}}". There is {{audience}} alone')
        return command if words else None

    @field_validator("metadata_host")
    @classmethod
    def _near(cls, host: str | None) -> str | None:
        named = urlsplit(f"//{host or ''}").hostname or ""
        if host and not (is_loopback(named) or named in _METADATA_HOSTS):
            raise ValueError(
                f"tokens come from there in plain text, and {named or host} is no host of this machine's or Google's"
            )
        return host


Target = LocalTarget | GcpTarget


class Settings(BaseModel):
    """The settings of a project. Environment variables ``BACKFILL_…`` win, with ``__`` between levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: First date of a plan that names none.
    from_: date | None = Field(default=None, alias="from", ge=EPOCH, le=LAST_DAY)
    timezone: str = "UTC"
    target: str = "local"
    concurrency: int = Field(default=4, ge=1, le=256)
    targets: dict[str, Annotated[Target, Field(discriminator="runtime")]]

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f'no time zone "{name}"') from error
        return name

    def the_target(self, name: str | None, where: Path) -> tuple[str, Target]:
        """The target of that name, or the default one. Raises UnknownTarget."""
        chosen = name or self.target
        if chosen not in self.targets:
            raise UnknownTarget(name=chosen, where=where, known=", ".join(sorted(self.targets)) or "none")
        return chosen, self.targets[chosen]


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
        where = _origin(layers, _path(first["loc"]))
        raise BadSettings(where=where, problem=_problem(first)) from error


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


def _path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The path of a setting, without the word for the kind of target that the library puts into it."""
    parts = tuple(map(str, loc))
    return parts[:2] + parts[3:] if parts[0] == "targets" and len(parts) > 2 else parts


def _problem(error: Any) -> str:
    path = _path(error["loc"])
    where = ".".join(path)
    if error["type"] == "extra_forbidden":
        model: type[BaseModel] = Settings
        if path[0] == "targets":
            model = InFlight if "in_flight" in path else GcpTarget if error["loc"][2] == "gcp" else LocalTarget
        known = [field.alias or name for name, field in model.model_fields.items()]
        others: dict[type[BaseModel], tuple[type[BaseModel], str]]
        others = {GcpTarget: (LocalTarget, "local"), LocalTarget: (GcpTarget, "gcp")}
        if model in others and path[-1] in others[model][0].model_fields:
            return f'no setting "{where}": it is one of runtime {others[model][1]}'
        hint = did_you_mean(path[-1], known) or f" There are: {', '.join(known)}"
        return f'no setting "{where}".{hint}'
    if path == ("target",) and error["type"] == "string_type":
        return 'target is the name of one, where none is typed. Did you mean "targets"?'
    if error["type"] == "union_tag_invalid":
        given = str(error["ctx"]["tag"])
        return f'{where}.runtime: no runtime "{given}".{did_you_mean(given, ("local", "gcp"))} Runtimes: local, gcp'
    if error["type"] == "union_tag_not_found":
        return f"{where}.runtime: say which, local or gcp"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
