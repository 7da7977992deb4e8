"""Addresses of texts from phones, in whatever form a carrier writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import SmsSettings
from gateway.inbound.addresses import Addresses
from gateway.store.directory import Number


class Assigned:
    """Knows one long number and one short code."""

    def number(self, number: str) -> Number | None:
        return Number(number, 1, 1, "acme") if number in ("+12125550101", "55501") else None


ADDRESSES = Addresses(Assigned(), SmsSettings())


@pytest.mark.parametrize(
    ("address", "ton", "phone"),
    [
        ("12125550123", 1, "+12125550123"),
        ("+12125550123", 0, "+12125550123"),
        ("2125550123", 2, "+12125550123"),
        ("2125550123", 0, "+12125550123"),
        ("12125550123", 2, "+12125550123"),
        ("491701234567", 1, "+491701234567"),
        ("+491701234567", 0, "+491701234567"),
        ("491701234567", 0, "491701234567"),
        ("7726", 3, "7726"),
        ("SAMPLE", 5, "SAMPLE"),
        ("SALE2125550123", 0, "SALE2125550123"),
        ("", 0, ""),
    ],
)
def test_a_phone_is_read_as_e164_where_that_is_sure(address: str, ton: int, phone: str) -> None:
    """What is no number of an allowed country stays as it was given."""
    assert ADDRESSES.phone(address, ton) == phone


@pytest.mark.parametrize(
    ("address", "ton", "number"),
    [
        ("12125550101", 1, "+12125550101"),
        ("+12125550101", 1, "+12125550101"),
        ("2125550101", 2, "+12125550101"),
        ("55501", 3, "55501"),
    ],
)
def test_our_number_is_found_by_its_digits(address: str, ton: int, number: str) -> None:
    """With or without plus sign, national, or a short code."""
    assert ADDRESSES.number(address, ton) == (number, Number(number, 1, 1, "acme"))


def test_a_number_of_no_shop_is_read_like_a_phone() -> None:
    """It has no assignment."""
    assert ADDRESSES.number("2125550199", 0) == ("+12125550199", None)


@given(st.text(st.characters(max_codepoint=255), max_size=80), st.integers(0, 255))
def test_nothing_that_a_carrier_writes_is_an_error(address: str, ton: int) -> None:
    """Every address has a form to store."""
    assert len(ADDRESSES.phone(address, ton)) <= 64
    assert ADDRESSES.number(address, ton)[0] is not None
