"""Numbers as links write them (SMPP v3.4 sections 5.2.5 to 5.2.9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.smpp.addresses import Address, AddressRules, Ton

DEFAULT = AddressRules()
PLUS = AddressRules(is_plus=True)
NATIONAL = AddressRules(national_prefix="1")
UNKNOWN = AddressRules(international=(0, 0), short_code=(0, 0))


@pytest.mark.parametrize(
    ("rules", "number", "address"),
    [
        (DEFAULT, "+12125550123", Address(1, 1, "12125550123")),
        (DEFAULT, "12125550123", Address(1, 1, "12125550123")),
        (PLUS, "+12125550123", Address(1, 1, "+12125550123")),
        (NATIONAL, "+12125550123", Address(2, 1, "2125550123")),
        (NATIONAL, "+442079460123", Address(1, 1, "442079460123")),
        (UNKNOWN, "+12125550123", Address(0, 0, "12125550123")),
        (DEFAULT, "12345", Address(3, 0, "12345")),
        (UNKNOWN, "123456", Address(0, 0, "123456")),
        (DEFAULT, "+12345", Address(1, 1, "12345")),
        (AddressRules(short_code=(6, 0)), "12345", Address(6, 0, "12345")),
        (DEFAULT, "SAMPLE", Address(5, 0, "SAMPLE")),
        (DEFAULT, "+SAMPLE", Address(5, 0, "+SAMPLE")),
    ],
)
def test_number_is_written_as_the_link_wants_it(
    rules: AddressRules, number: str, address: Address
) -> None:
    """TON and NPI by kind; + and country code as the link has them."""
    assert rules.write(number) == address


@pytest.mark.parametrize(
    ("rules", "address", "number"),
    [
        (DEFAULT, (1, 1, "12125550123"), "+12125550123"),
        (DEFAULT, (1, 1, "+12125550123"), "+12125550123"),
        (DEFAULT, (0, 0, "12125550123"), "+12125550123"),
        (DEFAULT, (0, 1, "0012125550123"), "+12125550123"),
        (DEFAULT, (3, 0, "12345"), "12345"),
        (DEFAULT, (1, 1, "12345"), "12345"),
        (DEFAULT, (5, 0, "12125550123"), "12125550123"),
        (DEFAULT, (5, 0, "SAMPLE"), "SAMPLE"),
        (DEFAULT, (0, 0, " 12345 "), "12345"),
        (DEFAULT, (2, 1, "2125550123"), "2125550123"),
        (NATIONAL, (2, 1, "2125550123"), "+12125550123"),
        (NATIONAL, (2, 8, "02125550123"), "+12125550123"),
        (NATIONAL, (1, 1, "442079460123"), "+442079460123"),
        (DEFAULT, (0, 0, ""), ""),
    ],
)
def test_address_that_comes_in_is_understood(
    rules: AddressRules, address: tuple[int, int, str], number: str
) -> None:
    """E.164 whatever the TON, short codes and names as they stand."""
    assert rules.read(*address) == number


@given(
    st.sampled_from([DEFAULT, PLUS, NATIONAL]),
    st.from_regex(r"\+[1-9][0-9]{9,13}", fullmatch=True),
)
def test_what_is_written_is_read_back(rules: AddressRules, number: str) -> None:
    """A number survives the link; national numbers never begin with 0."""
    if not number.startswith("+10"):
        assert rules.read(*rules.write(number)) == number


@given(st.integers(0, 255), st.integers(0, 255), st.text(max_size=30))
def test_any_address_reads_as_something(ton: int, npi: int, digits: str) -> None:
    """Nothing a carrier sends raises, whatever its TON."""
    assert isinstance(NATIONAL.read(ton, npi, digits), str)
    assert Ton(5) == Ton.ALPHANUMERIC
