"""Cutting a text into the segments that carry it.

Source: 3GPP TS 23.040 §9.2.3.24.1 and §9.2.3.24.8 (concatenated short messages). One segment
holds 140 octets of user data: 160 septets or 70 UTF-16 code units. The header of a longer
text takes 6 octets of each segment (8-bit reference) or 7 (16-bit).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from protocols.errors import LocalProtocolError
from protocols.sms import gsm7, udh
from protocols.sms.encoding import Encoding
from protocols.sms.graphemes import last_boundary

ReferenceBits = Literal[8, 16]

MAX_SEGMENTS: Final = 255
"""The number of segments has one octet in the header (TS 23.040 §9.2.3.24.1)."""

ESM_CLASS_UDHI: Final = 0x40
"""The bit of esm_class that says a header stands before the text (SMPP v3.4 §5.2.12)."""

SINGLE_SEPTETS: Final = 160
SINGLE_UCS2_BYTES: Final = 140

_PART_SEPTETS: Final = {8: 153, 16: 152}
_PART_UCS2_UNITS: Final = {8: 67, 16: 66}

_CR: Final = 0x0D
_LF: Final = 0x0A


class Segment(NamedTuple):
    """One submit_sm's worth of a text."""

    payload: bytes
    """The short_message: header, if any, and text."""
    has_udh: bool
    """Whether the payload begins with a header; then esm_class needs its bit."""

    @property
    def esm_class(self) -> int:
        """The bits that this segment adds to esm_class (SMPP v3.4 §5.2.12)."""
        return ESM_CLASS_UDHI if self.has_udh else 0


def segments(
    text: str, encoding: Encoding, reference: int, reference_bits: ReferenceBits = 8
) -> list[Segment]:
    """Encode and cut `text`; at least one segment, the same ones for the same arguments.

    No cut falls into an escape pair, a surrogate pair, CR LF or a grapheme cluster (unless the
    cluster alone is longer than a segment). `reference` marks the segments of one text; of it
    the lower `reference_bits` bits are used.

    Raises LocalProtocolError for more than 255 segments, or when `encoding` is GSM7 and the
    alphabet lacks a character of the text.
    """
    if encoding is Encoding.GSM7:
        octets = gsm7.encode(text)
        if len(octets) <= SINGLE_SEPTETS:
            return [Segment(octets, False)]
        parts = septet_parts(octets, _PART_SEPTETS[reference_bits])
    else:
        octets = gsm7.encode_ucs2(text)
        if len(octets) <= SINGLE_UCS2_BYTES:
            return [Segment(octets, False)]
        parts = ucs2_parts(octets, _PART_UCS2_UNITS[reference_bits])
    total = len(parts)
    if total > MAX_SEGMENTS:
        raise LocalProtocolError(f"the text takes {total} segments; at most {MAX_SEGMENTS} can be")
    return [
        Segment(udh.concatenation_header(reference, total, number, reference_bits) + part, True)
        for number, part in enumerate(parts, 1)
    ]


def count(text: str, encoding: Encoding, reference_bits: ReferenceBits = 8) -> int:
    """How many segments `segments` makes of the text; here any number, without a limit.

    Raises LocalProtocolError when `encoding` is GSM7 and the alphabet lacks a character.
    """
    if encoding is Encoding.GSM7:
        octets = gsm7.encode(text)
        if len(octets) <= SINGLE_SEPTETS:
            return 1
        return len(septet_parts(octets, _PART_SEPTETS[reference_bits]))
    octets = gsm7.encode_ucs2(text)
    if len(octets) <= SINGLE_UCS2_BYTES:
        return 1
    return len(ucs2_parts(octets, _PART_UCS2_UNITS[reference_bits]))


def septet_parts(octets: bytes, size: int) -> list[bytes]:
    """Cut unpacked septets into parts of at most `size`, never within an escape pair or CR LF."""
    parts = []
    start = 0
    while start < len(octets):
        end = start + size
        if end < len(octets):
            end -= _is_pair_at(octets, end)
        parts.append(octets[start:end])
        start = end
    return parts


def _is_pair_at(octets: bytes, cut: int) -> bool:
    """Whether the octets around `cut` belong together: an escape and its code, or CR LF."""
    before = octets[cut - 1]
    return before == gsm7.ESCAPE or (before == _CR and octets[cut] == _LF)


def ucs2_parts(octets: bytes, units: int) -> list[bytes]:
    """Cut UTF-16 into parts of at most `units` code units, never within a grapheme cluster that
    could be spared."""
    text = octets.decode("utf-16-be")
    parts = []
    start = 0
    while start < len(text):
        window = text[start : start + units].encode("utf-16-be")[: 2 * units]
        # A high surrogate left alone at the window's end is dropped by this.
        end = start + len(window.decode("utf-16-be", "ignore"))
        end = last_boundary(text, start, end)
        parts.append(text[start:end].encode("utf-16-be"))
        start = end
    return parts
