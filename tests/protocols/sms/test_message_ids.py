"""Ids of messages match in whatever dialect they come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.sms.message_ids import id_forms, normal_form


@pytest.mark.parametrize(
    ("response", "receipt"),
    [
        ("2587", "2587"),
        ("0A1B", "2587"),
        ("2587", "A1B"),
        ("2587", "0x0A1B"),
        ("0000002587", "2587"),
        ("2587", "0000002587"),
        ("0", "000"),
        ("abcDEF01", "ABCdef01"),
        ("18446744073709551615", "FFFFFFFFFFFFFFFF"),
        ("ffffffffffffffff", "18446744073709551615"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3F2504E0-4F89-11D3-9A0C-0305E82C3301"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3F2504E04F8911D39A0C0305E82C3301"),
        ("0f2504e04f8911d39a0c0305e82c3301", "0F2504E0-4F89-11D3-9A0C-0305E82C3301"),
        ("smsc_7$1", "SMSC_7$1"),
        (" 2587 ", "2587"),
    ],
)
def test_a_receipt_finds_the_message(response: str, receipt: str) -> None:
    """Decimal, hexadecimal, zero-padded, any case, UUIDs with and without dashes."""
    assert normal_form(response) in id_forms(receipt)


@pytest.mark.parametrize(("response", "receipt"), [("2587", "2588"), ("a1b", "2586"), ("1", "10")])
def test_different_ids_stay_different(response: str, receipt: str) -> None:
    """Leniency does not make one message of two."""
    assert normal_form(response) not in id_forms(receipt)


def test_the_id_itself_comes_first() -> None:
    """Readings are tried after the id as it is written."""
    assert id_forms("2587") == ("2587", "a1b", "9607")
    assert id_forms("A1B") == ("a1b", "2587")
    assert id_forms("7") == ("7",)


def test_long_digits_are_never_converted() -> None:
    """Beyond 20 digits an id is only text."""
    assert id_forms("9" * 21) == ("9" * 21,)
    assert len(id_forms("9" * 20)) == 3


@settings(deadline=None)
@given(st.text(max_size=200) | st.text("0123456789abcdefABCDEFx-", max_size=70))
def test_forms_are_few_short_and_stable(message_id: str) -> None:
    """One to three forms of at most 65 characters; the first is the stored one."""
    forms = id_forms(message_id)
    assert 1 <= len(forms) <= 3
    assert forms[0] == normal_form(message_id)
    assert all(len(form) <= 65 for form in forms)
    assert bool(forms[0]) is bool(message_id.strip())


@settings(deadline=None)
@given(st.integers(0, 10**20 - 1))
def test_any_number_matches_across_bases(number: int) -> None:
    """What a carrier numbers in one base is found in the other, padded or not."""
    assert normal_form(f"{number:x}") in id_forms(str(number))
    assert normal_form(str(number)) in id_forms(f"{number:020X}")
