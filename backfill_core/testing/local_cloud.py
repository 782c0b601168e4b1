"""The part of Google Cloud that a project's target uses, on this machine: ``python -m backfill_core.testing.local_cloud``.

A BigQuery that holds the tables the project declares, with the rows of an embedded warehouse in them; the services that its
`Http` specs call, which compute what the project's local specs compute, on the tables of that BigQuery; the bucket of its
landing files; and the metadata server that gives identity tokens. Nothing they do is kept.

    with LocalCloud(open_project(folder, "gcp"), environment) as cloud:
        cloud.services["l4"].faults.add(ServiceFault(Trouble.LOCK_HELD, match="2025-01-10"))
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

from backfill_core.adapters.landing_files import LandingFiles
from backfill_core.dates import Span
from backfill_core.errors import BackfillError, BadUsage
from backfill_core.graph import Pipeline
from backfill_core.model.hosts import is_loopback
from backfill_core.model.http import Http
from backfill_core.observe import read_calendars
from backfill_core.project.load import load_project
from backfill_core.project.session import Place, Session, open_place, open_project
from backfill_core.project.settings import GcpTarget, LocalTarget
from backfill_core.project.targets import landing_folder
from backfill_core.queries.dialect import Names
from backfill_core.testing.bigquery_server import BigQueryServer
from backfill_core.testing.layer_services import KINDS, Job, LayerService, Limits
from backfill_core.testing.local_jobs import LocalJobs
from backfill_core.testing.local_tables import bring_schedules, copy_rows, make_tables
from backfill_core.testing.metadata_server import MetadataServer
from backfill_core.testing.service_server import ServiceServer
from backfill_core.testing.storage_server import StorageServer

_Made = TypeVar("_Made")

#: Where a service is: a variable or a host, and the path behind it.
_PLACE = re.compile(r"(\$\{(?P<variable>\w+)\}|https?://[^/{}?#]+)(?P<path>/[^?#]*)?")


@dataclass(slots=True)
class _Plan:
    """A service to be: where it is called, and who is in it."""

    path: str
    port: int
    #: Variables that name its address.
    variables: set[str] = field(default_factory=set)
    #: Specs by the processor's name.
    specs: dict[str, Http] = field(default_factory=dict)

    @property
    def identity(self) -> bool | str:
        """Whether it wants identity tokens, and for which audience if not for its address."""
        return next((spec.identity for spec in self.specs.values() if spec.identity), False)


class LocalCloud:
    """A BigQuery, and a server for each service that the project's specs call. It is up once it is made, until `stop`."""

    def __init__(
        self,
        session: Session,
        *,
        source: Path | None = None,
        variables: Mapping[str, str] | None = None,
        pace: float = 0.0,
        jobs: Mapping[str, Job] | None = None,
    ) -> None:
        """The rows of ``source``, a DuckDB file, are in it from the start. ``jobs`` are what its services do for a processor,
        where that is not what the project's local spec says.

        Its ports are those of the target's api_endpoint and, in ``variables``, of the services' addresses; without ``variables``
        they are free ones. ``pace`` times the ``seconds`` of its spec is what a date takes a service at least.

        Raises BadUsage for a port that is taken, or a processor that nothing here can compute.
        """
        target = session.target
        if not isinstance(target, GcpTarget):
            raise BadUsage(message=f'target "{session.target_name}" is no cloud: its runtime is "{target.runtime}"')
        self.session = session
        self.names = Names(datasets=target.datasets, prefix=target.prefix, project=target.project)
        self.services: dict[str, ServiceServer] = {}
        #: Why processors that services fill are not served here, by name.
        self.not_served: dict[str, str] = {}
        self._variables: dict[str, ServiceServer] = {}
        with ExitStack() as up:
            fixed = target if variables is not None else None
            port = urlsplit(str(fixed.api_endpoint)).port or 0 if fixed else 0
            bigquery = partial(BigQueryServer, target.project, location=target.location)
            self.bigquery = up.enter_context(_bound(port, bigquery))
            port = urlsplit(f"//{fixed.metadata_host or ''}").port or 0 if fixed else 0
            self.metadata = up.enter_context(_bound(port, MetadataServer))
            self.landing = _landing_of(session)
            self.storage: StorageServer | None = None
            if target.landing.startswith("gs://"):
                bucket, _, prefix = target.landing.removeprefix("gs://").partition("/")
                port = urlsplit(str(fixed.storage_endpoint)).port or 0 if fixed else 0
                self.storage = up.enter_context(_bound(port, partial(StorageServer, bucket, self.landing.root, prefix=prefix)))
            make_tables(self.bigquery, session.pipeline, self.names)
            if source is not None:
                copy_rows(self.bigquery, source)
            bring_schedules(self.bigquery, session.pipeline, self.landing, self.names)
            self._serve(_plans(session.pipeline, variables, self.not_served), jobs or {}, pace, up)
            self._up = up.pop_all()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which `backfill` finds all this."""
        of = f"BACKFILL_TARGETS__{self.session.target_name.upper()}__"
        found = {f"{of}API_ENDPOINT": self.bigquery.url, f"{of}METADATA_HOST": self.metadata.host}
        if self.storage is not None:
            found[f"{of}STORAGE_ENDPOINT"] = self.storage.url
        return found | {name: server.url for name, server in self._variables.items()}

    def behind(self, name: str) -> LayerService:
        """What stands behind the server of a service."""
        behind = self.services[name].behind
        assert isinstance(behind, LayerService)
        return behind

    def stop(self) -> None:
        self._up.close()

    def __enter__(self) -> LocalCloud:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _serve(self, plans: Mapping[str, _Plan], given: Mapping[str, Job], pace: float, up: ExitStack) -> None:
        local = self._jobs() if any(each not in given for plan in plans.values() for each in plan.specs) else None
        for name, plan in plans.items():
            doing = {each: given.get(each) or local.job(each) for each in plan.specs}  # type: ignore[union-attr]
            server = _bound(plan.port, partial(_server, plan, doing, pace))
            if plan.identity:
                server.refuses = partial(self._refuses, plan.identity if isinstance(plan.identity, str) else server.url)
            self.services[name] = up.enter_context(server)
            self._variables |= dict.fromkeys(plan.variables, server)

    def _refuses(self, audience: str, authorization: str | None) -> str:
        return self.metadata.check(authorization, audience)

    def _jobs(self) -> LocalJobs:
        """What the services do: the same project's specs for an embedded warehouse."""
        session = self.session
        found, _ = load_project(session.root)
        pipeline = Pipeline.build(found, "local")
        today = session.today(None)
        span = Span(session.settings.from_ or today, date(today.year + 1, 12, 31))
        calendars = read_calendars(pipeline, self.landing, span)
        names = Names(datasets=self.names.datasets, prefix=self.names.prefix)
        return LocalJobs(pipeline, self.bigquery.engine, names, calendars, session.root, self.landing.root)


