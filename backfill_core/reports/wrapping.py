"""Lines as a terminal shows them: each too long one goes on below, further in.

Reports are lists of lines, one idea each; only here does a width matter. What is read by programs (a file, a pipe) keeps one line
for each.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

#: A command after a colon or in backticks: to the end of its sentence, whatever is quoted in it.
_WORD = r"""(?:'[^']*'|"[^"]*"|[^\s'";`)])+"""
_COMMAND = re.compile(rf"(?:(?<=: )|(?<=`))backfill(?: {_WORD}(?<!\.))*(?: {_WORD})?")
#: Words that belong together: a number and its sign.
_TOGETHER = re.compile(r"(?<=\d) (?=%)")
#: A word with a column of its own before the text, and a row whose last column is told in words.
_LABEL = re.compile(r" *\S+ {2,}(?=\S(?!.*\S {2,}\S))")
_ROW = re.compile(r"( *)(\S.*\S)  +(\S.*)")
#: All that `str.splitlines` takes for the end of a line, and blanks around it.
_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
#: A blank at which no line is broken.
_STAYS = "\xa0"


def wrapped(lines: Iterable[str], width: int, *, whole: Iterable[str] = ()) -> list[str]:
    """The lines, each longer than ``width`` broken between words.

    A command that is to be typed, and what is in ``whole`` (paths), are never broken: they get a line of their own where they do
    not fit behind what is before them.
    """
    kept = [text for text in whole if " " in text]
    shown: list[str] = []
    for line in lines:
        shown += [line] if len(line) <= width else _broken(line, width, kept)
    return shown


def one_line(text: str) -> str:
    """A text without line breaks, for what other people wrote may have some."""
    return _BREAK.sub(" ", text).rstrip(" ") if _BREAK.search(text) else text


def _broken(line: str, width: int, kept: list[str]) -> list[str]:
    for text in kept:
        line = line.replace(text, _held(text))
    line = _TOGETHER.sub(_STAYS, _COMMAND.sub(lambda found: _held(found[0]), line))
    indent = len(line) - len(line.lstrip(" "))
    label = _LABEL.match(line)
    row = None if label else _ROW.fullmatch(line)
    if row and len(row[1] + row[2]) <= width:
        further = row[1] + " " * 4
        parts = [row[1] + row[2], *_filled(further + row[3], width, further + "  ")]
    else:
        further = " " * (min(len(label[0]), width // 2) if label else indent + 2)
        parts = _filled(line, width, further + ("  " if label else ""))
    return [part.replace(_STAYS, " ") for part in parts]


def _filled(text: str, width: int, further: str) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def _held(text: str) -> str:
    return text.replace(" ", _STAYS)
