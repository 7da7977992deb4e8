"""Phone numbers: E.164 by a fast path, national forms by phonenumbers, and which countries may be
texted.

Only numbers of allowed countries, and of types that a person answers, ever leave: premium,
shared-cost and satellite numbers are how toll fraud earns its money.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult

_NORTH_AMERICAN = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")
_BLOCK = len("+12125550")
_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_LONGEST = 40
_REFUSED_TYPES = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.PAGER,
        PhoneNumberType.VOICEMAIL,
    }
)


class PhoneError(ValueError):
    """Not a number that may be texted or called; the text says why and what to do."""


def normalize(text: str, region: str, countries: tuple[str, ...]) -> str:
    """`text` in E.164 form: `(212) 555-0123` in region US is `+12125550123`.

    `region` reads national forms; `countries` (ISO 3166 two-letter codes) are those allowed. Raises
    PhoneError.
    """
    number = text.strip()
    if _NORTH_AMERICAN.fullmatch(number):
        _check_block(number[:_BLOCK], countries)
        return number
    return _normalize(number, region, countries)


@lru_cache(maxsize=65536)
def _check_block(block: str, countries: tuple[str, ...]) -> None:
    """Raise PhoneError unless the numbers of a block of a thousand may be texted.

    The North American plan tells countries and types apart by the first seven digits at most.
    """
    _normalize(block + "123", "US", countries)


@lru_cache(maxsize=65536)
def _normalize(text: str, region: str, countries: tuple[str, ...]) -> str:
    if len(text) > _LONGEST:
        raise PhoneError(f"longer than {_LONGEST} characters: not a phone number")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise PhoneError(
            "not a phone number: give it as +12125550123 or in national form"
        ) from error
    if number.extension:
        raise PhoneError("has an extension: give the number alone")
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise PhoneError("has too few or too many digits for its country")
    country = phonenumbers.region_code_for_number(number) or _region_of_code(
        number.country_code or 0, countries
    )
    if country not in countries:
        raise PhoneError(f"is not in an allowed country ({', '.join(countries)})")
    if phonenumbers.number_type(number) in _REFUSED_TYPES:
        raise PhoneError("is a premium or special-rate number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _region_of_code(code: int, countries: tuple[str, ...]) -> str | None:
    """An allowed country with this calling code, for numbers that no one is assigned: 555-01xx."""
    regions = phonenumbers.region_codes_for_country_code(code)
    return next((region for region in regions if region in countries), None)


def is_e164(text: str) -> bool:
    """Whether `text` has the form of E.164: a plus sign and 8 to 15 digits, the first not 0."""
    return _E164.fullmatch(text) is not None


def national(e164: str) -> str:
    """`+12125550123` as people write it: `(212) 555-0123`. What is none comes back unchanged."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def mask(text: str) -> str:
    """`+12125550123` as logs show it: `+1212***23`."""
    return f"{text[:5]}***{text[-2:]}" if len(text) > 8 else "***"
