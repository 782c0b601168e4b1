"""What a person says of how a run goes, and what the commands make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from projects import backfill, on_a_screen
from shop import execute, make_shop, spoil


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path)


def test_a_budget_ends_a_run_with_exit_5_and_the_next_one_goes_on(shop: Path) -> None:
    first = execute(shop, "--max-units", "12")
    assert first.returncode == 5, first.stdout + first.stderr
    assert "stopping: 12 units called, as many as allowed" in first.stdout
    assert "exit 5: stopped early: 12 units called, as many as allowed, " in first.stdout
    assert max(map(len, on_a_screen(first.stdout))) <= 80
    assert execute(shop, "--max-duration", "1h", "--deadline", "06:00").returncode == 0


def test_failures_stop_a_run_as_early_as_asked(shop: Path) -> None:
    (shop / "closed").touch()
    fast = execute(shop, "--fail-fast", "--concurrency", "1")
    assert fast.returncode == 1
    assert "stopping: 1 unit failed, as many as allowed" in fast.stdout
    assert "stopped early: 1 unit failed, as many as allowed" in fast.stdout
    assert "orders" in fast.stdout.split("failed: ", 1)[1]
    canary = execute(shop, "--canary", "10", "--concurrency", "1")
    assert (canary.returncode, "a date of the canary failed" in canary.stdout) == (1, True)


def test_a_stale_date_that_was_tried_in_vain_remains_as_failed(shop: Path) -> None:
    assert execute(shop).returncode == 0
    spoil(shop, "UPDATE shop.sums SET written = CURRENT_TIMESTAMP + INTERVAL 1 HOUR WHERE day = '2024-05-08'")
    unasked = execute(shop, "--older-than", "2024-01-01", "--processor", "orders", "--processor", "trends")
    assert unasked.returncode == 0 and "remaining" not in unasked.stdout
    path = shop / "plugins" / "all.py"
    path.write_text(
        path.read_text().replace(
            'complete_when=Rows(), run={"local": Python(rows)}', 'complete_when=Rows(), run={"local": Python(broken)}'
        )
    )
    path.write_text(
        path.read_text().replace(
            "def table(name)", "def broken(dates, ctx):\n    raise RuntimeError('no paper')\n\ndef table(name)"
        )
    )
    came = execute(shop, "--cascade", "all", "--processor", "trends")
    assert came.returncode == 1, came.stdout + came.stderr
    remaining = came.stdout.split("remaining:", 1)[1]
    assert "trends 2024-05-09..2024-05-10: stale: failed: no paper" in remaining, remaining


def test_what_a_run_was_not_about_is_no_part_of_what_it_came_to(shop: Path) -> None:
    first = execute(shop, "--layer", "L1").stdout
    assert "L1 dates 0 (0.0 %) -> 10" in first and "L2 dates" not in first, first
    assert "L2 dates 0 (0.0 %) -> 10" in execute(shop).stdout


def test_a_pipelined_run_in_any_order_fills_the_same(shop: Path) -> None:
    assert execute(shop, "--pipelined", "--priority", "critical-path").returncode == 0
    plan = json.loads(backfill(shop, "plan", "--to", "2024-05-10", "--today", "2024-05-20", "--format", "json").stdout)
    assert plan["totals"] == {"units": 0, "blocked": 0}


def test_a_unit_that_fails_run_after_run_is_held_back_until_it_is_asked_for(shop: Path) -> None:
    (shop / "closed").touch()
    for _ in range(3):
        came = execute(shop)
        assert (came.returncode, "failed: orders 2024-05-03: the shop is closed" in came.stdout) == (1, True)
    held = execute(shop)
    assert held.returncode == 1
    assert "exhausted: orders 2024-05-03: the shop is closed (in 3 runs" in held.stdout
    assert "failed: orders" not in held.stdout
    assert "exhausted 1  the shop is closed (in 3 runs" in held.stdout
    assert "or with --retry-exhausted" in " ".join(held.stdout.split())
    assert held.stdout.splitlines()[-1].startswith("next: backfill explain orders 2024-05-03")
    (shop / "closed").unlink()
    again = backfill(shop, "retry", "--cause", "is closed", "--yes")
    assert (again.returncode, "done orders 2024-05-03" in again.stdout) == (0, True), "whoever names it wants it called"
    assert execute(shop, "--retry-exhausted").returncode == 0


def test_a_date_may_shrink_if_somebody_says_why(shop: Path) -> None:
    assert execute(shop).returncode == 0
    path = shop / "plugins" / "all.py"
    text = path.read_text(encoding="utf-8").replace("at_least=3", "at_least=2")
    path.write_text(text.replace('enumerate("abc")', 'enumerate("ab")'), encoding="utf-8")
    force = ("--force", "--processor", "orders", "--dates", "2024-05-02")
    kept = execute(shop, *force)
    told = "shrank, 3 keys -> 2; nothing was changed. Look: backfill explain orders 2024-05-02"
    assert (kept.returncode, told in " ".join(kept.stdout.split())) == (1, True)
    assert execute(shop, *force, "--allow-shrink", "shop c never opened").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--service", "l4=3"), 'no service "l4". Services: none'),
        (("--max-failures", "5%%"), "type a number of units, 1 or more, or a share of them as 5%"),
        (("--fail-fast", "--max-failures", "2"), "--fail-fast means --max-failures 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(shop: Path, words: tuple[str, ...], said: str) -> None:
    came = execute(shop, *words)
    assert (came.returncode, "Traceback" in came.stderr) == (2, False)
    assert said in came.stderr
    assert not (shop / ".backfill").exists()


def test_caps_in_the_settings_are_read_and_checked(shop: Path) -> None:
    settings = shop / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text + '[tool.backfill.targets.local.in_flight]\nprocessors = {orders = 1}\ntables = {"shop.sums" = 1}\n')
    assert execute(shop).returncode == 0
    for limit, told in (
        (
            "in_flight]\nprocessors = {order = 1}",
            'in_flight.processors: no processor "order" in this project. Did you mean "orders"?',
        ),
        (
            'in_flight]\ntables = {"shop.order" = 1}',
            'in_flight.tables: no table "shop.order" in this project. Did you mean "shop.orders"?',
        ),
        ("in_flight]\nservices = {l4 = 1}", 'in_flight.services: no service "l4" in this project. There are: none'),
        ("per_minute]\nl4 = 1", 'per_minute: no service "l4" in this project. There are: none'),
    ):
        settings.write_text(f"{text}[tool.backfill.targets.local.{limit}\n")
        came = execute(shop, "--force", "--dates", "2024-05-02")
        assert (came.returncode, came.stderr) == (2, f"error: pyproject.toml [tool.backfill]: targets.local.{told}\n")
    settings.write_text(text + "[tool.backfill.targets.local.in_flight]\nprocesors = {orders = 1}\n")
    came = execute(shop)
    assert came.returncode == 2
    assert 'Did you mean "processors"?' in came.stderr
