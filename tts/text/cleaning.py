"""From what people type to plain characters, before the rules; and the last sieve behind them.

Markup never reaches an engine: Pico takes `<genfile file=…>` in its text as an order to write that
file, others take `<…>`, `{…}` or `[[…]]` for instructions. Nothing passes `finish` but letters,
spaces, apostrophes and `, . ? !`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tts.steps import Steps, at_once

LONGEST_WORD = 30
"""Letters without a space that an engine is given; Pico fails on long ones."""

MOST_MARKS = 4
"""Accents that one letter may bear. Unicode sorts them, in a time that grows with the square of
their number: a text of nothing else would take the event loop for 20 ms."""

_PIECE = 64
"""Characters that a step looks at. Each that was never seen before takes 10 µs."""

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‛ʼ´`", "'"),
        **dict.fromkeys("“”„‟«»", '"'),
        **dict.fromkeys("–‒−‐‑⁻", "-"),
        **dict.fromkeys("—―", ", "),
        **dict.fromkeys("™®©¿¡", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),
        **dict.fromkeys("×✕✖", "x"),
        **{
            c: f" {unicodedata.normalize('NFKC', c).replace(chr(0x2044), '/')}" for c in "½⅓⅔¼¾⅛⅜⅝⅞"
        },
        "…": "...",
        "№": "No.",
        "•": ", ",
        "·": ", ",
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "Œ": "Oe",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "þ": "th",
        "ı": "i",
    }
)
_KEPT_SIGNS = frozenset("€£¢°ºª")
_SMILEYS = re.compile(r"(?<!\S)(?:[:;=]['-]?[)(DPp|/*]|<3|\^_?\^|[xX]D)(?!\w)")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")


def clean(text: str, letters: str) -> str:
    """`text` in ASCII, `letters`, and the signs that the rules read; line breaks become pauses.

    Other letters lose their accents, digits of other scripts become ours, and what is left of
    other scripts, emoji and control characters becomes a space.
    """
    return at_once(cleaning(text, letters))


def cleaning(text: str, letters: str) -> Steps[str]:
    """The same in steps."""
    if not text.isascii():
        text = yield from _to_plain(text, letters)
    if "\n" in text or "\r" in text:
        text = _LINES.sub(_line_end, text.replace("\r", "\n").strip())
    if not _SMILING.isdisjoint(text):
        text = _SMILEYS.sub(" ", text)
    return _SPACES.sub(" ", text.translate(_CONTROLS)).strip()


_SMILING = frozenset(":;=<^D")
_CONTROLS = {c: " " for c in (*range(32), 127) if c != ord("\n")}


def _line_end(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1]
    return " " if before in ".?!,:;" else ". "


def _to_plain(text: str, letters: str) -> Steps[str]:
    text = unicodedata.normalize("NFC", _with_few_marks(text)).translate(_PLAIN)
    plain = []
    for start in range(0, len(text), _PIECE):
        yield
        piece = text[start : start + _PIECE]
        plain += [c if c < "\x80" else _plain_of(c, letters) for c in piece]
    return "".join(plain)


def _with_few_marks(text: str) -> str:
    kept = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)


@lru_cache(maxsize=4096)
def _plain_of(char: str, letters: str) -> str:
    if char.lower() in letters or char in _KEPT_SIGNS:
        return char
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return ""
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    folded = unicodedata.normalize("NFKD", char).translate(_PLAIN)
    plain = "".join(c for c in folded if c < "\x80")
    return plain if plain.strip() else " "


@lru_cache(maxsize=8)
def _sieve(letters: str) -> re.Pattern[str]:
    return re.compile(f"[^A-Za-z{letters}{letters.upper()},.?!' ]+")


_PAUSES = str.maketrans(
    {**dict.fromkeys(":;()[]{}|\n", ","), **dict.fromkeys('"<>*_~^\\/-+=#@%$&', " ")}
)
_LOOSE_QUOTES = re.compile(r"'(?![A-Za-zÀ-ÿ])|(?<![A-Za-zÀ-ÿ])'")
_MARKS = re.compile(r" *([,.?!])[ ,.?!]*")
_LONG = re.compile(rf"[A-Za-zÀ-ÿ']{{{LONGEST_WORD}}}(?=[A-Za-zÀ-ÿ'])")


def finish(text: str, letters: str) -> str:
    """Only what may be spoken is left: one pause at a time, words of at most 30 letters."""
    text = _sieve(letters).sub(" ", text.translate(_PAUSES))
    if "'" in text:
        text = _LOOSE_QUOTES.sub("", text)
    text = _MARKS.sub(_one_mark, " ".join(text.split()))
    text = " ".join(text.split()).lstrip(",.?! ")
    return _LONG.sub(r"\g<0> ", text).rstrip(", ")


def _one_mark(match: re.Match[str]) -> str:
    """Of several marks the strongest, followed by a space."""
    marks = match[0]
    for mark in "?!.":
        if mark in marks:
            return f"{mark} "
    return ", "
