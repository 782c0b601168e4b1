"""Rules, each on one day: which shares of its rows break it."""

from __future__ import annotations

import pytest

from backfill_core.coverage import DateFacts
from backfill_core.model.expectations import (
    Allowed,
    KeysOf,
    MatchingKeys,
    NotNull,
    Offending,
    Positive,
    Rule,
    UniqueKey,
)
from backfill_core.model.windows import SEASON_TO_DATE, calendar_dates, days
from backfill_core.planning.rules import failing

DAY = 20_000


def breaks(rule: Rule, *, distinct: int = 10, **checks: tuple[int, int]) -> bool:
    """Whether ten rows break a rule whose check came to ``(good, judged)``; without it, nothing was asked."""
    found = {str(rule): {DAY: counts} for counts in checks.values()}
    fails = failing(rule, DateFacts(rows={DAY: 10}, distinct={DAY: distinct}, checks=found), {})
    assert fails is not None
    return fails(DAY)


@pytest.mark.parametrize("rule", [NotNull, Positive])
def test_a_share_of_good_rows_is_enough(rule: type[NotNull]) -> None:
    assert not breaks(rule("n", share=0.9), counts=(9, 10))
    assert breaks(rule("n", share=0.9), counts=(8, 10))
    assert not breaks(rule("n"), counts=(0, 0))


def test_allowed_values() -> None:
    assert not breaks(Allowed("team", values=("x", "y"), share=0.5), counts=(5, 10))
    assert breaks(Allowed("team", values=("x", "y")), counts=(9, 10))


def test_keys_that_match_nothing_because_nothing_is_there() -> None:
    assert breaks(MatchingKeys("roster"))
    assert breaks(MatchingKeys("roster"), counts=(9, 10))
    assert not breaks(MatchingKeys("roster", share=0.9), counts=(9, 10))


def test_a_share_of_rows_with_a_key_of_their_own() -> None:
    assert not breaks(UniqueKey())
    assert breaks(UniqueKey(), distinct=9)
    assert not breaks(UniqueKey(share=0.9), distinct=9)


def test_a_share_of_rows_that_do_not_offend() -> None:
    assert not breaks(Offending("sums", sql="r.sql"))
    assert breaks(Offending("sums", sql="r.sql"), counts=(0, 1))
    assert not breaks(Offending("sums", sql="r.sql", share=0.9), counts=(0, 1))
    assert breaks(Offending("sums", sql="r.sql", share=0.9), counts=(0, 2))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (KeysOf("a", share=0.9), "90% of the keys of a"),
        (KeysOf("a", column="team", also_in="b"), "100% of the keys of a by team that b holds"),
        (KeysOf("a", at_least=3), "100% of the keys of a with 3 dates this season before"),
        (KeysOf("a", window=days(7)), "100% of the keys of a in 7 days"),
        (KeysOf("a", window=calendar_dates(7), at_least=2), "100% of the keys of a in 7 calendar dates with 2 dates there"),
        (KeysOf("a", window=SEASON_TO_DATE), "100% of the keys of a in season to date"),
        (NotNull("n", among="team in b"), "n not null among team in b"),
        (Allowed("n", values=(1, "x"), among="active"), "n in 1, x among active"),
        (MatchingKeys("a"), "keys match a"),
        (MatchingKeys("a", columns=("team", "game")), "keys match a by team, game"),
    ],
)
def test_words_tell_declarations_apart(declared: KeysOf | Rule, words: str) -> None:
    assert str(declared) == words
