"""Whose number a text was sent to, and the phone that it came from, as the store writes them.

Carriers write addresses as they please: with or without plus sign, in national form, with a type of
number (SMPP v3.4 §5.2.5) that is often wrong. The digits are believed before the type.
"""

from __future__ import annotations

from typing import Final, Protocol

from config.settings import SmsSettings
from gateway.phone import PhoneError, is_e164, normalize
from gateway.store.directory import Number

TON_NATIONAL: Final = 2
TON_ALPHANUMERIC: Final = 5
_MAX_ADDRESS: Final = 64


class Numbers(Protocol):
    """Who knows which numbers are assigned now: the Directory."""

    def number(self, number: str) -> Number | None:
        """The number if it is assigned now."""


class Addresses:
    """Reads the addresses of a deliver_sm."""

    def __init__(self, numbers: Numbers, sms: SmsSettings) -> None:
        self._numbers = numbers
        self._sms = sms

    def phone(self, address: str, ton: int) -> str:
        """A person's number in E.164 form where it can be read so, else as given."""
        given = address.strip()[:_MAX_ADDRESS]
        if ton == TON_ALPHANUMERIC:
            return given
        return self._readable(given, ton) or given

    def number(self, address: str, ton: int) -> tuple[str, Number | None]:
        """A number of ours as the store has it, and its assignment if it has one now."""
        given = address.strip()[:_MAX_ADDRESS]
        digits = _digits(given)
        for form in (given, digits, f"+{digits}"):
            if form and (found := self._numbers.number(form)):
                return found.number, found
        read = self._readable(given, ton)
        return read or given, self._numbers.number(read) if read else None

    def _readable(self, given: str, ton: int) -> str | None:
        """E.164, or None: international and national reading, the likelier one first."""
        if any(c.isalpha() for c in given):
            return None
        digits = _digits(given)
        forms = [f"+{digits}", digits]
        if ton == TON_NATIONAL:
            forms.reverse()
        for form in forms:
            try:
                return normalize(form, self._sms.default_region, self._sms.countries)
            except PhoneError:
                continue
        abroad = f"+{digits}"
        return abroad if is_e164(abroad) and (given.startswith("+") or ton == 1) else None


def _digits(address: str) -> str:
    return "".join(c for c in address if c in "0123456789")
