"""National language tables of the GSM 7-bit alphabet (3GPP TS 23.038 annex A).

A locking shift table takes the place of the default alphabet, a single shift table that of its
extension; elements 0x25 and 0x24 of the user data header say which (3GPP TS 23.040 section
9.2.3.24.15 and .16). The tables of the nine Indic scripts share one plan each, filled with the
letters of the script's Unicode block: so they are written here, as the plan and what a script
lacks or adds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from protocols.sms.gsm7 import DEFAULT_ALPHABET, ESCAPE, EXTENSION_TABLE


class Language(IntEnum):
    """National language identifiers (TS 23.038 section 6.2.1.2.4)."""

    TURKISH = 1
    SPANISH = 2
    PORTUGUESE = 3
    BENGALI = 4
    GUJARATI = 5
    HINDI = 6
    KANNADA = 7
    MALAYALAM = 8
    ORIYA = 9
    PUNJABI = 10
    TAMIL = 11
    TELUGU = 12
    URDU = 13


_DEFAULT: Final = {code: char for code, char in enumerate(DEFAULT_ALPHABET) if code != ESCAPE}
_DIGITS: Final = {0x30 + digit: str(digit) for digit in range(10)}
_SMALL: Final = {code: chr(code) for code in range(0x61, 0x7B)}
_CAPITALS: Final = {code: chr(code) for code in range(0x41, 0x5B)}


def _run(start: int, chars: str) -> dict[int, str]:
    """Characters at codes that follow each other."""
    return dict(enumerate(chars, start))


# ---------------------------------------------------------------------- Latin scripts

_TURKISH_LOCKING: Final = (
    _DEFAULT
    | {0x04: "€", 0x07: "ı", 0x0B: "Ğ", 0x0C: "ğ", 0x1C: "Ş", 0x1D: "ş", 0x40: "İ", 0x60: "ç"}
)  # fmt: skip

_PORTUGUESE_LOCKING: Final = (
    _DEFAULT
    | _run(0x04, "êéúíóç")
    | {0x0B: "Ô", 0x0C: "ô"}
    | {0x0E: "Á", 0x0F: "á"}
    | _run(0x12, "ªÇÀ∞^\\€Ó|")
    | _run(0x1C, "ÂâÊÉ")
    | {0x24: "º", 0x40: "Í"}
    | _run(0x5B, "ÃÕÚÜ§~")
    | _run(0x7B, "ãõ`üà")
)

_TURKISH_SINGLE: Final = EXTENSION_TABLE | {
    0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"
}  # fmt: skip

_ACUTE: Final = {
    0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x69: "í", 0x6F: "ó", 0x75: "ú"
}  # fmt: skip

_SPANISH_SINGLE: Final = EXTENSION_TABLE | _ACUTE | {0x09: "ç", 0x41: "Á", 0x61: "á"}

_PORTUGUESE_SINGLE: Final = (
    EXTENSION_TABLE
    | _ACUTE
    | {0x05: "ê", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á"}
    | _run(0x12, "ΦΓ^ΩΠΨΣΘ")
    | {0x1F: "Ê", 0x41: "À", 0x5B: "Ã", 0x5C: "Õ", 0x61: "Â", 0x7B: "ã", 0x7C: "õ", 0x7F: "â"}
)

# ---------------------------------------------------------------------- Indic scripts


class _Script(NamedTuple):
    block: int
    """Where its Unicode block begins."""
    gaps: bytes
    """Places in the block that the plan would fill and the script leaves empty."""
    sign: int
    """Place of what stands at 0x60 of the locking shift table."""
    last: bytes
    """Places of what stands from 0x7B on there."""
    single: tuple[tuple[int, bytes], ...]
    """What the single shift table has of the script: code of the first, places in the block."""
    has_dandas: bool = True
    """Whether the single shift table has the two dandas at 0x19 and 0x1A."""


_DIGIT_PLACES: Final = bytes(range(0x66, 0x70))

_SCRIPTS: Final = {
    Language.BENGALI: _Script(
        0x0980,
        bytes.fromhex("04 0d 0e 11 12 29 31 33 34 35 45 46 49 4a"),
        0x4E,
        bytes.fromhex("57 5c 5d 70 71"),
        (
            (0x19, bytes.fromhex("66 67")),
            (0x1C, bytes.fromhex("68 69 6a 6b 6c 6d 6e 6f 5f 60 61 62")),
            (0x2A, bytes.fromhex("63 72 73 74 75")),
            (0x30, bytes.fromhex("76 77 78 79 7a")),
        ),
        has_dandas=False,
    ),
    Language.GUJARATI: _Script(
        0x0A80,
        bytes.fromhex("04 0e 12 29 31 34 46 4a"),
        0x50,
        bytes.fromhex("60 61 62 63 71"),
        ((0x1C, _DIGIT_PLACES),),
    ),
    Language.HINDI: _Script(
        0x0900,
        b"",
        0x50,
        bytes.fromhex("72 7b 7c 7e 7f"),
        (
            (0x1C, _DIGIT_PLACES + bytes.fromhex("51 52")),
            (0x2A, bytes.fromhex("53 54 58 59 5a")),
            (0x30, bytes.fromhex("5b 5c 5d 5e 5f 60 61 62 63 70 71")),
        ),
    ),
    Language.KANNADA: _Script(
        0x0C80,
        bytes.fromhex("01 04 0d 11 29 34 45 49"),
        0x55,
        bytes.fromhex("56 60 61 62 63"),
        ((0x1C, _DIGIT_PLACES + bytes.fromhex("5e 71")), (0x2A, b"\x72")),
    ),
    Language.MALAYALAM: _Script(
        0x0D00,
        bytes.fromhex("01 04 0d 11 29 3c 45 49"),
        0x57,
        bytes.fromhex("60 61 62 63 79"),
        (
            (0x1C, _DIGIT_PLACES + bytes.fromhex("70 71")),
            (0x2A, bytes.fromhex("72 73 74 75 7a")),
            (0x30, bytes.fromhex("7b 7c 7d 7e 7f")),
        ),
    ),
    Language.ORIYA: _Script(
        0x0B00,
        bytes.fromhex("04 0d 0e 11 12 29 31 34 45 46 49 4a"),
        0x56,
        bytes.fromhex("57 60 61 62 63"),
        ((0x1C, _DIGIT_PLACES + bytes.fromhex("5c 5d")), (0x2A, bytes.fromhex("5f 70 71"))),
    ),
    Language.PUNJABI: _Script(
        0x0A00,
        bytes.fromhex("04 0b 0c 0d 0e 11 12 29 31 34 37 3d 43 44 45 46 49 4a"),
        0x51,
        bytes.fromhex("70 71 72 73 74"),
        ((0x1C, _DIGIT_PLACES + bytes.fromhex("59 5a")), (0x2A, bytes.fromhex("5b 5c 5e 75"))),
    ),
    Language.TAMIL: _Script(
        0x0B80,
        bytes.fromhex(
            "01 04 0b 0c 0d 11 16 17 18 1b 1d 20 21 22 25 26 27 2b 2c 2d 3c 3d 43 44 45 49"
        ),
        0x50,
        bytes.fromhex("57 70 71 72 79"),
        (
            (0x1C, _DIGIT_PLACES + bytes.fromhex("73 74")),
            (0x2A, bytes.fromhex("75 76 77 78 7a")),
        ),
    ),
    Language.TELUGU: _Script(
        0x0C00,
        bytes.fromhex("04 0d 11 29 34 3c 45 49"),
        0x55,
        bytes.fromhex("56 60 61 62 63"),
        (
            (0x1C, _DIGIT_PLACES + bytes.fromhex("58 59")),
            (0x2A, bytes.fromhex("78 79 7a 7b 7c")),
            (0x30, bytes.fromhex("7d 7e 7f")),
        ),
        has_dandas=False,
    ),
}

_INDIC_PLAN: Final = (
    (0x00, 0x01, 3),
    (0x03, 0x05, 7),
    (0x0B, 0x0C, 2),
    (0x0E, 0x0E, 13),
    (0x1C, 0x1B, 4),
    (0x22, 0x1F, 6),
    (0x2A, 0x25, 2),
    (0x2D, 0x27, 1),
    (0x2F, 0x28, 1),
    (0x3C, 0x29, 3),
    (0x40, 0x2C, 14),
    (0x4E, 0x3C, 18),
)
"""Runs of the locking shift tables: first code, first place in the block, how many."""

_PUNCTUATION: Final = {
    0x0A: "\n", 0x0D: "\r", 0x20: " ", 0x21: "!", 0x28: ")", 0x29: "(", 0x2C: ",", 0x2E: ".",
    0x3A: ":", 0x3B: ";", 0x3F: "?",
}  # fmt: skip

_INDIC_SINGLE: Final = (
    _run(0x00, "@£$¥¿\"¤%&'\f*+")
    | _run(0x0E, "-/<=>¡^¡_#*")
    | {0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€"}
    | _CAPITALS
)


def _indic_locking(script: _Script) -> dict[int, str]:
    table = _PUNCTUATION | _DIGITS | _SMALL
    for code, place, count in _INDIC_PLAN:
        table |= {
            code + step: chr(script.block + place + step)
            for step in range(count)
            if place + step not in script.gaps
        }
    table[0x60] = chr(script.block + script.sign)
    return table | _run(0x7B, "".join(chr(script.block + place) for place in script.last))


def _indic_single(script: _Script) -> dict[int, str]:
    table = _INDIC_SINGLE | (_run(0x19, "।॥") if script.has_dandas else {})
    for code, places in script.single:
        table |= _run(code, "".join(chr(script.block + place) for place in places))
    return table


# ---------------------------------------------------------------------- Urdu

_URDU_LOCKING: Final = (
    _PUNCTUATION
    | _DIGITS
    | _SMALL
    | _run(0x00, "\u0627\u0622\u0628\u067b\u0680\u067e\u06a6\u062a\u06c2\u067f")
    | _run(0x0B, "\u0679\u067d")
    | _run(0x0E, "\u067a\u067c\u062b\u062c\u0681\u0684\u0683\u0685\u0686\u0687\u062d\u062e\u062f")
    | _run(0x1C, "\u068c\u0688\u0689\u068a")
    | _run(0x22, "\u068f\u068d\u0630\u0631\u0691\u0693")
    | _run(0x2A, "\u0699\u0632")
    | {0x2D: "\u0696", 0x2F: "\u0698"}
    | _run(0x3C, "\u069a\u0633\u0634")
    | _run(0x40, "\u0635\u0636\u0637\u0638\u0639\u0641\u0642\u06a9\u06aa\u06ab\u06af\u06b3\u06b1")
    | _run(0x4D, "\u0644\u0645\u0646\u06ba\u06bb\u06bc\u0648\u06c4\u06d5\u06c1\u06be\u0621\u06cc")
    | _run(0x5A, "\u06d0\u06d2\u064d\u0650\u064f\u0657\u0654")
    | _run(0x7B, "\u0655\u0651\u0653\u0656\u0670")
)

_URDU_SINGLE: Final = (
    _INDIC_SINGLE
    | _run(0x19, "\u0600\u0601")
    | _run(0x1C, "".join(chr(0x06F0 + digit) for digit in range(10)) + "\u060c\u060d")
    | _run(0x2A, "\u060e\u060f\u0610\u0611\u0612")
    | _run(0x30, "\u0613\u0614\u061b\u061f\u0640\u0652\u0658\u066b\u066c\u0672\u0673\u06cd")
    | {0x3F: "\u06d4"}
)

LOCKING: Final[dict[Language, dict[int, str]]] = {
    Language.TURKISH: _TURKISH_LOCKING,
    Language.PORTUGUESE: _PORTUGUESE_LOCKING,
    **{language: _indic_locking(script) for language, script in _SCRIPTS.items()},
    Language.URDU: _URDU_LOCKING,
}
"""Characters by code in place of the default alphabet; Spanish has no such table."""

SINGLE: Final[dict[Language, dict[int, str]]] = {
    Language.TURKISH: _TURKISH_SINGLE,
    Language.SPANISH: _SPANISH_SINGLE,
    Language.PORTUGUESE: _PORTUGUESE_SINGLE,
    **{language: _indic_single(script) for language, script in _SCRIPTS.items()},
    Language.URDU: _URDU_SINGLE,
}
"""Characters by the code that follows an escape, in place of the extension table."""
