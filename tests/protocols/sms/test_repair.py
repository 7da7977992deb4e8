"""Repair: plain characters where they say the same, and only where that helps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.sms import gsm7
from protocols.sms.repair import REPLACEMENTS, Change, repair


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("It’s “ready” – today…", 'It\'s "ready" - today...'),
        ("10\u202fa.m.\u00a0sharp", "10 a.m. sharp"),
        ("• veil\n• shoes", "- veil\n- shoes"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("Sample Bridal™ © 2026", "Sample Bridal(TM) (C) 2026"),
        ("ﬁtting o\ufb03ce", "fitting office"),
        ("cafe\u0301", "café"),
        ("don\x92t", "don't"),
        ("\x80 5", "€ 5"),
        ("a\tb`c", "a b'c"),
        ("Ｏｐｅｎ！", "Open!"),
        ("bell\x07", "bell"),
    ],
)
def test_typography_becomes_plain(text: str, repaired: str) -> None:
    """Quotes, dashes, spaces, bullets, ligatures and lost code pages all have a plain form."""
    assert repair(text).text == repaired


@pytest.mark.parametrize("text", ["plain", "Größe {5} €", "", "a\r\nb"])
def test_a_text_that_fits_is_not_touched(text: str) -> None:
    """What the alphabet holds already is returned as it is, without changes."""
    assert repair(text) == (text, ())


@pytest.mark.parametrize(
    "text", ["“Hola, María”", "it’s 漢字", "yes… 👗", "size 8½ – ready", "20 °C…"]
)
def test_a_text_that_needs_ucs2_anyway_keeps_its_typography(text: str) -> None:
    """Where one character has no plain form, none is replaced."""
    assert repair(text) == (text, ())


def test_changes_say_what_was_replaced_and_how_often() -> None:
    """The preview can show the caller each kind of change with its number."""
    assert repair("‘a’ – b’s").changes == (
        Change("‘", "'", 1),
        Change("’", "'", 2),
        Change("–", "-", 1),
    )


def test_every_replacement_can_be_sent() -> None:
    """No entry of the table leads outside the alphabet, and none starts inside."""
    assert all(gsm7.is_encodable(replacement) for replacement in REPLACEMENTS.values())
    assert not any(gsm7.is_encodable(char) for char in REPLACEMENTS)


@settings(deadline=None)
@given(st.text() | st.text(st.sampled_from("a€’“–…\u200b\u0301\x92ﬁ漢")))
def test_repair_is_all_or_nothing_and_stable(text: str) -> None:
    """Either the text is left alone or all of it fits; a second repair changes nothing."""
    repaired = repair(text)
    if repaired.changes:
        assert gsm7.is_encodable(repaired.text)
        assert sum(change.times for change in repaired.changes) >= 1
    else:
        assert repaired.text == text
    assert repair(repaired.text) == (repaired.text, ())
