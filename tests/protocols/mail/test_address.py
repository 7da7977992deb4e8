"""Which addresses may stand in an SMTP command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.mail.address import MAX_ADDRESS, check_address, domain_of

GOOD = [
    "owner@shop.example",
    "first.last+texts@mail.shop.example",
    "o'brien@shop.example",
    "a@b",
    "1@xn--bcher-kva.example",
    "a" * 64 + "@shop.example",
]
BAD = [
    "",
    "owner",
    "@shop.example",
    "owner@",
    "owner@@shop.example",
    "owner@shop..example",
    ".owner@shop.example",
    "owner.@shop.example",
    "owner@-shop.example",
    "owner@shop-.example",
    "owner@[127.0.0.1]",
    '"owner"@shop.example',
    "<owner@shop.example>",
    "Owner <owner@shop.example>",
    "owner@shop.example, other@shop.example",
    "owner@shop.example other@shop.example",
    "owner@shop.example\r\nRCPT TO:<other@shop.example>",
    "owner@shop.example\n",
    "owner@shop.example>\r\nDATA",
    "owner\x00@shop.example",
    "öwner@shop.example",
    "owner@shöp.example",
    "owner@shop.example\u202e",
    "a" * 65 + "@shop.example",
    "a@" + ".".join(["b" * 60] * 5),
]


@pytest.mark.parametrize("address", GOOD)
def test_plain_address(address: str) -> None:
    """A plain address comes back unchanged."""
    assert check_address(address) == address


@pytest.mark.parametrize("address", BAD)
def test_no_address(address: str) -> None:
    """What is not one plain address is refused, in words that do not repeat it."""
    with pytest.raises(LocalProtocolError) as caught:
        check_address(address)
    assert not address or address not in str(caught.value)


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    """Whatever passes has nothing in it that ends a path or a line."""
    try:
        check_address(text)
    except LocalProtocolError:
        return
    assert text.isascii() and text.isprintable() and len(text) <= MAX_ADDRESS
    assert not set(text) & set('<>,;:"\\ ()[]')


def test_domain() -> None:
    """The domain of an address is told in lower case."""
    assert domain_of("Owner@Shop.EXAMPLE") == "shop.example"