def _plans(pipeline: Pipeline, variables: Mapping[str, str] | None, not_served: dict[str, str]) -> dict[str, _Plan]:
    """The services that the graph's specs call, by name; why others are ``not_served`` here is put there, by processor."""
    plans: dict[str, _Plan] = {}
    for processor in pipeline.processors.values():
        spec = processor.spec_for(pipeline.runtime)
        if not isinstance(spec, Http):
            continue
        place = _PLACE.match(spec.url)
        path = (place["path"] or "") if place else ""
        if place is None or path not in KINDS:
            not_served[processor.name] = f"it calls {spec.url}, and there are {', '.join(sorted(KINDS))} here"
            continue
        name, variable = spec.service.name if spec.service else place[1], place["variable"] or ""
        try:
            plan = plans.setdefault(name, _Plan(path, _port(place[1], variable, variables)))
        except ValueError as error:
            not_served[processor.name] = str(error)
            continue
        if plan.path != path:
            not_served[processor.name] = f"it calls {path} of service {name}, and others call {plan.path} of it"
            continue
        plan.variables |= {variable} - {""}
        plan.specs[processor.name] = spec
    return plans


def _port(place: str, variable: str, variables: Mapping[str, str] | None) -> int:
    """The port at which a service is to be, 0 for any. Raises ValueError for an address that is not of this machine."""
    if variables is None and variable:
        return 0
    url = (variables or {}).get(variable, "") if variable else place
    parts = urlsplit(url)
    if not is_loopback(parts.hostname or "") or parts.port is None:
        said = f"{variable} is {url or 'not set'}" if variable else f"its address is {url}"
        raise ValueError(f"{said}, and here there are addresses like http://127.0.0.1:9053")
    return parts.port


