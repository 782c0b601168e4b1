"""What the documents show is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from projects import ROOT, backfill

TEXTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)

#: What follows the calendar in the guide.
GAMES = """
from backfill_core import SOURCE, CalendarKeys, Processor, Table
GAMES = Processor("games", layer="raw", calendar="league", writes=Table("shop.games", date="day", key=("game_id",)),
    complete_when=CalendarKeys("game_id"), run=SOURCE)
"""


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
    (tmp_path / "landing" / "schedule").mkdir()
    (tmp_path / "landing" / "schedule" / "2024.csv").write_text(blocks(guide, "csv")[0], encoding="utf-8")
    for day in ("2024-05-01", "2024-05-03"):
        text = f"order_id,day,shop,amount\n1,{day},a,10\n2,{day},b,20\n"
        (tmp_path / "landing" / "orders" / f"{day}.csv").write_text(text, encoding="utf-8")
    done = backfill(tmp_path, "execute", "--to", "2024-05-03", "--today", "2024-05-10", "--allow-blocked")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "L2 dates 0 (0.0 %) -> 2 (66.7 %)" in done.stdout
    assert "order_files 2024-05-02: missing: no landing file" in done.stdout
    waived = backfill(tmp_path, "waive", "order_files", "2024-05-02", "--reason", "never came").stdout
    assert "still expected, and tried without: orders. Where that comes to nothing, waive it too\n" in waived
    (tmp_path / "plugins" / "games.py").write_text(GAMES, encoding="utf-8")
    held = backfill(tmp_path, "coverage", "--from", "2024-03-30", "--to", "2024-05-03", "--today", "2024-05-10").stdout
    assert "2 league dates, 2 games (schedule known to 2024-05-03)" in held
    assert "games: 1 friendlies, 1 off-day, 29 off-season" in held
    assert "unknown: 2 days, 2024-03-30..2024-03-31, beyond what the calendar knows: games" in held


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


def test_every_command_and_option_is_named_in_a_document() -> None:
    from backfill_core.cli import COMMANDS, cli

    body = "\n".join(text.read_text(encoding="utf-8") for text in TEXTS if text.name != "CHANGELOG.md")
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert re.search(rf"`?(?:backfill )?{name}\b", body), name
        for each in (command, *getattr(command, "commands", {}).values()):
            for option in (param for param in each.params if isinstance(param, click.Option)):
                assert re.search(rf"{option.opts[0]}(?![\w-])", body), f"backfill {name} {option.opts[0]}"


def test_every_command_that_documents_name_exists() -> None:
    from backfill_core.cli import COMMANDS

    for text in TEXTS:
        for name in re.findall(r"`(?:\.venv/bin/)?backfill ([a-z-]+)", text.read_text(encoding="utf-8")):
            assert name in COMMANDS, f"{text.name} names backfill {name}"


def test_every_command_line_in_a_document_is_understood() -> None:
    from backfill_core.cli import cli

    seen = 0
    for text in TEXTS:
        for block in blocks(text, ""):
            for line in re.findall(r"^(?:\.venv/bin/)?backfill (.+)$", block, re.MULTILINE):
                name, *words = shlex.split(line.partition(" > ")[0], comments=True)
                command = cli.get_command(click.Context(cli), name)
                assert command is not None, line
                command.make_context(name, words)  # raises for an option or a value that it does not take
                seen += 1
    assert seen > 30


def test_every_heading_of_help_names_options_that_there_are() -> None:
    from backfill_core.cli import COMMANDS, cli
    from backfill_core.cli.sections import SECTIONS

    commands = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    known = {param.name for command in commands if command for param in command.params}
    named = [name for names in SECTIONS.values() for name in names]
    assert set(named) <= known and len(named) == len(set(named))
    shown = backfill(ROOT, "execute", "--help").stdout
    places = [shown.index(f"\n{heading}:\n") for heading in SECTIONS]
    assert places == sorted(places)
