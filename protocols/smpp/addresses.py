"""Addresses: type of number, numbering plan and digits (SMPP v3.4 sections 5.2.5 to 5.2.9).

Carriers disagree about how a number is to be written. What each wants is data: `AddressRules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple


class Ton(IntEnum):
    """Type of number (section 5.2.5)."""

    UNKNOWN = 0
    INTERNATIONAL = 1
    NATIONAL = 2
    NETWORK_SPECIFIC = 3
    SUBSCRIBER = 4
    ALPHANUMERIC = 5
    ABBREVIATED = 6


class Npi(IntEnum):
    """Numbering plan indicator (section 5.2.6)."""

    UNKNOWN = 0
    ISDN = 1
    """E.163 and E.164."""
    DATA = 3
    TELEX = 4
    LAND_MOBILE = 6
    NATIONAL = 8
    PRIVATE = 9
    ERMES = 10
    INTERNET = 14
    WAP_CLIENT = 18


class Address(NamedTuple):
    """An address as a PDU carries it."""

    ton: int
    npi: int
    digits: str


TonNpi = tuple[int, int]

_MIN_INTERNATIONAL_DIGITS: Final = 8
_MAX_E164_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class AddressRules:
    """How a link writes addresses, as (TON, NPI) by kind."""

    international: TonNpi = (Ton.INTERNATIONAL, Npi.ISDN)
    national: TonNpi = (Ton.NATIONAL, Npi.ISDN)
    short_code: TonNpi = (Ton.NETWORK_SPECIFIC, Npi.UNKNOWN)
    alphanumeric: TonNpi = (Ton.ALPHANUMERIC, Npi.UNKNOWN)
    is_plus: bool = False
    """Whether international numbers keep their +."""
    national_prefix: str = ""
    """The country code, say "1", whose numbers are written without it; empty: every number is
    written in full."""
    short_code_digits: int = 6
    """A number of no more digits, without +, is a short code."""

    def write(self, number: str) -> Address:
        """The address of `number`: E.164 with its +, a short code, digits of any other kind, or a
        name. Digits without + that are no short code count as international."""
        digits = number.removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            return Address(*self.alphanumeric, number)
        if not number.startswith("+") and len(digits) <= self.short_code_digits:
            return Address(*self.short_code, digits)
        if self.national_prefix and digits.startswith(self.national_prefix):
            return Address(*self.national, digits.removeprefix(self.national_prefix))
        return Address(*self.international, f"+{digits}" if self.is_plus else digits)

    def read(self, ton: int, npi: int, digits: str) -> str:
        """What an address that came in stands for: E.164 with + where it can be that, else the
        digits or the name as they stand. Never raises.

        The TON is believed when it says national or alphanumeric; international numbers come with
        every TON, with + and without, and with the 00 of dialling abroad.
        """
        stripped = digits.strip()
        bare = stripped.removeprefix("+")
        if ton == Ton.ALPHANUMERIC or not (bare.isascii() and bare.isdigit()):
            return stripped
        if stripped.startswith("+"):
            return stripped
        if self.national_prefix and self._is_national(ton, npi, bare):
            return f"+{self.national_prefix}{bare.lstrip('0')}"
        if bare.startswith("00") and len(bare) > _MIN_INTERNATIONAL_DIGITS:
            return f"+{bare[2:]}"
        is_long = _MIN_INTERNATIONAL_DIGITS <= len(bare) <= _MAX_E164_DIGITS
        is_full = is_long and len(bare) > self.short_code_digits and ton != Ton.NATIONAL
        return f"+{bare}" if is_full else bare

    def _is_national(self, ton: int, npi: int, digits: str) -> bool:
        """Whether the link's mark for national numbers stands here."""
        if ton == Ton.NATIONAL:
            return True
        is_marked = (ton, npi) == self.national and self.national != self.international
        return is_marked and len(digits) > self.short_code_digits
