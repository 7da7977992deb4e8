"""Repair of typographic characters that would double a text's price without telling more.

A single curly quote from a word processor turns 160 characters a segment into 70. Where plain
characters of the GSM default alphabet (3GPP TS 23.038 §6.2.1) say the same, they take its
place. Only what loses nothing of the meaning is listed: accents that tell words apart, degree
signs and fractions ("8½" must not become "81/2") are not.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final, NamedTuple

from protocols.sms import gsm7


class Change(NamedTuple):
    """One kind of replacement in a text."""

    char: str
    """What stood there: one character, or a letter with its combining accents."""
    replacement: str
    """What stands there now; empty for what is invisible."""
    times: int
    """How often."""


class Repaired(NamedTuple):
    """A text after repair."""

    text: str
    changes: tuple[Change, ...]
    """What was replaced, in the order of first appearance; empty when the text was left alone."""


def _replacements() -> dict[str, str]:
    groups = {
        "'": "‘’‚‛′‵‹›`´ʹʻʼʽˈ",
        '"': "“”„‟″‶«»ʺ",
        "-": "‐‑‒–—―−⁃﹘﹣•‣◦∙·●○▪▫■□◆",
        " ": "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
        "\u202f\u205f\u3000",
        "\n": "\v\u2028\u2029",
        # Zero width, soft hyphen, joiners, direction marks, variation selectors.
        "": "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
        "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff",
        "*": "∗⁎",
        "/": "⁄∕÷",
        "~": "∼˜",
        "^": "ˆ",
        "|": "¦",
        "x": "×",
    }
    table = {char: replacement for replacement, chars in groups.items() for char in chars}
    table |= {
        "…": "...",
        "‥": "..",
        "‼": "!!",
        "⁇": "??",
        "⁈": "?!",
        "⁉": "!?",
        "™": "(TM)",
        "℠": "(SM)",
        "©": "(C)",
        "®": "(R)",
        "№": "No.",
        "℅": "c/o",
        "≤": "<=",
        "≥": ">=",
        "→": "->",
        "←": "<-",
        "⇒": "=>",
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "Œ": "OE",
        "œ": "oe",
        "Ĳ": "IJ",
        "ĳ": "ij",
        "ẞ": "ß",
        "\u212b": "Å",
        "\u2126": "Ω",
    }
    # Fullwidth forms of ASCII.
    table |= {chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)}
    table["\uff40"] = "'"
    return table | _controls(table)


def _controls(table: dict[str, str]) -> dict[str, str]:
    """Control characters vanish, but 0x80 to 0x9F are Windows characters that lost their code page.

    U+0092, say, is the apostrophe of Windows-1252 that someone read as Latin-1.
    """
    controls = {chr(code): "" for code in (*range(0x20), *range(0x7F, 0xA0))}
    for code in range(0x80, 0xA0):
        meant = bytes((code,)).decode("cp1252", "ignore")
        if meant in table or meant in gsm7.CHARACTERS:
            controls[chr(code)] = table.get(meant, meant)
        elif meant:
            del controls[chr(code)]
    return {
        char: replacement
        for char, replacement in controls.items()
        if char not in gsm7.CHARACTERS and char not in table
    }


REPLACEMENTS: Final[dict[str, str]] = _replacements()
"""What stands for each repairable character; every value is in the GSM default alphabet."""

_DECOMPOSED: Final = re.compile("[A-Za-z][\u0300-\u036f]+")
_REPAIRABLE: Final = re.compile("[" + re.escape("".join(REPLACEMENTS)) + "]")


def repair(text: str) -> Repaired:
    """Replace typographic characters, if that makes all of `text` fit the GSM default alphabet.

    Otherwise the text stays as it is, since UCS-2 carries its typography too. Letters with
    combining accents count as repairable when the alphabet has them in one piece.
    """
    if gsm7.is_encodable(text):
        return Repaired(text, ())
    counts: Counter[tuple[str, str]] = Counter()

    def compose(match: re.Match[str]) -> str:
        composed = unicodedata.normalize("NFC", match[0])
        if composed != match[0]:
            counts[match[0], composed] += 1
        return composed

    def replace(match: re.Match[str]) -> str:
        replacement = REPLACEMENTS[match[0]]
        counts[match[0], replacement] += 1
        return replacement

    repaired = _REPAIRABLE.sub(replace, _DECOMPOSED.sub(compose, text))
    if not gsm7.is_encodable(repaired):
        return Repaired(text, ())
    return Repaired(repaired, tuple(Change(*pair, times) for pair, times in counts.items()))
