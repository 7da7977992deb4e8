"""The one spelling of what sounds the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.canonical import canonical
from speech.messages import HALVES, messages
from tts.normalize import normalize


@pytest.mark.parametrize(
    ("spellings", "form"),
    [
        (
            ["$149.50", "149 dollars and 50 cents", "one hundred forty-nine dollars fifty cents"],
            "1 4 9 dollars 5 0 cents",
        ),
        (["$1,250", "$1250.00", "one thousand two hundred and fifty dollars"], "1 2 5 0 dollars"),
        (["$-12.40", "-$12.40", "minus 12 dollars and 40 cents"], "minus 1 2 dollars 4 0 cents"),
        (["2026", "twenty twenty six", "two thousand twenty six"], "2 0 2 6"),
        (["10:30 a.m.", "10.30am", "ten thirty A M"], "1 0 3 0 am"),
        (["10:00", "ten o'clock", "10 o'clock"], "1 0"),
        (["8:05 AM", "eight oh five AM", "eight zero five a.m."], "8 0 5 am"),
        (["June 3rd to 5th", "june third to fifth"], "june 3 to 5"),
        (["7 1/2", "7½", "seven and a half"], "7 1 half"),
        (["3/4", "three quarters"], "3 quarters"),
        (["2.5", "two point five"], "2 point 5"),
        (["212-555-0123", "(212) 555-0123", "212.555.0123"], "2 1 2 5 5 5 0 1 2 3"),
        (["one, eight hundred, five five five", "1-800-555"], "1 8 0 0 5 5 5"),
        (["AB-1042", "A B, one zero four two", "AB 1042"], "ab 1 0 4 2"),
        (["sample.com/fit", "sample dot com slash fit"], "sample dot com slash fit"),
        (["me@example.com", "me at example dot com"], "me at example dot com"),
        (["20%", "twenty percent"], "2 0 percent"),
        (["#48213", "number 48213", "No. 48213"], "number 4 8 2 1 3"),
        (["1420 Main St.", "fourteen twenty Main Street"], "1 4 2 0 main street"),
        (["pick up", "pickup", "Pick up!"], "pickup"),
        (["Mr. and Mrs.", "mister and missus"], "mister and missus"),
        (['108"', "one hundred eight inches"], "1 0 8 inches"),
    ],
)
def test_what_sounds_the_same_is_written_the_same(spellings: list[str], form: str) -> None:
    """Neither the recogniser's spelling nor ours decides a score."""
    assert {" ".join(canonical(spelling)) for spelling in spellings} == {form}


@pytest.mark.parametrize(
    ("one", "other"),
    [("four", "for"), ("two", "to"), ("fifteen", "fifty"), ("five", "nine"), ("10:30", "10:13")],
)
def test_what_sounds_or_means_otherwise_stays_different(one: str, other: str) -> None:
    """Nothing misheard is forgiven."""
    assert canonical(one) != canonical(other)


@given(st.text(max_size=80))
def test_each_digit_is_a_word_of_its_own(text: str) -> None:
    """The form holds letters and single digits alone, and canonical text stays as it is."""
    words = canonical(text)
    assert all(w.isascii() and (w.isalpha() or (len(w) == 1 and w.isdigit())) for w in words)


def test_what_the_normaliser_says_is_what_the_reference_says() -> None:
    """The voice is asked to say what the scorer waits for. The held-out half is not looked at."""
    for message in messages("tuned"):
        assert canonical(normalize(message.text)) == canonical(message.spoken)


def test_there_are_enough_messages_and_digits() -> None:
    """Two halves of equal kind, large enough to tell five percent from ten."""
    halves = [messages(half) for half in HALVES]
    digits = [sum(w.isdigit() for m in half for w in canonical(m.spoken)) for half in halves]
    assert sum(map(len, halves)) >= 60
    assert sum(digits) >= 400
    assert abs(len(halves[0]) - len(halves[1])) <= 2
    assert not {m.text for m in halves[0]} & {m.text for m in halves[1]}
