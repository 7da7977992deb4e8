"""The choice between the two encodings that texts are sent in."""

from __future__ import annotations

from enum import IntEnum

from protocols.sms import gsm7


class Encoding(IntEnum):
    """How a text travels; the value is SMPP's data_coding (SMPP v3.4 §5.2.19)."""

    GSM7 = 0
    """GSM default alphabet with its extension table: 160 septets in one segment."""

    UCS2 = 8
    """UTF-16, big-endian: 70 code units in one segment."""


def choose(text: str) -> Encoding:
    """The encoding that carries all of `text` in the fewest segments: GSM7 wherever it can."""
    return Encoding.GSM7 if gsm7.is_encodable(text) else Encoding.UCS2


def encode(text: str, encoding: Encoding) -> bytes:
    """The octets of `text`; raises LocalProtocolError when GSM7 lacks one of its characters."""
    return gsm7.encode(text) if encoding is Encoding.GSM7 else gsm7.encode_ucs2(text)
