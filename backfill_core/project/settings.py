"""What a project and its targets are set to."""

from __future__ import annotations

import re
import shlex
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, field_validator

from backfill_core.dates import EPOCH, LAST_DAY
from backfill_core.errors import UnknownTarget
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


class _Where(BaseModel):
    """What every target says of its tables and files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    #: Folder of landing files, from the project's root.
    landing: Path
    #: DuckDB file, from the project's root.
    warehouse: Path


class GcpTarget(_Where):
    """BigQuery, and services beside it."""

    runtime: Literal["gcp"]
    #: Where landing files are: gs://bucket/prefix, or a folder from the project's root.
    landing: str
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
    #: Where BigQuery is served, if not where Google has it for all: a local cloud, or a private address of Google's.
    api_endpoint: AnyHttpUrl | None = None
    #: The same of Cloud Storage.
    storage_endpoint: AnyHttpUrl | None = None

    @field_validator("landing")
    @classmethod
    def _place(cls, landing: str) -> str:
        meant = landing.startswith("gs:") or "://" in landing
        if meant and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", landing):
            raise ValueError(f'"{landing}" is neither gs://bucket/prefix nor a folder')
        return landing

    @field_validator("api_endpoint", "storage_endpoint")
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
