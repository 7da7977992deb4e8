"""Texts in the GSM 7-bit alphabet with national language tables (3GPP TS 23.038 section 6.2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from protocols.sms import gsm7, udh
from protocols.sms.graphemes import last_boundary
from protocols.sms.languages import LOCKING, SINGLE, Language

_LANGUAGES: Final = frozenset(Language)
_ESCAPED: Final = re.compile(rb"\x1b([\x00-\xff]?)")
_DEFAULT: Final = {
    code: char for code, char in enumerate(gsm7.DEFAULT_ALPHABET) if code != gsm7.ESCAPE
}


@cache
def codes(locking: Language | None, single: Language | None) -> dict[str, bytes]:
    """The octets of each character: one septet of the locking table, or an escape and one of the
    single shift table."""
    main = _DEFAULT if locking is None else LOCKING[locking]
    shifted = gsm7.EXTENSION_TABLE if single is None else SINGLE[single]
    table: dict[str, bytes] = {}
    for code, char in main.items():
        table.setdefault(char, bytes((code,)))
    for code, char in shifted.items():
        table.setdefault(char, bytes((gsm7.ESCAPE, code)))
    return table


def is_encodable(text: str, locking: Language | None, single: Language | None) -> bool:
    """Whether the two tables hold every character of `text`."""
    return codes(locking, single).keys() >= set(text)


def parts(text: str, table: dict[str, bytes], first: int, size: int) -> list[bytes]:
    """Encode and cut `text`: whole if it takes at most `first` octets, else into parts of at most
    `size`. No cut falls into an escape pair, CR LF or a grapheme cluster, unless the cluster alone
    is longer than a part. KeyError for a character that is not in the table."""
    encoded = [table[char] for char in text]
    whole = b"".join(encoded)
    if len(whole) <= first:
        return [whole]
    found = []
    start = 0
    while start < len(encoded):
        end, room = start, size
        while end < len(encoded) and len(encoded[end]) <= room:
            room -= len(encoded[end])
            end += 1
        end = last_boundary(text, start, end)
        found.append(b"".join(encoded[start:end]))
        start = end
    return found


def elements(locking: Language | None, single: Language | None) -> bytes:
    """The elements of the user data header that announce the tables (3GPP TS 23.040 sections
    9.2.3.24.15 and 9.2.3.24.16)."""
    found = b""
    if single is not None:
        found += bytes((udh.NATIONAL_LANGUAGE_SINGLE_SHIFT, 1, single))
    if locking is not None:
        found += bytes((udh.NATIONAL_LANGUAGE_LOCKING_SHIFT, 1, locking))
    return found


def announced(
    found: Iterable[tuple[int, bytes]],
) -> tuple[Language | None, Language | None]:
    """Locking and single shift table that a header announces; languages nobody knows, and a locking
    table for Spanish, which has none, do not count."""
    locking = single = None
    for identifier, data in found:
        if len(data) != 1 or data[0] not in _LANGUAGES:
            continue
        if identifier == udh.NATIONAL_LANGUAGE_SINGLE_SHIFT:
            single = Language(data[0])
        elif identifier == udh.NATIONAL_LANGUAGE_LOCKING_SHIFT and data[0] in LOCKING:
            locking = Language(data[0])
    return locking, single


def decode(septets: bytes, locking: Language | None, single: Language | None) -> str:
    """Decode unpacked septets; never raises. Codes that a table leaves empty show as spaces, an
    escape before a code that the single shift table lacks shows the main table's character, octets
    above 0x7F become U+FFFD."""
    main = _main(locking)
    shifted = gsm7.EXTENSION_TABLE if single is None else SINGLE[single]
    pieces = []
    position = 0
    for match in _ESCAPED.finditer(septets):
        pieces.append("".join(main[code] for code in septets[position : match.start()]))
        code = match[1][0] if match[1] else gsm7.ESCAPE
        pieces.append(shifted.get(code) or main[code])
        position = match.end()
    pieces.append("".join(main[code] for code in septets[position:]))
    return "".join(pieces)


@cache
def _main(locking: Language | None) -> str:
    table = _DEFAULT if locking is None else LOCKING[locking]
    return "".join(table.get(code, " ") for code in range(0x80)) + "\ufffd" * 0x80
