"""Planning as a person asks for it: forced, cascading, limited, compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from projects import answer, backfill
from test_commands import SPAN, execute, project, spoil  # noqa: F401  (a fixture is used by its name)

UPDATED = """
import datetime
from backfill_core import KeysOf, Need, Processor, Python, Rows, Table, days

def load(dates, ctx):
    return [{"day": day, "shop": "a", "at": datetime.datetime.now(datetime.UTC)} for day in dates]

def table(name):
    return Table(f"shop.{name}", date="day", key=("shop",), updated="at")

LOAD = {"local": Python(load)}
A = Processor("a", layer="raw", calendar="daily", writes=table("a"), complete_when=Rows(), run=LOAD)
B = Processor("b", layer="raw", calendar="daily", writes=table("b"), needs=(Need("a", window=days(2)),), complete_when=Rows(),
    warmup=days(2), run=LOAD)
C = Processor("c", layer="sums", calendar="daily", writes=table("c"), needs=(Need("b"),), complete_when=Rows(), run=LOAD)
"""


def units(plan: Any) -> dict[str, dict[str, list[str]]]:
    return {
        processor["name"]: {reason["reason"]: reason["dates"] for reason in processor["reasons"]}
        for stage in plan["stages"]
        for processor in stage["processors"]
    }


def chain(project: Path) -> Path:  # noqa: F811
    (project / "plugins" / "all.py").write_text(UPDATED, encoding="utf-8")
    assert execute(project).returncode == 0
    return project


def test_force_rewrites_what_is_older_and_goes_on_where_it_stopped(project: Path) -> None:  # noqa: F811
    chain(project)
    forced = answer(project, "plan", *SPAN, "--processor", "a", "--force")
    assert units(forced) == {"a": {"forced": ["2024-05-01..2024-05-10"]}}
    since = forced["request"]["older_than"]
    words = ("--older-than", since, "--processor", "a")
    assert execute(project, *words, "--dates", "2024-05-03").returncode == 0
    assert units(answer(project, "plan", *SPAN, *words)) == {
        "a": {"forced": ["2024-05-01..2024-05-02", "2024-05-04..2024-05-10"]}
    }
    assert answer(project, "plan", *SPAN, "--older-than", "2020-01-01", "--processor", "a")["totals"]["units"] == 0


def test_stale_units_are_shown_and_planned_with_a_cascade(project: Path) -> None:  # noqa: F811
    chain(project)
    assert execute(project, "--force", "--processor", "a", "--dates", "2024-05-04").returncode == 0
    plan = answer(project, "plan", *SPAN)
    assert (units(plan), plan["stale"]) == ({}, [{"name": "b", "dates": ["2024-05-05..2024-05-06"]}])
    assert "stale, not planned: b 2024-05-05..2024-05-06" in backfill(project, "plan", *SPAN).stdout
    stale = {"stale: a is newer": ["2024-05-05..2024-05-06"]}
    spoiled = {"stale: b is planned": ["2024-05-05..2024-05-06"]}
    assert units(answer(project, "plan", *SPAN, "--cascade")) == {"b": stale}
    assert units(answer(project, "plan", *SPAN, "--cascade", "all")) == {"b": stale, "c": spoiled}
    assert execute(project, "--cascade", "all").returncode == 0
    after = answer(project, "plan", *SPAN)
    assert (units(after), after["stale"]) == ({}, [])


def test_a_forced_date_takes_what_it_spoils_with_it(project: Path) -> None:  # noqa: F811
    chain(project)
    words = ("--today", "2024-05-11", "--processor", "a", "--dates", "2024-05-04", "--force", "--cascade")
    assert units(answer(project, "plan", *words)) == {
        "a": {"forced": ["2024-05-04"]},
        "b": {"stale: a is planned": ["2024-05-05..2024-05-06"]},
    }
    assert units(answer(project, "plan", *words, "all"))["c"] == {"stale: b is planned": ["2024-05-05..2024-05-06"]}
    done = backfill(project, "execute", *words, "all", "--yes")
    assert done.returncode == 0, done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines() if line[:2] in ("a ", "b ", "c ")] == [
        ["a", "1", "1"],
        ["b", "2", "2"],
        ["c", "2", "2"],
    ]


def test_a_limit_takes_the_first_dates_of_an_order(project: Path) -> None:  # noqa: F811
    def dates(*words: str) -> Any:
        return answer(project, "plan", *SPAN, "--limit", "2", *words)["stages"][0]["processors"][0]["dates"]

    assert dates() == dates("--oldest-first") == ["2024-05-01..2024-05-02"]
    assert dates("--newest-first") == ["2024-05-09..2024-05-10"]
    assert dates("--most-unblocking") == ["2024-05-01..2024-05-02"]
    assert "8 later, by the limit" in backfill(project, "plan", *SPAN, "--limit", "2").stdout


def test_only_some_reasons(project: Path) -> None:  # noqa: F811
    execute(project)
    spoil(
        project,
        "DELETE FROM shop.orders WHERE day = '2024-05-03'",
        "DELETE FROM shop.orders WHERE day = '2024-05-05' AND shop = 'a'",
    )
    orders = units(answer(project, "plan", *SPAN, "--reason", "partial", "--layer", "L1"))
    assert orders == {"orders": {"partial 2/3": ["2024-05-05"]}}
    assert len(units(answer(project, "plan", *SPAN, "--reason", "missing,partial"))["orders"]) == 2


def test_what_was_asked_for_and_is_not_planned_is_counted_by_reason(project: Path) -> None:  # noqa: F811
    execute(project)
    spoil(
        project,
        "DELETE FROM shop.orders WHERE day = '2024-05-03'",
        "DELETE FROM shop.sums WHERE day = '2024-05-05' AND shop = 'a'",
        "DELETE FROM shop.orders WHERE day = '2024-05-07' AND shop = 'a'",
    )

    def counted(*words: str) -> str:
        shown = backfill(project, "plan", *SPAN, *words).stdout
        return next(line for line in shown.splitlines() if line.startswith("asked for"))

    assert counted() == "asked for 10 dates: 3 to do, 7 complete"
    # A date on which only another table lacks something is not complete.
    assert counted("--reason", "missing", "--layer", "L1") == "asked for 10 dates: 1 to do, 1 left out by --reason, 8 complete"
    assert counted("--limit", "1", "--newest-first") == "asked for 10 dates: 1 to do, 2 later, by the limit, 7 complete"
    assert counted("--from", "2024-05-06", "--dates", "2024-05-03,2024-05-07,2024-05-10") == (
        "asked for 3 dates: 1 to do, 1 outside of --from and --to, 1 complete"
    )
    assert counted("--processor", "sums") == "asked for 10 dates: 0 to do, 2 blocked, 8 complete"


def test_two_plans_are_compared(project: Path) -> None:  # noqa: F811
    backfill(project, "plan", *SPAN, "--out", "a.json")
    execute(project, "--dates", "2024-05-01..2024-05-04")
    spoil(project, "DELETE FROM shop.orders WHERE day = '2024-05-02' AND shop = 'a'")
    assert backfill(project, "plan", *SPAN, "--out", "b.json", "--exit-code").returncode == 5
    differs = backfill(project, "plan", "diff", "a.json", "b.json", "--exit-code")
    assert differs.returncode == 5
    assert "orders 2024-05-02: missing -> partial 2/3" in differs.stdout
    assert "orders 2024-05-01, 2024-05-03..2024-05-04: missing -> not there" in differs.stdout
    same = backfill(project, "plan", "diff", "a.json", "a.json", "--exit-code")
    assert (same.returncode, "they say the same" in same.stdout) == (0, True)
    data = json.loads(backfill(project, "plan", "diff", "a.json", "b.json", "--format", "json").stdout)
    assert {each["processor"] for each in data["differences"]} == {"orders", "sums"}
    assert differs.stdout.splitlines()[-1] == "next: backfill execute --plan b.json"
    execute(project)
    assert backfill(project, "plan", *SPAN, "--out", "c.json", "--exit-code").returncode == 0
    empty = backfill(project, "plan", "diff", "b.json", "c.json")
    assert empty.stdout.splitlines()[-1] == "next: backfill coverage", "there is nothing in it to execute"


def test_clashing_words_are_refused(project: Path) -> None:  # noqa: F811
    for words, told in {
        ("--force",): "say which part",
        ("--force", "--older-than", "2024-01-01", "--processor", "orders"): "Type one of them",
        ("--older-than", "yesterday"): "is no time",
        ("--include-warmup",): "goes with --force",
        ("--reason", "late"): 'no reason "late"',
        ("--reason", ""): "--reason is empty",
        ("--reason", "stale"): "plans nothing without --cascade",
        ("--reason", "missing,forced"): "plans nothing without --force",
        ("--limit", "0"): "--limit",
        ("--newest-first",): "Add --limit N",
        ("--limit", "2", "--newest-first", "--most-unblocking"): "--newest-first and --most-unblocking contradict each other",
        ("--older-than", "2199-01-01"): "is yet to come",
        ("--from", "1850-01-01"): "days go from 1900-01-01 to 2199-12-31",
        ("--dates", "2024-05-01,9999-01-01"): "days go from 1900-01-01 to 2199-12-31",
        ("--layer", "L2", "--through", "L1"): "they leave no processor",
        ("--processor", "orders", "--exclude", "orders+"): "they leave no processor",
    }.items():
        came = backfill(project, "plan", *words)
        assert (came.returncode, told in came.stderr, "Traceback" in came.stderr) == (2, True, False), came.stderr


def test_an_estimate_stands_beside_a_plan_outside_of_its_hash_and_file(project: Path) -> None:  # noqa: F811
    assert "estimate:" not in backfill(project, "plan", *SPAN).stdout, "nothing has run, and nothing is declared"
    assert answer(project, "plan", *SPAN)["estimate"] is None
    assert execute(project).returncode == 0
    spoil(project, "DELETE FROM shop.orders", "DELETE FROM shop.sums WHERE day = '2024-05-03'")
    shown = backfill(project, "plan", *SPAN, "--concurrency", "3", "--out", "plan.json").stdout
    assert "at 3 in flight (durations of 20 units in the journal)" in " ".join(shown.split())
    assert shown.splitlines()[-1] == "next: backfill execute --plan plan.json --concurrency 3"
    printed = answer(project, "plan", *SPAN, "--concurrency", "3")
    found = printed.pop("estimate")
    assert 0 < found["critical_path"]["seconds"] <= found["p50"] <= found["p90"]
    assert (found["concurrency"], found["measured_units"], found["unknown"]) == (3, 20, [])
    assert printed == json.loads((project / "plan.json").read_text())
    assert answer(project, "plan", *SPAN)["hash"] == printed["hash"]
    (project / "plan.json").write_text(json.dumps(printed | {"estimate": found}), encoding="utf-8")
    assert backfill(project, "execute", "--plan", "plan.json", "--yes").returncode == 0
