"""Septets packed into octets, eight into seven (3GPP TS 23.038 section 6.1.2.1).

SMPP carries septets one to an octet; a few carriers want them packed, as on the radio. Behind a
user data header the first septet begins at a septet boundary: fill bits come before it (3GPP TS
23.040 section 9.2.3.24).
"""

from __future__ import annotations

from typing import Final

_USER_DATA_BITS: Final = 140 * 8
_CR: Final = 0x0D


def fill_bits(header_bytes: int) -> int:
    """The bits between a header of so many octets and the first septet; 0 to 6."""
    return -header_bytes * 8 % 7


def capacity(header_bytes: int) -> int:
    """How many septets one segment holds behind a header of so many octets, its length octet
    included: 160 without one."""
    return (_USER_DATA_BITS - header_bytes * 8) // 7


def pack(codes: bytes, fill: int = 0) -> bytes:
    """Pack septets, one in each octet of `codes`, behind `fill` bits of zero.

    Where seven bits would be left over, which a receiver that only knows octets reads as one more
    septet (@), CR fills them, as TS 23.038 section 6.1.2.3.1 has it for the same trouble.
    """
    bits = fill + 7 * len(codes)
    if bits % 8 == 1:
        codes += bytes((_CR,))
        bits += 7
    value = 0
    for code in reversed(codes):
        value = value << 7 | code & 0x7F
    return (value << fill).to_bytes((bits + 7) // 8, "little")


def unpack(octets: bytes, fill: int = 0) -> bytes:
    """The septets, one to an octet; never raises.

    Where they fill the octets exactly, nobody knows whether the last one is text or filling. CR and
    zero, which senders fill with, are left out: an @ that ends a text of 8, 16, 24 … septets is
    rarer than a text of 7, 15, 23 …"""
    bits = len(octets) * 8 - fill
    if bits < 7:
        return b""
    value = int.from_bytes(octets, "little") >> fill
    codes = bytes(value >> 7 * index & 0x7F for index in range(bits // 7))
    if bits % 7 == 0 and codes[-1] in (0, _CR):
        return codes[:-1]
    return codes
