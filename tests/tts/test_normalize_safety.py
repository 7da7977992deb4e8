"""What never comes out of the normaliser, whatever goes in."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tts.normalize as normalize_module
from speech.messages import messages
from tts.engine import MAX_SPOKEN_CHARS, MAX_TEXT_CHARS
from tts.normalize import LANGUAGES, UnspeakableText, normalize, normalizing
from tts.text.cleaning import MOST_MARKS, clean, cleaning

ALPHABET = {
    "en": re.compile(r"[A-Za-z ,.?!']+"),
    "es": re.compile(r"[A-Za-záéíóúüñÁÉÍÓÚÜÑ ,.?!']+"),
    "fr": re.compile(r"[A-Za-zàâäçéèêëîïôöùûüÿÀÂÄÇÉÈÊËÎÏÔÖÙÛÜŸ ,.?!']+"),
}
PIECES = st.sampled_from(
    [
        *"0123456789",
        *"$€%#@&/:.,-()'\"<>[]{}|+*=~°½",
        " ",
        "\n",
        "AM",
        "p.m.",
        "Jan",
        "St.",
        "Dr.",
        "Mon",
    ]
    + [
        "order",
        "no.",
        "size",
        "www.",
        ".com",
        "ext",
        "1st",
        "W",
        "A",
        "the",
        "é",
        "👗",
        "\u202e",
        "\x00",
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=80).map("".join))


@given(text=TEXTS, language=st.sampled_from(LANGUAGES))
def test_only_words_and_marks_ever_come_out(text: str, language: str) -> None:
    """Whatever goes in, out come letters, spaces and marks, or a typed refusal."""
    try:
        spoken = normalize(text, language)
    except UnspeakableText:
        return
    assert ALPHABET[language].fullmatch(spoken)
    assert len(spoken) <= MAX_SPOKEN_CHARS
    assert max(map(len, spoken.split())) <= 31


@given(text=TEXTS, language=st.sampled_from(LANGUAGES))
def test_speech_grows_with_the_text_and_no_faster(text: str, language: str) -> None:
    """No short text makes a long speech."""
    try:
        spoken = normalize(text, language)
    except UnspeakableText:
        return
    assert len(spoken) <= 40 + 40 * len(text)


def test_what_is_spoken_is_left_alone() -> None:
    """What was normalised once is not changed by doing it again."""
    for message in messages("tuned"):
        spoken = normalize(message.text)
        assert normalize(spoken) == spoken


@pytest.mark.parametrize(
    "text", ["", "   ", "👗🎉", "!!!", "<>[]{}|", "\x00\x07", "\u0651\u0301", "-----", ":-) <3"]
)
def test_what_says_nothing_is_refused(text: str) -> None:
    """There is an error to answer with, not silence to call people for."""
    with pytest.raises(UnspeakableText, match="nothing"):
        normalize(text)


@pytest.mark.parametrize("text", ["a" * 100_000, "1" * 100_000, "\u202e" * 100_000, "<a>" * 33_000])
def test_what_is_too_long_is_refused_at_once(text: str) -> None:
    """A hostile text of 100 KB costs nothing but the refusal."""
    with pytest.raises(UnspeakableText, match="longer than 2,000"):
        normalize(text)


def test_the_refusal_does_not_quote_the_text() -> None:
    """Errors go into logs, texts of messages never do."""
    with pytest.raises(UnspeakableText) as caught:
        normalize("secret " * 1000)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "1-", "1.", "1/", "$1 ", "(212) ", "a.", "a@", "Jan ", "order ", "A ", "- ", "' "]
    + ["a.com/", "#A1-", "1 Aa ", "1:1", "12/12/", "[[", "AB-1", "1x"],
)
def test_repetition_ends(piece: str) -> None:
    """No pattern runs away on the longest text there may be: it is said, or refused."""
    try:
        assert normalize((piece * MAX_TEXT_CHARS)[:MAX_TEXT_CHARS])
    except UnspeakableText as error:
        assert "secret" not in str(error)


@pytest.mark.parametrize(
    "markup",
    [
        '<genfile file="/tmp/x">hello</genfile>',
        '<play file="/etc/passwd"/>hello',
        "<speed level='200'>hello",
        "[[h@l'oU]] hello",
        "{{hello}} | hello",
        "＜genfile file='x'＞hello",
        "&lt;genfile&gt; hello",
    ],
)
def test_markup_is_read_as_text(markup: str) -> None:
    """Orders to an engine arrive as harmless words."""
    spoken = normalize(markup)
    assert "hello" in spoken
    assert ALPHABET["en"].fullmatch(spoken)


def test_other_scripts_do_not_reach_the_engine() -> None:
    """What the voice has no letters for is left out; accents are taken off."""
    assert normalize("Привет Łukasz ٣ שלום") == "Lukasz three"


def test_words_without_end_are_cut() -> None:
    """Pico fails on words of hundreds of letters."""
    assert max(map(len, normalize("x" * 500).split())) <= 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_text_is_read_in_small_steps(language: str) -> None:
    """A match in a step: an event loop between them is never held up for long."""
    few, many = (len(list(normalizing("12 " * count, language))) for count in (10, 100))
    assert many - few >= 90


def test_other_scripts_are_read_in_small_steps() -> None:
    """A character that was never seen takes longer than one that was."""
    assert len(list(cleaning("\u4e00" * MAX_TEXT_CHARS, ""))) >= 30


def test_heaps_of_accents_are_never_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unicode takes the square of their number for it: 20 ms for a text of nothing else."""
    sorted_texts: list[str] = []
    to_sort = unicodedata.normalize

    def normalized(form: Literal["NFC", "NFKD"], text: str) -> str:
        sorted_texts.append(text)
        return to_sort(form, text)

    monkeypatch.setattr(unicodedata, "normalize", normalized)
    assert clean("e" + "\u0301\u0323" * 999 + "l", "") == "el"
    assert max(map(len, sorted_texts)) <= 2 + MOST_MARKS
    assert clean("Nguye\u0302\u0303n", "") == "Nguyen"


def test_what_grows_when_it_is_made_plain_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One character may stand for many: "\u00bd" is " 1/2"."""
    monkeypatch.setattr(normalize_module, "_apply", None)
    with pytest.raises(UnspeakableText, match="more than 2,500"):
        normalize("\u00bd" * MAX_TEXT_CHARS)
