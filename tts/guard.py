"""The last look at a text before an engine has it.

The normaliser writes words; this makes sure of it, whatever came before. Engines take markup in
their input (Pico: `<genfile file="…">` writes that file; Piper: `[[…]]` is phonemes), fail on long
runs of digits and on rare scripts, or read a hundred dots aloud. So only an alphabet of letters,
digits and the signs of a sentence goes through, once before a text is queued for an engine and once
again in the process that speaks it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tts.engine import MAX_SPOKEN_CHARS, TextRefused

MAX_WORD_CHARS: Final = 30
"""Longer words are spoken in pieces: Pico fails on runs of 60 digits."""

_LETTERS = "A-Za-zÀ-ÖØ-öø-ÿŒœ"
_FOREIGN = re.compile(f"[^{_LETTERS}0-9 ,.?!'-]")
_KEPT = re.compile(f"[{_LETTERS}0-9 ,.?!'-]+")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,?']")
_REPEATED = re.compile(r"([,.?!'-])(?: ?\1)+")
_SPACES = re.compile(" {2,}")
_LONG_WORD = re.compile(rf"([^ ]{{{MAX_WORD_CHARS}}})(?=[^ ])")
_SPOKEN = re.compile(f"[{_LETTERS}0-9]")
_ALIKE = str.maketrans("\u2019\u2018\u02bc\u2013\u2014\u2212", "'''---")


def guarded(text: str, *, max_chars: int = MAX_SPOKEN_CHARS) -> str:
    """The text in letters, digits, spaces and , . ? ! ' - alone, no word longer than 30.

    Letters of other alphabets lose their marks where that makes them ours, else become spaces.
    Raises TextRefused when nothing is left, or more than `max_chars`.
    """
    if len(text) > max_chars:
        raise TextRefused("too-long")
    if not text.strip():
        raise TextRefused("empty")
    text = unicodedata.normalize("NFC", text).translate(_ALIKE)
    text = _FOREIGN.sub(_nearest, text)
    text = _REPEATED.sub(r"\1", _SPACES.sub(" ", text))
    text = _LONG_WORD.sub(r"\1 ", text).strip()
    if not _SPOKEN.search(text):
        raise TextRefused("nothing-to-say")
    if len(text) > max_chars:
        raise TextRefused("too-long")
    return text


def plain(text: str) -> str:
    """The text in ASCII alone: a second try for what an engine choked on."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _SPACES.sub(" ", _NOT_PLAIN.sub(" ", folded)).strip()


def _nearest(match: re.Match[str]) -> str:
    """What our alphabet has for a character of another: "ﬁ" is "fi", "ő" is "o"."""
    kept = "".join(_KEPT.findall(unicodedata.normalize("NFKD", match[0])))
    return kept if kept.strip() or unicodedata.combining(match[0]) else " "
