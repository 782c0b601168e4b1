"""Settings that stand in environment variables, read by pydantic-settings. Loaded only where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from backfill_core.project.settings import PREFIX, Settings


class _Named(Settings, BaseSettings):
    """The settings, as the library wants them to find their variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


class _Variables(EnvSettingsSource):
    """Variables of any place, read as the library reads the environment's."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        super().__init__(_Named)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self.variables.items()}


def settings_in(variables: Mapping[str, str]) -> dict[str, Any]:
    """What the variables say of a project's settings, level by level. Raises ValueError for one that cannot be read."""
    source = _Variables(variables)
    values = source()
    start = source.env_vars.get(f"{PREFIX}from".lower())  # the library wants an alias without the prefix
    return values | ({"from": start} if start else {})
