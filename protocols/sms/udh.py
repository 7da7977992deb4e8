"""The User Data Header in front of a short message's text (3GPP TS 23.040 §9.2.3.24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONCATENATED_8_BIT: Final = 0x00
"""Information element of a concatenated message with an 8-bit reference (§9.2.3.24.1)."""

CONCATENATED_16_BIT: Final = 0x08
"""The same with a 16-bit reference (§9.2.3.24.8)."""

NATIONAL_LANGUAGE_SINGLE_SHIFT: Final = 0x24
NATIONAL_LANGUAGE_LOCKING_SHIFT: Final = 0x25


@dataclass(frozen=True, slots=True)
class Concatenation:
    """What says which part of which message this is."""

    reference: int
    reference_bits: int
    """8 or 16."""
    total: int
    """1 to 255."""
    number: int
    """1 to `total`."""


@dataclass(frozen=True, slots=True)
class UserDataHeader:
    """A header taken off its text."""

    elements: tuple[tuple[int, bytes], ...]
    """Information elements as they came: identifier and data, repeats and unknown ones too."""
    body: bytes
    """The octets after the header."""

    @property
    def concatenation(self) -> Concatenation | None:
        """The last sound concatenation element; the standard lets the last one hold."""
        for identifier, data in reversed(self.elements):
            if found := _concatenation(identifier, data):
                return found
        return None


def parse(payload: bytes) -> UserDataHeader:
    """Take the header off `payload`, the user data of a message with the UDHI bit; never raises.

    As §9.2.3.24 asks, a header whose elements do not fill it exactly is ignored as a whole. One
    that is longer than the payload cannot be a header: then all of the payload is body.
    """
    if not payload or payload[0] >= len(payload):
        return UserDataHeader((), payload)
    end = payload[0] + 1
    return UserDataHeader(_elements(payload[1:end]), payload[end:])


def concatenation_header(reference: int, total: int, number: int, reference_bits: int) -> bytes:
    """The whole header of one part: 6 octets with an 8-bit reference, 7 with a 16-bit one.

    `reference` is taken modulo 2 to the power of `reference_bits`; `total` and `number` are 1
    to 255.
    """
    if reference_bits == 16:
        high, low = reference >> 8 & 0xFF, reference & 0xFF
        return bytes((6, CONCATENATED_16_BIT, 4, high, low, total, number))
    return bytes((5, CONCATENATED_8_BIT, 3, reference & 0xFF, total, number))


def _elements(header: bytes) -> tuple[tuple[int, bytes], ...]:
    elements = []
    position = 0
    while position < len(header):
        data_start = position + 2
        data_end = data_start + (header[position + 1] if data_start <= len(header) else 0)
        if data_start > len(header) or data_end > len(header):
            return ()
        elements.append((header[position], header[data_start:data_end]))
        position = data_end
    return tuple(elements)


def _concatenation(identifier: int, data: bytes) -> Concatenation | None:
    if identifier == CONCATENATED_8_BIT and len(data) == 3:
        reference_bits = 8
    elif identifier == CONCATENATED_16_BIT and len(data) == 4:
        reference_bits = 16
    else:
        return None
    total, number = data[-2:]
    if not 1 <= number <= total:
        return None
    return Concatenation(int.from_bytes(data[:-2], "big"), reference_bits, total, number)
