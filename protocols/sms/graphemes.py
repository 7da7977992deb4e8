"""Where a text may be cut without breaking what a reader sees as one character.

The rules are those of Unicode Standard Annex #29 (extended grapheme clusters), as far as
`unicodedata` tells the properties. Where it does not, we join rather than break: a part that
is a few characters shorter costs nothing, half a family emoji does.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_FIRST_COMBINING: Final = "\u0300"
_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_VIRAMA: Final = 9  # canonical combining class of the signs that join consonants

# Letters by category that still extend what stands before them (Grapheme_Extend, SpacingMark).
_EXTENDING_LETTERS: Final = frozenset("\u0e33\u0eb3\uff9e\uff9f")

# Format characters that belong to what follows them (Grapheme_Cluster_Break=Prepend).
_PREPENDED: Final = frozenset(
    map(
        chr,
        (
            *range(0x0600, 0x0606),
            *(0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x0D4E, 0x110BD, 0x110CD, 0x111C2, 0x111C3),
            *(0x113D1, 0x1193F, 0x11941, 0x11A84, 0x11A85, 0x11A86, 0x11A87, 0x11A88, 0x11A89),
            *(0x11D46, 0x11F02),
        ),
    )
)


def last_boundary(text: str, start: int, end: int) -> int:
    """The last place at or before `end` where `text` may be cut, looking back to `start`.

    `start` itself is taken as a boundary. A cluster longer than the stretch (piles of marks)
    has to break somewhere: then the answer is `end`. Indexes count code points.
    """
    if end >= len(text):
        return len(text)
    for cut in range(end, start, -1):
        if is_boundary(text, start, cut):
            return cut
    return end


def is_boundary(text: str, start: int, cut: int) -> bool:
    """Whether a grapheme cluster ends before index `cut`, knowing the text from `start` on."""
    before, after = text[cut - 1], text[cut]
    if after < _FIRST_COMBINING and before < _FIRST_COMBINING:
        return not (before == "\r" and after == "\n")  # GB3
    if before == _ZWJ or before in _PREPENDED or _extends(after):  # GB9, GB9a, GB9b, GB11
        return False
    if _joins_consonants(text, start, cut) and unicodedata.category(after) == "Lo":  # GB9c
        return False
    if _is_regional_indicator(after) and _is_regional_indicator(before):  # GB12, GB13
        return _regional_indicators_before(text, start, cut) % 2 == 0
    return not _is_same_syllable(before, after)


def _extends(char: str) -> bool:
    """Marks, joiners, variation selectors, skin tones, keycaps and tags (GB9, GB9a)."""
    return (
        unicodedata.category(char)[0] == "M"
        or char in (_ZWJ, _ZWNJ)
        or char in _EXTENDING_LETTERS
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def _joins_consonants(text: str, start: int, cut: int) -> bool:
    """Whether the marks right before `cut` hold a virama (GB9c)."""
    for index in range(cut - 1, start - 1, -1):
        if unicodedata.combining(text[index]) == _VIRAMA:
            return True
        if unicodedata.category(text[index])[0] != "M":
            return False
    return False


def _is_regional_indicator(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _regional_indicators_before(text: str, start: int, cut: int) -> int:
    index = cut
    while index > start and _is_regional_indicator(text[index - 1]):
        index -= 1
    return cut - index


def _is_same_syllable(before: str, after: str) -> bool:
    """Hangul: L joins L, V, LV, LVT; V and LV join V, T; T and LVT join T (GB6 to GB8)."""
    return _jamo(before) + _jamo(after) in _SYLLABLE_PAIRS


_SYLLABLE_PAIRS: Final = frozenset(
    ("LL", "LV", "LA", "LB", "VV", "VT", "AV", "AT", "TT", "BT")  # A: LV syllable, B: LVT
)


def _jamo(char: str) -> str:
    if "\uac00" <= char <= "\ud7a3":
        return "A" if (ord(char) - 0xAC00) % 28 == 0 else "B"
    if "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c":
        return "L"
    if "\u1160" <= char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6":
        return "V"
    if "\u11a8" <= char <= "\u11ff" or "\ud7cb" <= char <= "\ud7fb":
        return "T"
    return "-"
