"""What came back, in words: times to wait, and what a stranger's last line says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill_core.dates import DateSet
from backfill_core.events import Claim
from backfill_core.model.http import Answer, Http, Sign
from backfill_core.model.units import Batch, Unit
from backfill_core.replies import Reply, read_reply, retry_seconds, words_of

NOW = datetime(2024, 11, 6, 12, 0, 0, tzinfo=UTC)
DAYS = (date(2024, 11, 6), date(2024, 11, 7))
BATCH = Batch(number=1, processors=("a", "b"), dates=DateSet.of(*DAYS))
UNITS = {Unit(name, day) for name in "ab" for day in DAYS}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Wed, 06 Nov 2024 12:00:30 GMT", 30.0),
        ("Wed, 06 Nov 2024 11:00:00 GMT", 0.0),
        ("Wed, 06 Nov 2024 12:00:30", None),
        ("-3", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_how_long_to_wait(header: str | None, seconds: float | None) -> None:
    assert retry_seconds(header, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"first\n\x1b[31mred\x1b[0m last\r\n \n", "[31mred [0m last"),
        (b"", ""),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_the_last_line_that_says_anything(text: bytes | str, words: str) -> None:
    assert words_of(text) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "b", "done", "bad", "2024-11-06", ""]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["results", "p", "d", "s", "e"]), inner, max_size=5)
    ),
    max_leaves=12,
)
SIGNS = (Sign("declined", at="e", values=("a", 1)),), (Sign("locked", status=200, at="s", contains="D"),)
ANSWERS = st.builds(
    Answer,
    results=st.sampled_from(["", "results"]),
    processor=st.sampled_from(["", "p"]),
    date=st.sampled_from(["", "d"]),
    status=st.just("s"),
    means=st.just({"done": "done", "bad": "failed", True: "running"}),
    error=st.sampled_from(["", "e"]),
    signs=st.sampled_from(
        [
            (),
            (Sign("declined", at="e", values=("a", 1)),),
            (Sign("locked", status=200, at="s", contains="D"),),
            (Sign("declined", status=503, contains="a"),),
        ]
    ),
)


@given(answer=st.none() | ANSWERS, found=JSON, status=st.sampled_from([200, 202, 204, 302, 401, 404, 429, 500, 503, 504]))
def test_whatever_comes_back_every_unit_has_one_outcome(answer: Answer | None, found: Any, status: int) -> None:
    spec = Http("https://x.test/", answer=answer)
    outcomes = read_reply(spec, answer, BATCH, {"a": "a"}, Reply(status=status, body=json.dumps(found).encode()))
    assert outcomes is None or set(outcomes) == UNITS


@pytest.mark.parametrize("body", [b'{"e": "DATA_INCOMPLETE"}', b'{"detail": {"code": "data_incomplete"}}', b"DATA_INCOMPLETE"])
def test_a_sign_that_names_no_place_is_looked_for_in_all_of_an_answer(body: bytes) -> None:
    answer = Answer(signs=(Sign("declined", status=503, contains="DATA_INCOMPLETE"),))
    for status, claim in ((503, Claim.DECLINED), (500, Claim.FAILED)):
        outcomes = read_reply(Http("https://x.test/"), answer, BATCH, {}, Reply(status=status, body=body))
        assert outcomes is not None and {outcome.claim for outcome in outcomes.values()} == {claim}


@given(body=st.binary(max_size=60), truncated=st.booleans())
def test_bytes_that_mean_nothing_are_never_a_success(body: bytes, truncated: bool) -> None:
    answer = Answer(results="results", status="s", means={"done": "done"})
    outcomes = read_reply(Http("https://x.test/"), answer, BATCH, {}, Reply(status=200, body=body, truncated=truncated))
    try:
        json.loads(body)
    except ValueError:
        assert outcomes is not None
        assert {outcome.claim.value for outcome in outcomes.values()} == {"failed"}
