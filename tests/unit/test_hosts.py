"""Which addresses a secret may go to, and whom an identity token for one is for."""

from __future__ import annotations

from datetime import date

import pytest
from remote_world import NoFiles

from backfill_core.dates import Span
from backfill_core.graph import Declared, Pipeline
from backfill_core.model.calendar import EveryDay
from backfill_core.model.expectations import Rows
from backfill_core.model.hosts import audience, host_part, is_private
from backfill_core.model.http import Http
from backfill_core.model.processor import Layer, Processor
from backfill_core.model.runs import Service
from backfill_core.model.table import Table
from backfill_core.observe import observe, read_calendars
from backfill_core.plan import Request
from backfill_core.planning.make_plan import make_plan
from backfill_core.scheduling.lanes import service_lane
from backfill_core.scheduling.work import plan_work
from backfill_core.testing import MemoryWarehouse


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://l4-abc.a.run.app/process-date?x=1", "https://l4-abc.a.run.app"),
        ("https://L4-abc.a.run.app:443", "https://l4-abc.a.run.app"),
        ("https://l4.test:8443/x", "https://l4.test:8443"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("http://localhost:80", "http://localhost"),
    ],
)
def test_a_token_is_for_the_origin_of_the_address(url: str, meant: str) -> None:
    assert audience(url) == meant


@pytest.mark.parametrize("url", ["ftp://x/y", "/x", "https://me:pw@l4.test/x", "https://"])
def test_what_is_no_address_has_none(url: str) -> None:
    with pytest.raises(ValueError, match="it "):
        audience(url)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://l4.test/x", True),
        ("http://127.0.0.1:80/x", True),
        ("http://127.9.9.9/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://l4.test/x", False),
        ("http://127.0.0.1.evil.test/x", False),
        ("http://localhost.evil.test/x", False),
        ("http://127.0.0.1@evil.test/x", False),
        ("http://10.0.0.1/x", False),
    ],
)
def test_plain_http_is_private_on_this_machine_alone(url: str, private: bool) -> None:
    assert is_private(url) is private


def test_the_part_of_an_address_that_says_where() -> None:
    assert host_part("${BASE}/x/{date}") == "${BASE}"
    assert host_part("https://l4.test:1/x?a=${KEY}") == "https://l4.test:1"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (Http("https://l4.test/process-date"), "l4.test"),
        (Http("http://127.0.0.1:8080/{date}"), "127.0.0.1:8080"),
        (Http("${L4_URL}/process-date"), "L4_URL"),
        (Http("https://{dataset}.l4.test/x"), "{dataset}.l4.test"),
        (Http("https://l4.test/x", service=Service("l4")), "l4"),
    ],
)
def test_calls_to_one_host_share_what_it_asks_for_and_how_well_it_is(spec: Http, name: str) -> None:
    run = {"run": spec, "layer": "one", "calendar": "daily", "complete_when": Rows()}
    values = [Processor(each, writes=Table(f"t.{each}", date="day", key=("k",)), **run) for each in ("a", "b")]
    daily = EveryDay("daily", since=date(2024, 5, 1))
    pipeline = Pipeline.build([Declared(value, "f.py") for value in (daily, Layer("one"), *values)], "local")
    span = Span(date(2024, 5, 1), date(2024, 5, 3))
    calendars = read_calendars(pipeline, NoFiles(3), span)
    coverage = observe(pipeline, MemoryWarehouse(), NoFiles(3), calendars, span=span, today=date(2024, 5, 9))
    request = Request(target="t", span=span, today=date(2024, 5, 9), through="one")
    works = plan_work(pipeline, make_plan(pipeline, coverage, request), calendars)
    assert [service_lane(name) in work.lanes for work in works] == [True, True]
