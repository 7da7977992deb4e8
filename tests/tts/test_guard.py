"""The guard: nothing but words reaches an engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tts import hostile
from tts.engine import MAX_SPOKEN_CHARS, TextRefused
from tts.guard import MAX_WORD_CHARS, guarded, plain

SAFE = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿŒœ0-9 ,.?!'-]+")


def check(text: str) -> None:
    """A text is refused, or made of words."""
    try:
        safe = guarded(text)
    except TextRefused:
        return
    assert SAFE.fullmatch(safe)
    assert len(safe) <= MAX_SPOKEN_CHARS
    assert max(map(len, safe.split(" "))) <= MAX_WORD_CHARS


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_text(text: str) -> None:
    """Whatever the text, markup, control characters and long words are gone."""
    check(text)


def test_hostile_texts() -> None:
    """Texts that are known to harm are refused or made harmless."""
    everything = [*hostile.markup(Path("/x")), *hostile.STRANGE, *hostile.random_texts(2_000)]
    for text in everything:
        check(text)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Your gown is ready, Anna!", "Your gown is ready, Anna!"),
        ("Anna\u2019s gown \u2013 ready", "Anna's gown - ready"),
        ("ma\u00f1ana, \u00e0 bient\u00f4t", "ma\u00f1ana, \u00e0 bient\u00f4t"),
        ("man\u0303ana", "ma\u00f1ana"),
        ("\u0150z and \ufb01ne", "Oz and fine"),
        ("<b>ready</b>", "b ready b"),
        ("wait........what???", "wait.what?"),
        ("1" * 35, "1" * 30 + " " + "1" * 5),
    ],
)
def test_what_remains(text: str, safe: str) -> None:
    """Words stay as they were; the rest becomes the nearest thing, or a space."""
    assert guarded(text) == safe


@pytest.mark.parametrize("text", hostile.SILENT)
def test_nothing_to_say(text: str) -> None:
    """A text without a letter or a digit is refused."""
    with pytest.raises(TextRefused) as caught:
        guarded(text)
    assert caught.value.reason in {"empty", "nothing-to-say"}
    assert not caught.value.is_temporary


@pytest.mark.parametrize("text", hostile.LONG)
def test_too_long(text: str) -> None:
    """A text that is too long is refused, not cut."""
    with pytest.raises(TextRefused) as caught:
        guarded(text)
    assert caught.value.reason == "too-long"


def test_second_try() -> None:
    """What an engine choked on is tried again in ASCII."""
    assert plain("ma\u00f1ana! \u00e0 bient\u00f4t - 5'") == "manana a bientot 5'"
