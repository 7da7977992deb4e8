"""Error rates of words and digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.score import Score, edits, score

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


@pytest.mark.parametrize(
    ("said", "heard", "count"),
    [
        ("", "", 0),
        ("a b c", "a b c", 0),
        ("a b c", "a c", 1),
        ("a c", "a b c", 1),
        ("a b c", "a x c", 1),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c d", "b c d a", 2),
    ],
)
def test_edits_are_the_fewest(said: str, heard: str, count: int) -> None:
    """One for each word put in, left out or replaced."""
    assert edits(said.split(), heard.split()) == count


@given(WORDS, WORDS, WORDS)
def test_edits_are_a_distance(a: list[str], b: list[str], c: list[str]) -> None:
    """The same both ways, none for equals, and no way round is shorter."""
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, c) <= edits(a, b) + edits(b, c)


def test_digits_are_scored_apart() -> None:
    """A lost digit is an error of both kinds, a misheard word of one."""
    assert score("call 555", "tall 55") == Score(words=4, word_edits=2, digits=3, digit_edits=1)


def test_scores_add_up() -> None:
    """The rate of many messages is that of all their words together."""
    total = Score(10, 1, 4, 1) + Score(30, 1, 6, 0)
    assert total.word_error_rate == pytest.approx(0.05)
    assert total.digit_error_rate == pytest.approx(0.1)


def test_nothing_said_has_no_errors() -> None:
    """An empty run divides by nothing."""
    assert Score().word_error_rate == Score().digit_error_rate == 0
