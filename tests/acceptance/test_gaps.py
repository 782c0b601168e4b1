"""``gaps`` and ``impact`` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from projects import answer, backfill, on_a_screen
from shop import SPAN, TODAY, execute, make_shop, spoil


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_shop(tmp_path)
    assert execute(tmp_path).returncode == 0
    return tmp_path


HOLES = (
    "DELETE FROM shop.orders WHERE day = '2024-05-03'",
    "DELETE FROM shop.orders WHERE day = '2024-05-05' AND shop = 'a'",
    "INSERT INTO shop.orders SELECT * FROM shop.orders WHERE day = '2024-05-07' AND shop = 'b'",
    "DELETE FROM shop.sums WHERE day IN ('2024-05-08', '2024-05-09')",
)
LISTED = """date,processor,state
2024-05-03,orders,missing
2024-05-03,sums,partial
2024-05-05,orders,partial
2024-05-07,orders,invalid
2024-05-08,sums,missing
2024-05-09,sums,missing
"""


def test_gaps_are_listed_and_the_list_is_planned(shop: Path) -> None:
    spoil(shop, *HOLES)
    listed = backfill(shop, "gaps", *SPAN)
    assert (listed.returncode, listed.stdout) == (0, LISTED)
    (shop / "gaps.csv").write_text(listed.stdout, encoding="utf-8")
    (shop / "gaps.json").write_text(backfill(shop, "gaps", *SPAN, "--format", "json").stdout, encoding="utf-8")
    days = ["2024-05-03", "2024-05-05", "2024-05-07..2024-05-09"]
    whole = answer(shop, "plan", *SPAN)
    for file in ("gaps.csv", "gaps.json"):
        plan = answer(shop, "plan", *SPAN, "--dates-file", file)
        assert plan["request"]["dates"] == days
        assert plan["stages"] == whole["stages"], "everything that lacks is on the dates listed"


def test_gaps_as_json_of_a_selection_and_of_other_states(shop: Path) -> None:
    spoil(shop, *HOLES)
    assert answer(shop, "gaps", *SPAN, "--layer", "L2") == [
        {"processor": "sums", "state": "missing", "dates": ["2024-05-08..2024-05-09"]},
        {"processor": "sums", "state": "partial", "dates": ["2024-05-03"]},
    ]
    assert backfill(shop, "gaps", *SPAN, "--state", "invalid").stdout == "date,processor,state\n2024-05-07,orders,invalid\n"
    wrong = backfill(shop, "gaps", *SPAN, "--state", "late")
    assert (wrong.returncode, '"late" is no state of a gap' in wrong.stderr) == (2, True)


def test_where_nothing_lacks_the_list_is_empty(shop: Path) -> None:
    assert backfill(shop, "gaps", *SPAN).stdout == "date,processor,state\n"
    assert answer(shop, "gaps", *SPAN) == []


def test_what_a_run_of_some_dates_spoils(shop: Path) -> None:
    spoil(shop, "DELETE FROM shop.trends WHERE day = '2024-05-04'")
    came = answer(shop, "impact", "orders", "2024-05-03", *TODAY)
    assert came == {
        "schema": "backfill.impact/1",
        "processor": "orders",
        "dates": ["2024-05-03"],
        "direct": [{"processor": "sums", "units": 3, "dates": ["2024-05-03..2024-05-05"]}],
        "further": [{"processor": "trends", "units": 4, "dates": ["2024-05-05..2024-05-08"]}],
        "totals": {"direct": 3, "further": 4, "processors": 2},
    }
    shown = backfill(shop, "impact", "orders", "2024-05-03", *TODAY).stdout
    assert ["sums", "3", "0", "2024-05-03..2024-05-05"] in [line.split() for line in shown.splitlines()]
    assert "directly 3 dates of 1 processor, in all 7 dates of 2 processors" in shown
    assert shown.splitlines()[-1] == "next: backfill plan --processor orders --dates 2024-05-03 --force --cascade all"
    assert all(len(line) <= 80 for line in on_a_screen(shown))
    assert "spoils nothing" in backfill(shop, "impact", "trends", "2024-05-03", *TODAY).stdout


def test_what_is_spoiled_is_what_is_stale_afterwards(shop: Path) -> None:
    told = answer(shop, "impact", "orders", "2024-05-03,2024-05-09", *TODAY)
    spoil(shop, "UPDATE shop.orders SET written = now() WHERE day IN ('2024-05-03', '2024-05-09')")
    stale = json.loads(backfill(shop, "plan", *SPAN, "--format", "json").stdout)["stale"]
    assert stale == [{"name": spoilt["processor"], "dates": spoilt["dates"]} for spoilt in told["direct"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["impact", "order", "2024-05-03"], 'Did you mean "orders"?'),
        (["impact", "orders", "2024-05-41"], "Type dates as YYYY-MM-DD"),
        (["impact", "orders", ","], "no date was given"),
        (["impact", "orders", "2024-04-03"], "orders expects nothing on the dates given"),
        (["impact", "orders", "2024-06-03"], "2024-06-03 is not before today, 2024-05-11"),
    ],
)
def test_wrong_input_is_told_in_a_line(shop: Path, words: list[str], told: str) -> None:
    came = backfill(shop, *words, *TODAY)
    assert (came.returncode, told in came.stderr, "Traceback" in came.stderr) == (2, True, False), came.stderr