def _server(plan: _Plan, jobs: Mapping[str, Job], pace: float, port: int) -> ServiceServer:
    known = {each: spec.known_as or each for each, spec in plan.specs.items()}
    service = next(iter(plan.specs.values())).service
    limits = Limits(
        lock=service.lock if service else 0.0,
        seconds={known[each]: pace * (spec.seconds or 0.0) for each, spec in plan.specs.items()},
    )
    behind = KINDS[plan.path]({known[each]: job for each, job in jobs.items()}, limits)
    return ServiceServer(behind, port=port, places=service.in_flight if service else None)


def _bound(port: int, make: Callable[..., _Made]) -> _Made:
    """What serves at a port. Raises BadUsage where that cannot be had."""
    try:
        return make(port=port)
    except OSError as error:
        what = f"127.0.0.1:{port} cannot be served ({error.strerror}): perhaps another local cloud runs"
        raise BadUsage(message=f"{what}. Stop it, or give the target other addresses") from error


def _source(place: Place) -> Path | None:
    """The embedded warehouse of the same project, where it has one."""
    for target in place.settings.targets.values():
        if isinstance(target, LocalTarget) and (place.root / target.warehouse).exists():
            return place.root / target.warehouse
    return None


def _landing_of(session: Session) -> LandingFiles:
    """The landing files on this machine: the target's own, else those of the same project's embedded target."""
    targets = [session.target, *(each for each in session.settings.targets.values() if isinstance(each, LocalTarget))]
    folders = [folder for each in targets if (folder := landing_folder(each, session.root)) is not None]
    if not folders:
        what = f'target "{session.target_name}" has its landing files in a bucket'
        raise BadUsage(message=f"{what}, and no target of runtime local has a folder of them")
    return LandingFiles(folders[0])


def _opened(project: Path, target: str, pace: float) -> LocalCloud:
    """The cloud that a target's settings name. Raises BackfillError."""
    place = open_place(project, target)
    if not isinstance(place.target, GcpTarget) or place.target.api_endpoint is None:
        raise BadUsage(message=f'target "{target}" has no api_endpoint: set one on 127.0.0.1, to be served there')
    return LocalCloud(open_project(project, target), source=_source(place), variables=place.variables, pace=pace)


def main() -> int:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(prog="python -m backfill_core.testing.local_cloud", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--project", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--target", default="gcp", metavar="NAME")
    parser.add_argument("--pace", type=float, default=0.0, help="times the seconds of its spec: what a date takes")
    chosen = parser.parse_args()
    try:
        cloud = _opened(chosen.project, chosen.target, chosen.pace)
    except BackfillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with cloud:
        engine = cloud.bigquery.engine
        filled = sum(bool(engine.count(*name)) for name in engine.tables)
        print(f"BigQuery at {cloud.bigquery.url}: {len(engine.tables)} tables, {filled} with rows")
        for name, server in cloud.services.items():
            print(f"{name} at {server.url}: {', '.join(cloud.behind(name).jobs)}")
        for name, why in cloud.not_served.items():
            print(f"not served: {name}: {why}")
        if cloud.storage is not None:
            print(f"bucket {cloud.storage.bucket} at {cloud.storage.url}: the files of {cloud.landing.root}")
        if cloud.services:
            print(f"metadata server, for identity tokens, at {cloud.metadata.host}")
        print(f"next: backfill plan --target {chosen.target}", flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
