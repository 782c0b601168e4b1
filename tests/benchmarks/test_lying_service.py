"""The incident at a thousandth of its time: 235 dates of five processors, through a service with its limits and its lies."""

from __future__ import annotations

import json
from pathlib import Path

from lying_service import check, lying, run, write_project


def test_235_dates_take_no_longer_than_the_service_makes_them(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    service = lying(project, 235, pace=1.0)
    with service.cloud:
        told = run(project, service)
        check(service, told)
    assert service.bound > 235 * 0.278 / 5 * 0.85, "the service took its time over all that it wrote"
    figures = {"bound": service.bound, "run": told["seconds"], "ratio": told["seconds"] / service.bound}
    print("\n235 dates: " + json.dumps({name: round(value, 3) for name, value in figures.items()}))
    assert told["seconds"] <= 1.1 * service.bound
