"""``explain`` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backfill_core.cli.explain import command
from projects import answer, backfill, on_a_screen
from shop import SPAN, execute, make_shop, spoil


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose third of May failed once and then was there, and in which much has happened since."""
    folder = make_shop(tmp_path_factory.mktemp("shop"))
    (folder / "closed").touch()
    assert execute(folder).returncode == 1
    (folder / "closed").unlink()
    assert execute(folder).returncode == 0
    spoil(
        folder,
        "UPDATE shop.orders SET written = now() WHERE day = '2024-05-03'",
        "DELETE FROM shop.sums WHERE day = '2024-05-07' AND shop = 'b'",
        "UPDATE shop.sums SET shop = 'zz' WHERE day = '2024-05-07' AND shop = 'c'",
        "DELETE FROM shop.orders WHERE day IN ('2024-05-09', '2024-05-10')",
        "INSERT INTO shop.orders SELECT day, 'd', NULL, written FROM shop.orders WHERE day = '2024-05-01' AND shop = 'a'",
    )
    return folder


def told(shop: Path, *words: str) -> Any:
    """What the command says as data. Run in this process: starting another each time would be most of the time."""
    found = CliRunner().invoke(command, [*words, *SPAN, "--format", "json"], obj=str(shop))
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_keys_that_lack_and_keys_beyond_are_named(shop: Path) -> None:
    sums = told(shop, "sums", "2024-05-07")
    assert (sums["state"], sums["detail"], sums["held"]["rows"]) == ("partial", "1/3", 2)
    (wants,) = sums["expected"]
    assert (wants["there"], wants["wanted"], wants["enough"], wants["columns"]) == (1, 3, False, ["shop"])
    assert (wants["absent"], [one["key"] for one in wants["absent_keys"]]) == (2, [["b"], ["c"]])
    assert (wants["surplus"], wants["surplus_keys"]) == (1, [["zz"]])
    few = told(shop, "sums", "2024-05-07", "--limit", "1")["expected"][0]
    assert (few["absent"], [one["key"] for one in few["absent_keys"]]) == (2, [["b"]])


def test_rules_are_told_with_their_numbers(shop: Path) -> None:
    orders = told(shop, "orders", "2024-05-01")
    assert (orders["state"], orders["detail"]) == ("invalid", "amount not null")
    assert [(rule["rule"], rule["good"], rule["judged"], rule["share"], rule["holds"]) for rule in orders["rules"]] == [
        ("unique key", 4, 4, 1.0, True),
        ("amount not null", 3, 4, 0.9, False),
    ]
    assert [(rule["columns"], rule["breaking"], rule["breaking_keys"]) for rule in orders["rules"]] == [
        ([], 0, []),
        (["shop"], 1, [["d"]]),
    ]


def test_what_is_newer_is_told_of_what_is_stale(shop: Path) -> None:
    sums = told(shop, "sums", "2024-05-04")
    assert (sums["state"], sums["plan"]["standing"]) == ("stale", "stale")
    (newer,) = sums["newer"]
    assert (newer["processor"], newer["dates"]) == ("orders", ["2024-05-03"])
    assert newer["newest"] > sums["held"]["oldest"]
    assert backfill(shop, "explain", "sums", "2024-05-04", *SPAN).stdout.splitlines()[-1] == (
        "next: backfill plan --processor sums --dates 2024-05-04 --cascade --today 2024-05-20"
    )


def test_needs_are_told_with_their_windows_and_what_lacks(shop: Path) -> None:
    same, window = told(shop, "sums", "2024-05-10")["needs"]
    assert (same["on"], same["kind"], same["met"], same["keyless"]) == (["orders"], "hard", False, True)
    assert (window["span"], window["wanted"], window["there"]) == (["2024-05-08", "2024-05-09"], 2, 1)
    assert (window["share"], window["met"]) == (0.8, False)
    lack = {"processor": "orders", "state": "missing", "dates": ["2024-05-09"], "planned": ["2024-05-09"]}
    assert window["lacks"] == [lack]


