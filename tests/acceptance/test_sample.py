"""The main job on the made sample, from wounds to documented answers."""

from __future__ import annotations

from pathlib import Path

import pytest

import demo
from projects import answer, backfill, copy_of_reference


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_of_reference(tmp_path_factory.mktemp("sample"), "2024-10-01")
    demo.make_sample(project, 7)
    return project


def test_the_demo_finds_its_answers_and_a_plan_after_it_is_empty(sample: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main(sample) == 0, capfd.readouterr().out
    shown = capfd.readouterr().out
    assert "what remains is exactly what the answers say" in shown
    assert "L4 game_id 275 (15.0 %) -> 1,613 (88.0 %)" in shown
    plan = answer(sample, "plan")
    assert plan["totals"] == {"units": 0, "blocked": 11}
    assert {cause["why"] for blocked in plan["blocked"] for cause in blocked["because"]} == {"no landing file"}
    assert {blocked["dates"][0] for blocked in plan["blocked"]} == {"2025-03-05"}
    assert backfill(sample, "validate").returncode == 3, "2025-03-05 stays below the gate"


def test_the_answer_would_be_missed_if_anything_else_remained() -> None:
    assert demo.differences("after", {"a": ["2025-03-05"]}, {"a": ["2025-03-05", "2025-03-06"]})
    assert not demo.differences("after", {"a": ["2025-03-05"]}, {"a": ["2025-03-05"]})
