"""What a project and its targets are set to: ``[tool.backfill]`` in pyproject.toml, with the environment above it."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from backfill_core.errors import BadSettings, NoProject, UnknownTarget, did_you_mean

_Cap = Annotated[int, Field(ge=1)]


class InFlight(BaseModel):
    """Most calls in flight, by what they share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: dict[str, _Cap] = Field(default_factory=dict)
    processors: dict[str, _Cap] = Field(default_factory=dict)
    #: By dataset.table, as declared.
    tables: dict[str, _Cap] = Field(default_factory=dict)


class Target(BaseModel):
    """Where a graph runs: an embedded warehouse with local runners."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime: Literal["local"]
    #: DuckDB file, from the project's root.
    warehouse: Path
    #: Folder of landing files, from the project's root.
    landing: Path
    #: Datasets that have another name here.
    datasets: dict[str, str] = Field(default_factory=dict)
    #: Stands before every dataset's name.
    prefix: str = ""
    #: Calls in flight at most, of all together; none: as the project says.
    concurrency: int | None = Field(default=None, ge=1, le=256)
    in_flight: InFlight = InFlight()
    #: Most calls that leave in a minute, by service.
    per_minute: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)


class Settings(BaseSettings):
    """The settings of a project. Environment variables ``BACKFILL_…`` win, with ``__`` between levels."""

    model_config = SettingsConfigDict(env_prefix="BACKFILL_", env_nested_delimiter="__", extra="forbid", frozen=True)

    #: First date of a plan that names none.
    from_: date | None = Field(default=None, alias="from")
    timezone: str = "UTC"
    target: str = "local"
    concurrency: int = Field(default=4, ge=1, le=256)
    targets: dict[str, Target]

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f'no time zone "{name}"') from error
        return name

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the library's signature)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    def the_target(self, name: str | None, where: Path) -> tuple[str, Target]:
        """The target of that name, or the default one. Raises UnknownTarget."""
        chosen = name or self.target
        if chosen not in self.targets:
            raise UnknownTarget(name=chosen, where=where, known=", ".join(sorted(self.targets)) or "none")
        return chosen, self.targets[chosen]


def find_root(start: Path) -> Path:
    """The project that a folder is in: the nearest pyproject.toml with [tool.backfill]. Raises NoProject."""
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and "backfill" in _read(file).get("tool", {}):
            return folder
    raise NoProject(start=start)


def load_settings(root: Path) -> Settings:
    """Raises BadSettings for what is wrong, one problem at a time."""
    file = root / "pyproject.toml"
    table = _read(file).get("tool", {}).get("backfill", {})
    try:
        return Settings(**table)
    except ValidationError as error:
        raise BadSettings(where=f"{file.name} [tool.backfill]", problem=_problem(error)) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadSettings(where=file, problem=str(error)) from error


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        model = Settings if not where.startswith("targets.") else InFlight if ".in_flight." in where else Target
        known = [field.alias or name for name, field in model.model_fields.items()]
        return f'no setting "{where}".{did_you_mean(str(first["loc"][-1]), known)}'
    return f"{where}: {first['msg']}"
