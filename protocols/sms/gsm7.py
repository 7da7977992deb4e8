"""Characters of short messages: the GSM 7-bit default alphabet and the other data codings.

Sources: 3GPP TS 23.038 §6.2.1 (default alphabet and its extension table), SMPP v3.4 §5.2.19
(data_coding). Septets are carried unpacked, one to an octet, as SMPP carries them; packing
them eight to seven octets is the business of the radio side.

Nothing that decodes here ever raises, and decoded text never holds U+0000 or a lone surrogate.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Final

from protocols.errors import LocalProtocolError

ESCAPE: Final = 0x1B
"""The code that announces a character of the extension table (TS 23.038 §6.2.1.1)."""

DEFAULT_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The 128 characters of the default alphabet by their code (TS 23.038 §6.2.1)."""

EXTENSION_TABLE: Final[dict[int, str]] = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
"""The characters that follow an escape, by their code (TS 23.038 §6.2.1.1)."""

CHARACTERS: Final = frozenset(DEFAULT_ALPHABET.replace("\x1b", "")) | frozenset(
    EXTENSION_TABLE.values()
)
"""Every character that can be sent in the default alphabet, extension table included."""

_ENCODE: Final[dict[int, Any]] = {
    ord(char): code for code, char in enumerate(DEFAULT_ALPHABET) if code != ESCAPE
} | {ord(char): bytes((ESCAPE, code)) for code, char in EXTENSION_TABLE.items()}

_ASCII_BASIC: Final = bytes(code for code in range(0x80) if isinstance(_ENCODE.get(code), int))
"""The ASCII characters that take one septet; of these only @ $ _ change their code."""

_ASCII_TO_GSM: Final = bytes.maketrans(_ASCII_BASIC, bytes(_ENCODE[code] for code in _ASCII_BASIC))

_OUTSIDE: Final = re.compile("[^" + re.escape("".join(sorted(CHARACTERS))) + "]")

# An octet above 0x7F is no septet at all. An escape that nothing follows shows as a space.
_DECODE: Final = DEFAULT_ALPHABET.replace("\x1b", " ") + "\ufffd" * 0x80

_ESCAPED: Final = re.compile(rb"\x1b([\x00-\xff]?)")

_LITTLE_ENDIAN_MARK: Final = b"\xff\xfe"

_IA5: Final = 0x01
_CONTROLS: Final = bytes(code for code in range(0x20) if code not in b"\t\n\r")
"""Codes that no text in IA5 has. The GSM alphabet has @, $, _ and the escape there."""

_CHARSETS: Final[dict[int, str]] = {
    _IA5: "ascii",
    0x03: "latin-1",
    0x05: "shift_jis",
    0x06: "iso8859-5",
    0x07: "iso8859-8",
    0x0A: "iso2022_jp",
    0x0D: "euc_jp",
    0x0E: "euc_kr",
}


def is_encodable(text: str) -> bool:
    """Whether the default alphabet and its extension table hold every character of `text`."""
    if text.isascii() and not text.encode("ascii").translate(None, _ASCII_BASIC):
        return True
    return _OUTSIDE.search(text) is None


def encode(text: str) -> bytes:
    """Encode `text` as unpacked septets: one octet a character, two for the extension table.

    Raises LocalProtocolError for a character that the alphabet lacks (the message names its
    code point, never the text).
    """
    if text.isascii():
        octets = text.encode("ascii")
        if not octets.translate(None, _ASCII_BASIC):
            return octets.translate(_ASCII_TO_GSM)
    try:
        return codecs.charmap_encode(text, "strict", _ENCODE)[0]
    except UnicodeEncodeError as error:
        code_point = ord(text[error.start])
    raise LocalProtocolError(f"U+{code_point:04X} is not in the GSM default alphabet")


