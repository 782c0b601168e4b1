"""A service that lies as the incident's did, and the real command before it."""

from __future__ import annotations

from pathlib import Path

from lying_service import check, lying, run, write_project


def test_every_lie_is_found_and_nothing_that_wrote_nothing_is_done(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    service = lying(project, 20, pace=0.0)
    with service.cloud:
        told = run(project, service)
        check(service, told)
