"""Lines as a terminal shows them."""

from __future__ import annotations

import pytest

from backfill_core.reports.wrapping import one_line, wrapped


@pytest.mark.parametrize(
    ("line", "width", "shown"),
    [
        ("short enough", 12, ["short enough"]),
        ("a line of several words", 12, ["a line of", "  several", "  words"]),
        ("    deeper lines go deeper", 16, ["    deeper lines", "      go deeper"]),
        ("label    text that is told", 20, ["label    text that", "           is told"]),
        ("  hard  what is needed", 20, ["  hard  what is", "          needed"]),
        ("  row    12  told in words of its own", 24, ["  row    12", "      told in words of", "        its own"]),
        ("row  of  three columns", 12, ["row  of", "    three", "      columns"]),
        ("what 95 % of", 7, ["what", "  95 %", "  of"]),
    ],
)
def test_lines_go_on_below(line: str, width: int, shown: list[str]) -> None:
    assert wrapped([line], width) == shown


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("next: {}", "backfill plan --from 2024-10-01 --to 2024-10-02"),
        ("it went wrong. Look: {}. And then more of it", "backfill logs r12"),
        ("to repeat one: {}; all: backfill runs", "backfill resume RUN --override-gate 'g=shut; for. good'"),
        ("- `{}`", "backfill retry r1 --cause 'HTTP 503'"),
        ("paused (to go on: {})", "backfill continue r12"),
    ],
)
def test_a_command_stands_on_one_line(line: str, command: str) -> None:
    for width in range(10, 60):
        assert sum(command in each for each in wrapped([line.format(command)], width)) == 1


def test_what_follows_a_command_may_be_broken() -> None:
    shown = wrapped(["see: backfill graph. All words after it are words again"], 24)
    assert shown == ["see: backfill graph. All", "  words after it are", "  words again"]


def test_a_path_with_blanks_stands_on_one_line() -> None:
    path = "/srv/my data/in here"
    assert wrapped([f"cannot read {path}: it is gone"], 20, whole=[path]) == ["cannot read", f"  {path}:", "  it is gone"]


def test_what_others_wrote_stays_on_its_line() -> None:
    assert one_line("never\ncame,\r\n  they say\n") == "never came, they say"
    assert one_line("  as  it is") == "  as  it is"
    assert one_line("  what\x85 it\u2028was") == "  what it was"