def decode_septets(payload: bytes) -> str:
    """Decode unpacked septets; never raises.

    As TS 23.038 §6.2.1.1 asks of a receiver, an escape before a code that the extension table
    lacks shows the default alphabet's character, and an escape before an escape, or at the
    very end, shows as a space. Octets above 0x7F become U+FFFD.
    """
    if ESCAPE not in payload:
        return _default_alphabet(payload)
    pieces = []
    position = 0
    for match in _ESCAPED.finditer(payload):
        pieces.append(_default_alphabet(payload[position : match.start()]))
        code = match[1][0] if match[1] else ESCAPE
        pieces.append(EXTENSION_TABLE.get(code) or _DECODE[code])
        position = match.end()
    pieces.append(_default_alphabet(payload[position:]))
    return "".join(pieces)


def _default_alphabet(octets: bytes) -> str:
    return codecs.charmap_decode(octets, "strict", _DECODE)[0]


def encode_ucs2(text: str) -> bytes:
    """Encode as UTF-16, big-endian, which is what handsets take for UCS-2; never raises.

    Lone surrogates, which no wire should carry, become U+FFFD.
    """
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        return without_lone_surrogates(text).encode("utf-16-be")


def without_lone_surrogates(text: str) -> str:
    """`text` with surrogate pairs joined to characters and lone surrogates as U+FFFD."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


def decode_ucs2(payload: bytes) -> str:
    """Decode UTF-16; never raises. Big-endian, unless a byte order mark says otherwise.

    The mark itself, which some handsets send, is dropped: it would hide a keyword. What is
    malformed (lone surrogates, an odd octet at the end) becomes U+FFFD.
    """
    if payload.startswith(_LITTLE_ENDIAN_MARK):
        return payload[2:].decode("utf-16-le", "replace")
    return payload.decode("utf-16-be", "replace").removeprefix("\ufeff")


def decode(payload: bytes, data_coding: int) -> str:
    """Decode the text of a short message by its data_coding (SMPP v3.4 §5.2.19); never raises.

    Known are the SMSC default alphabet (0, taken as GSM), IA5 (1), Latin-1 (3), Cyrillic,
    Hebrew, Japanese and Korean sets, UCS-2 (8), and the message class and waiting groups of
    TS 23.038 §4 (0xC0 and above). What calls itself IA5 and has control codes is GSM in truth:
    some libraries name their septets so. 8-bit data (2, 4 and the like) is read as UTF-8 where it
    is UTF-8 and as Latin-1 otherwise, so that no octet vanishes. Anything else is taken as GSM.
    U+0000 is dropped: it is a terminator or filling, never a letter.
    """
    return _decode(payload, data_coding).replace("\x00", "")


def _decode(payload: bytes, data_coding: int) -> str:
    if data_coding == 0:
        return decode_septets(payload)
    if _is_ucs2(data_coding):
        return decode_ucs2(payload)
    if data_coding == _IA5:
        return _decode_ia5(payload.rstrip(b"\x00"))
    if charset := _CHARSETS.get(data_coding):
        return payload.decode(charset, "replace")
    if _is_binary(data_coding):
        return _decode_binary(payload)
    return decode_septets(payload)


def _decode_ia5(payload: bytes) -> str:
    if payload.translate(None, _CONTROLS) != payload:
        return decode_septets(payload)
    return payload.decode("ascii", "replace")


def is_septets(data_coding: int) -> bool:
    """Whether `decode` takes this data_coding as septets of the GSM alphabet."""
    return not (_is_ucs2(data_coding) or data_coding in _CHARSETS or _is_binary(data_coding))


def _is_ucs2(data_coding: int) -> bool:
    # 1110xxxx: message waiting, stored, text in UCS-2 (TS 23.038 §4).
    return data_coding == 0x08 or data_coding & 0xF0 == 0xE0


def _is_binary(data_coding: int) -> bool:
    # 1111x1xx: message class with 8-bit data (TS 23.038 §4).
    return data_coding in (0x02, 0x04, 0x09) or data_coding & 0xF4 == 0xF4


def _decode_binary(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return payload.decode("latin-1")