@pytest.mark.parametrize(
    ("unit", "standing", "doing"),
    [
        (("orders", "2024-05-09"), "planned: missing", "execute --processor orders --dates 2024-05-09 --today 2024-05-20"),
        (("sums", "2024-05-09"), "planned: partial of", "execute --processor +sums --dates 2024-05-09 --today 2024-05-20"),
        (("sums", "2024-05-10"), "planned: partial of", "execute --to 2024-05-10 --today 2024-05-20"),
        (("orders", "2024-05-02"), "nothing to do", "plan --to 2024-05-10 --today 2024-05-20"),
        (("orders", "2024-05-12"), "not planned: the plan is about", "plan --to 2024-05-10 --today 2024-05-20"),
    ],
)
def test_the_last_line_is_what_to_do(shop: Path, unit: tuple[str, str], standing: str, doing: str) -> None:
    shown = backfill(shop, "explain", *unit, *SPAN)
    assert f"\nplan     {standing}" in shown.stdout
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (0, f"next: backfill {doing}")


def test_it_speaks_of_the_plan_that_plan_makes_and_of_what_impact_says(shop: Path) -> None:
    sums = told(shop, "sums", "2024-05-07")
    assert sums["plan"]["hash"] == answer(shop, "plan", *SPAN)["hash"]
    impact = answer(shop, "impact", "sums", "2024-05-07", "--today", "2024-05-20")
    assert (
        sums["spoils"]["direct"] == impact["direct"] == [{"processor": "trends", "units": 3, "dates": ["2024-05-08..2024-05-10"]}]
    )


def test_attempts_are_told_newest_first(shop: Path) -> None:
    new, old = told(shop, "orders", "2024-05-03")["attempts"]
    assert [(each["run"], each["word"], each["why"]) for each in (new, old)] == [
        ("r2", "done", ""),
        ("r1", "failed", "the shop is closed"),
    ]
    assert new["seconds"] is not None and (new["batch"], new["units"]) == (1, 1)
    blocked = told(shop, "sums", "2024-05-03")["attempts"][-1]
    assert (blocked["word"], blocked["why"], blocked["batch"]) == ("blocked", "orders failed", None)
    one = told(shop, "orders", "2024-05-03", "--limit", "1")
    assert ([each["run"] for each in one["attempts"]], one["more_attempts"]) == (["r2"], True)


def test_a_waived_date_is_told_with_who_and_why(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    assert backfill(shop, "waive", "orders", "2024-05-03", "--reason", "burnt down", "--today", "2024-05-20").returncode == 0
    orders = told(shop, "orders", "2024-05-03")
    assert (orders["state"], orders["detail"]) == ("not expected", "waived: burnt down")
    assert [(one["reason"], one["when"], one["until"]) for one in orders["waivers"]] == [("burnt down", "2024-05-20", None)]
    # Nothing is there yet: what is wanted is known from declarations alone, and nothing was ever tried.
    empty = told(shop, "orders", "2024-05-04")
    assert (empty["state"], empty["expected"][0]["wanted"], empty["attempts"]) == ("missing", 3, [])


def test_what_is_shown_fits_a_terminal_and_names_what_lacks(shop: Path) -> None:
    for unit in (("sums", "2024-05-10"), ("orders", "2024-05-01"), ("trends", "2024-05-04")):
        shown = backfill(shop, "explain", *unit, *SPAN)
        assert shown.returncode == 0, shown.stderr
        lines = on_a_screen(shown.stdout)
        assert lines[1].startswith(f"{unit[0]} {unit[1]}: ")
        assert all(len(line) <= 80 or line.startswith("  backfill ") for line in lines), shown.stdout
    shown = backfill(shop, "explain", "sums", "2024-05-07", *SPAN, "--show-sql")
    assert "wants    100% of the keys of orders: 1 of 3, too few\n           lacks 2 shop: b, c\n" in shown.stdout
    assert "place <= $limit_0" in shown.stderr


def test_a_run_that_failed_ends_with_the_unit_to_look_at(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    (shop / "closed").touch()
    shown = execute(shop).stdout
    assert shown.splitlines()[-1] == "next: backfill explain orders 2024-05-03 --today 2024-05-20"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["order", "2024-05-03"], 'no processor "order". Did you mean "orders"? See all: backfill graph'),
        (["L1", "2024-05-03"], 'no processor "L1".'),
        (["orders", "2024-05-33"], "'2024-05-33' is no date. Type YYYY-MM-DD."),
        (["2024-05-03", "orders"], "'orders' is no date. Type YYYY-MM-DD."),
        (["orders", "2024-04-03"], "2024-04-03 is out of the range of calendar daily, which orders follows"),
        (["orders"], "Missing argument 'DATE'"),
        (["orders", "2024-05-03", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_input_is_told_in_a_line(shop: Path, words: list[str], said: str) -> None:
    came = backfill(shop, "explain", *words)
    assert (came.returncode, came.stdout, len(came.stderr.splitlines())) == (2, "", 1)
    assert said in came.stderr
