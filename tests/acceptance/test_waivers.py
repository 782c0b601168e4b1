"""Waivers and accepted dates: a reviewed file of the project, and what it changes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from projects import answer, backfill, on_a_screen
from shop import SPAN, execute, make_shop, spoil

FILE = "backfill-reviews.toml"
TODAY = ("--today", "2024-05-20")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path)


@pytest.fixture
def full(shop: Path) -> Path:
    assert execute(shop).returncode == 0
    return shop


def lost(shop: Path) -> None:
    """The third of May fails, and blocks its sums and those that need it."""
    (shop / "closed").touch()
    assert execute(shop).returncode == 1


def plans(plan: dict[str, Any]) -> dict[str, list[str]]:
    """The dates that a plan has, by processor."""
    return {processor["name"]: processor["dates"] for stage in plan["stages"] for processor in stage["processors"]}


def waive(shop: Path, *words: str) -> None:
    came = backfill(shop, "waive", *words, "--reason", 'shop "a" burnt\\down', *TODAY)
    assert came.returncode == 0, came.stderr
    assert came.stdout.splitlines()[-1] == "next: backfill plan"
    assert "still expected" not in came.stdout, "what rests on it has its keys from it"


def test_what_is_waived_is_not_expected_and_blocks_nothing(shop: Path) -> None:
    lost(shop)
    before = answer(shop, "plan", *SPAN)
    waive(shop, "orders", "2024-05-03")
    plan = answer(shop, "plan", *SPAN)
    assert [plans(one)["sums"] for one in (before, plan)] == [["2024-05-03..2024-05-05"], ["2024-05-04..2024-05-05"]]
    assert "orders" not in plans(plan)
    assert plan["totals"]["blocked"] == 0
    done = execute(shop)
    assert done.returncode == 0, done.stdout
    covered = {p["name"]: p for p in answer(shop, "coverage", *SPAN)["processors"]}
    told = 'waived: shop "a" burnt\\down'
    assert covered["orders"]["not_expected"] == covered["sums"]["not_expected"] == {told: ["2024-05-03"]}
    assert (covered["orders"]["expected"], covered["orders"]["surplus"]) == (9, [])
    layers = answer(shop, "coverage", *SPAN)["layers"]
    assert [(layer["now"], layer["ceiling"], layer["wanted"]) for layer in layers] == [(9, 9, 10)] * 2


def test_the_file_is_kept_byte_for_byte_and_says_who_and_when(shop: Path) -> None:
    text = "# reviewed by all\n[[waiver]]\nprocessor='sums'\ndates=['2024-05-01']\nreason='r'\nwho='me'\nwhen=2024-05-02"
    (shop / FILE).write_text(text, encoding="utf-8")
    waive(shop, "orders", "2024-05-03,2024-05-05..2024-05-06", "--until", "2024-06-01")
    now = (shop / FILE).read_text(encoding="utf-8")
    assert now.startswith(text + "\n\n")
    _, entry = tomllib.loads(now)["waiver"]
    assert entry.pop("who")
    assert {name: str(value) for name, value in entry.items()} == {
        "processor": "orders",
        "dates": "['2024-05-03', '2024-05-05..2024-05-06']",
        "reason": 'shop "a" burnt\\down',
        "when": "2024-05-20",
        "until": "2024-06-01",
    }
    assert sorted(path.name for path in shop.iterdir() if "reviews" in path.name) == [FILE]


def test_a_reason_is_kept_on_one_line_and_never_empty(shop: Path) -> None:
    for name, dates in (("waive", "2024-05-03"), ("accept", "2024-05-04")):
        refused = backfill(shop, name, "orders", dates, "--reason", " \n", *TODAY)
        assert (refused.returncode, "'--reason': it is empty. Say why" in refused.stderr) == (2, True), refused.stderr
    assert "'--allow-shrink': it is empty" in backfill(shop, "execute", "--allow-shrink", "").stderr
    assert backfill(shop, "waive", "orders", "2024-05-03", "--reason", "never\r\ncame,\n  they say\n", *TODAY).returncode == 0
    assert tomllib.loads((shop / FILE).read_text(encoding="utf-8"))["waiver"][0]["reason"] == "never came, they say"
    (shop / FILE).write_text((shop / FILE).read_text(encoding="utf-8").replace("came, they", "came,\\n they"), encoding="utf-8")
    assert "    never came, they say (" in backfill(shop, "waivers", *TODAY).stdout


def test_what_a_run_gave_up_is_waived(shop: Path) -> None:
    lost(shop)
    waive(shop, "--from-run", "r1")
    entries = tomllib.loads((shop / FILE).read_text(encoding="utf-8"))["waiver"]
    assert entries[0]["processor"] == "orders"
    assert entries[0]["dates"] == ["2024-05-03"]
    assert {entry["processor"]: entry["dates"] for entry in entries} == {"orders": ["2024-05-03"], "sums": ["2024-05-03"]}
    # What only waited for that date can be made without it.
    plan = answer(shop, "plan", *SPAN)
    assert plans(plan) == {"sums": ["2024-05-04..2024-05-05"], "trends": ["2024-05-05..2024-05-07"]}
    assert plan["totals"]["blocked"] == 0
    assert execute(shop).returncode == 0
    assert "waived already" in backfill(shop, "waive", "--from-run", "r1", "--reason", "x", *TODAY).stderr


def test_waivers_are_listed_with_what_they_do(full: Path) -> None:
    spoil(full, "DELETE FROM shop.orders WHERE day IN ('2024-05-03', '2024-05-04')")
    waive(full, "orders", "2024-05-03")
    waive(full, "orders", "2024-05-04", "--until", "2024-05-21")
    waive(full, "trends", "2024-05-05")
    later = ("--today", "2024-05-22")
    listed = answer(full, "waivers", *later)
    assert [(w["processor"], w["dates"], w["state"], w["until"]) for w in listed["waivers"]] == [
        ("orders", ["2024-05-03"], "active", None),
        ("orders", ["2024-05-04"], "expired", "2024-05-21"),
        ("trends", ["2024-05-05"], "useless", None),
    ]
    shown = backfill(full, "waivers", *later).stdout
    assert "expired waiver    orders 2024-05-04 (1 date), until 2024-05-21" in shown
    assert all(len(line) <= 80 for line in on_a_screen(shown))
    for command in ("plan", "coverage"):
        told = backfill(full, command, "--to", "2024-05-10", *later).stderr
        assert told == 'warning: waiver of orders 2024-05-04 expired after 2024-05-21: shop "a" burnt\\down\n'
    assert "2024-05-04" in str(answer(full, "plan", "--to", "2024-05-10", *later)["stages"])
    assert "nothing is waived" in backfill(make_shop(full / "new"), "waivers").stdout


def test_a_plan_made_under_other_waivers_is_refused(full: Path) -> None:
    spoil(full, "DELETE FROM shop.orders WHERE day IN ('2024-05-03', '2024-05-04')")
    assert backfill(full, "plan", *SPAN, "--out", "plan.json").returncode == 0
    hash_before = answer(full, "plan", *SPAN)["hash"]
    waive(full, "orders", "2024-05-03")
    assert answer(full, "plan", *SPAN)["hash"] != hash_before
    came = backfill(full, "execute", "--plan", "plan.json", "--yes")
    assert (came.returncode, "layers, plugins or waivers changed" in came.stderr) == (2, True)


def test_accepted_dates_are_complete_until_their_inputs_change(full: Path) -> None:
    spoil(full, "UPDATE shop.orders SET written = now() WHERE day = '2024-05-03'")
    stale = [{"name": "sums", "dates": ["2024-05-03..2024-05-05"]}]
    assert answer(full, "plan", *SPAN)["stale"] == stale
    came = backfill(full, "accept", "sums", "2024-05-03..2024-05-04", "--reason", "only a spelling", *TODAY)
    assert came.returncode == 0, came.stderr
    assert answer(full, "plan", *SPAN)["stale"] == [{"name": "sums", "dates": ["2024-05-05"]}]
    assert [one["state"] for one in answer(full, "waivers", *TODAY)["accepted"]] == ["active"]
    spoil(full, "UPDATE shop.orders SET written = now() WHERE day = '2024-05-03'")
    assert answer(full, "plan", *SPAN)["stale"] == stale
    assert [one["state"] for one in answer(full, "waivers", *TODAY)["accepted"]] == ["changed"]
    wrong = backfill(full, "accept", "sums", "2024-05-03..2024-05-06", "--reason", "x", *TODAY)
    assert wrong.returncode == 2
    assert wrong.stderr == "error: only stale dates can be accepted. sums: 2024-05-06 complete\n"


ENTRY = "[[waiver]]\nprocessor = 'orders'\ndates = ['2024-05-03']\nreason = 'r'\nwho = 'me'\nwhen = 2024-05-04\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[[waiver]]", "[[waiver]", "backfill-reviews.toml: "),
        ("[[waiver]]", "[[wavier]]", 'backfill-reviews.toml: it holds "wavier"'),
        ("'orders'", "'order'", 'backfill-reviews.toml, waiver 1: no processor "order". Did you mean "orders"?'),
        ("2024-05-03", "2024-04-03", "waiver 1: 2024-04-03 is out of the range of calendar daily"),
        ("2024-05-03", "2024-05-33", "waiver 1: dates: "),
        ("reason = 'r'", "", 'waiver 1: it lacks "reason"'),
        ("reason", "raeson", 'waiver 1: no field "raeson". Did you mean "reason"?'),
        ("2024-05-04", "'2024-05-04'", "waiver 1: when must be a date"),
        ("2024-05-04", "2024-05-04\nuntil = 2024-05-01", "waiver 1: until 2024-05-01 is before when"),
    ],
)
def test_a_bad_file_is_told_with_its_entry(shop: Path, old: str, new: str, told: str) -> None:
    (shop / FILE).write_text(ENTRY.replace(old, new), encoding="utf-8")
    came = backfill(shop, "plan", *SPAN)
    assert (came.returncode, told in came.stderr, "Traceback" in came.stderr) == (2, True, False), came.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["waive", "order", "2024-05-03"], 'Did you mean "orders"?'),
        (["waive", "orders"], "type either PROCESSOR and its dates, or --from-run"),
        (["waive", "orders", "2024-05-03", "--from-run", "r1"], "type either PROCESSOR"),
        (["waive", "orders", "2024-04-03"], "2024-04-03 is out of the range of calendar daily"),
        (["waive", "orders", "2024-05-03", "--until", "2024-05-19"], "--until 2024-05-19 is before today"),
        (["waive", "--from-run", "r9"], "no run yet"),
        (["accept", "sums", "2024-05-03"], "only stale dates can be accepted. sums: 2024-05-03 missing"),
    ],
)
def test_wrong_input_is_told_in_a_line_and_writes_nothing(shop: Path, words: list[str], told: str) -> None:
    came = backfill(shop, *words, "--reason", "x", *TODAY)
    assert (came.returncode, told in came.stderr, "Traceback" in came.stderr) == (2, True, False), came.stderr
    assert not (shop / FILE).exists()
