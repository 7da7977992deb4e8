"""Phone numbers: what is read, and what is refused with words that help."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.phone import PhoneError, is_e164, mask, national, normalize

COUNTRIES = ("US", "CA", "PR", "VI")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+12125550123", "+12125550123"),
        (" (212) 555-0123 ", "+12125550123"),
        ("212.555.0123", "+12125550123"),
        ("1-212-555-0123", "+12125550123"),
        ("+1 (416) 555-0123", "+14165550123"),
        ("(787) 555-0123", "+17875550123"),
        ("340-555-0123", "+13405550123"),
    ],
)
def test_numbers_are_read_as_people_write_them(written: str, number: str) -> None:
    """Of all allowed countries, national forms in the default region."""
    assert normalize(written, "US", COUNTRIES) == number


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "not a phone number"),
        ("call me", "not a phone number"),
        ("555-0123", "too few or too many digits"),
        ("+121255501234", "too few or too many digits"),
        ("+44 20 7946 0123", "not in an allowed country"),
        ("+1 242 555 0123", "not in an allowed country"),
        ("+1 900 555 0123", "premium or special-rate"),
        ("212-555-0123 ext. 5", "extension"),
        ("1" * 41, "longer than 40"),
        ("\0", "not a phone number"),
    ],
)
def test_what_may_not_be_texted_is_refused_with_the_reason(written: str, problem: str) -> None:
    """The text says what is wrong, and never repeats the number."""
    with pytest.raises(PhoneError, match=problem) as told:
        normalize(written, "US", COUNTRIES)
    assert "0123" not in str(told.value).replace("+12125550123", "")


@given(st.text(max_size=45))
def test_any_text_is_a_number_or_a_phone_error(text: str) -> None:
    """No other error escapes; what is read is E.164 of an allowed country."""
    try:
        number = normalize(text, "US", COUNTRIES)
    except PhoneError:
        return
    assert is_e164(number)
    assert number.startswith("+1")
    assert normalize(number, "US", COUNTRIES) == number


NOT_E164 = ["12125550123", "+0125550123", "+1212555", "+1" * 9, "+1\uff121255501"]


@given(st.from_regex(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True))
def test_the_fast_path_reads_as_the_slow_one_does(number: str) -> None:
    """A number in E.164 form, and the same one written with a space."""
    spaced = f"{number[:5]} {number[5:]}"
    try:
        slow = normalize(spaced, "US", COUNTRIES)
    except PhoneError as error:
        with pytest.raises(PhoneError, match=re.escape(str(error))):
            normalize(number, "US", COUNTRIES)
    else:
        assert normalize(number, "US", COUNTRIES) == slow


@pytest.mark.parametrize("text", NOT_E164)
def test_other_forms_are_not_e164(text: str) -> None:
    """A plus sign and 8 to 15 digits of ASCII, the first not 0."""
    assert not is_e164(text)


def test_numbers_are_shown_as_people_write_them() -> None:
    """And what is none comes back unchanged."""
    assert national("+12125550123") == "(212) 555-0123"
    assert national("12345") == "12345"
    assert national("Sample") == "Sample"


def test_logs_show_no_whole_number() -> None:
    """Only its beginning and its end."""
    assert mask("+12125550123") == "+1212***23"
    assert mask("12345") == "***"
