"""What the documents show is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from projects import ROOT, backfill

TEXTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == language]


def test_the_project_in_the_authors_guide_works(tmp_path: Path) -> None:
    guide = ROOT / "docs" / "plugins.md"
    (tmp_path / "pyproject.toml").write_text(blocks(guide, "toml")[0], encoding="utf-8")
    for text in blocks(guide, "python") + blocks(guide, "sql"):
        path = tmp_path / re.split(r"\s+", text, maxsplit=2)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "landing" / "orders").mkdir(parents=True)
    for day in ("2024-05-01", "2024-05-03"):
        text = f"order_id,day,shop,amount\n1,{day},a,10\n2,{day},b,20\n"
        (tmp_path / "landing" / "orders" / f"{day}.csv").write_text(text, encoding="utf-8")
    done = backfill(tmp_path, "execute", "--to", "2024-05-03", "--today", "2024-05-10", "--allow-blocked")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "L2 dates 0 (0.0 %) -> 2 (66.7 %)" in done.stdout
    assert "order_files 2024-05-02: missing: no landing file" in done.stdout


def test_the_processors_in_the_guide_to_runners_are_right(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(blocks(ROOT / "docs" / "plugins.md", "toml")[0], encoding="utf-8")
    for guide in ("plugins.md", "runners.md"):
        for text in blocks(ROOT / "docs" / guide, "python") + blocks(ROOT / "docs" / guide, "sql"):
            path = tmp_path / re.split(r"\s+", text, maxsplit=2)[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    understood = backfill(tmp_path, "graph")
    assert understood.returncode == 0, understood.stderr
    for name in ("totals", "mirror", "scores", "ranks", "predictions", "odds"):
        assert name in understood.stdout


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_make_targets_exist(text: Path) -> None:
    body = text.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", body):
        assert (text.parent / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make (\w+)`?", body):
        assert f"\n{target}:" in makefile or target in ("it", "one"), target


def test_every_command_that_documents_name_exists() -> None:
    from backfill_core.cli import COMMANDS

    for text in TEXTS:
        for name in re.findall(r"`(?:\.venv/bin/)?backfill ([a-z-]+)", text.read_text(encoding="utf-8")):
            assert name in COMMANDS, f"{text.name} names backfill {name}"
