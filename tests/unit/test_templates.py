"""What names in braces come to."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from backfill_core.model.templates import Pieces, Secret, TemplateError, environment_names, fields, fill, fill_text, look_into

DAYS = [date(2024, 11, 6), date(2024, 11, 8)]
PIECES = Pieces(
    {"date": DAYS[0], "dates": DAYS, "processors": ["a", "b"], "forced": False, "attempt": 2, "reason": "", "run": "r1"},
    {"KEY": "k1", "EMPTY": ""},
    {"job": {"id": 9, "steps": ["x", "y"], "none": None}},
)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{date}", "2024-11-06"),
        ("{date:%d.%m.%y}", "06.11.24"),
        ("{dates:%m%d}", "1106,1108"),
        ("{{date}} {run}-{attempt} {forced}", "{date} r1-2 false"),
        ("--by={processors}", "--by=a,b"),
        ("Bearer ${KEY}", "Bearer k1"),
        (f"Bearer {Secret('env:KEY')}", "Bearer k1"),
        ("$1 $${date} ${{KEY}} $", "$1 $2024-11-06 ${KEY} $"),
        ("/jobs/{answer:job.id}/{answer:job.steps.1}", "/jobs/9/y"),
    ],
)
def test_in_a_text_they_are_text(text: str, filled: str) -> None:
    assert fill_text(text, PIECES) == filled


def test_in_a_body_a_name_alone_is_its_value() -> None:
    body = {"d": "{date}", "all": "{dates:%Y%m%d}", "p": "{processors}", "f": "{forced}", "n": ["{attempt}", 1.5, None, True]}
    assert fill(body | {"key": Secret("env:KEY")}, PIECES) == {
        "d": "2024-11-06",
        "key": "k1",
        "all": ["20241106", "20241108"],
        "p": ["a", "b"],
        "f": False,
        "n": [2, 1.5, None, True],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{reason}", "{reason} is empty in this call"),
        ("{processor}", "this call has no {processor}"),
        ("${KEY:x}", "has more than a name in ${KEY:x}"),
        ("${NO}", "environment variable NO is not set"),
        ("${EMPTY}", "environment variable EMPTY is empty"),
        ("{answer:job.none}", 'the answer holds nothing at "job.none"'),
        ("{answer:job}", 'the answer holds nothing at "job"'),
        ("{date", "has a brace without its other"),
        ("a } b", "has a brace without its other"),
        ("{}", 'has braces round "", which is no name'),
        ("{date!r}", 'has braces round "date", which is no name'),
        ("{date.year}", 'has braces round "date.year", which is no name'),
        ("{date:{run}}", 'has braces round "date", which is no name'),
    ],
)
def test_what_is_not_known_or_empty_is_never_left_out(text: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        fill_text(text, PIECES)
    assert told in str(caught.value)
    with pytest.raises(TemplateError):
        fill({"deep": [text]}, PIECES)


def test_what_a_template_names() -> None:
    assert [str(field) for field in fields("{date:%Y} and ${KEY} {{x}}")] == ["{date:%Y}", "${KEY}"]
    assert environment_names([{"a": "${B} ${A}"}, "${B}", 3]) == ["B", "A"]


@pytest.mark.parametrize(
    ("path", "found"), [("", {"a": [{"b": 0}]}), ("a.0.b", 0), ("a.1", None), ("a.b", None), ("a.0.b.c", None), ("x", None)]
)
def test_paths_into_an_answer(path: str, found: Any) -> None:
    assert look_into({"a": [{"b": 0}]}, path) == found


@pytest.mark.parametrize("source", ["KEY", "env:", "env:a-b", "s3cr3t", "env:A B", "file:x"])
def test_a_secret_that_names_no_variable_is_refused_and_not_shown(source: str) -> None:
    with pytest.raises(ValueError, match=r'Write Secret\("env:NAME"\)') as raised:
        Secret(source)
    assert "s3cr3t" not in str(raised.value)


def test_a_secret_is_written_as_what_stands_for_it() -> None:
    assert (str(Secret("env:KEY")), repr(Secret("env:KEY"))) == ("{secret:KEY}", "Secret(source='env:KEY')")
    assert environment_names({"a": Secret("env:B"), "b": ["${A}"]}) == ["B", "A"]
    assert environment_names([Secret("env:B"), "${A}"], ("$",)) == ["A"]
