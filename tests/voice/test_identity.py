"""Numbers as trunks write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.phone import is_e164
from gateway.voice.identity import read_number, write_number


@pytest.mark.parametrize(
    ("form", "country", "written"),
    [
        ("+e164", "1", "+12125550123"),
        ("e164", "1", "12125550123"),
        ("national", "1", "2125550123"),
        ("national", "44", "12125550123"),
    ],
)
def test_a_number_is_written_as_the_settings_say(form: str, country: str, written: str) -> None:
    """A number of another country keeps its code."""
    assert write_number("+12125550123", form, country) == written


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+12125550123", "1", "+12125550123"),
        ("12125550123", "1", "+12125550123"),
        ("2125550123", "1", "+12125550123"),
        ("0012125550123", "49", "+12125550123"),
        ("02079460123", "44", "+442079460123"),
        ("442079460123", "44", "+442079460123"),
        ("2079460123", "44", "+442079460123"),
        ("anonymous", "1", ""),
        ("", "1", ""),
        ("100", "1", ""),
        ("*69", "1", ""),
    ],
)
def test_a_number_is_read_however_the_trunk_writes_it(
    text: str, country: str, number: str
) -> None:
    assert read_number(text, country) == number


@given(st.text(max_size=30), st.sampled_from(["1", "44", "358"]))
def test_what_is_read_is_e164_or_nothing(text: str, country: str) -> None:
    found = read_number(text, country)
    assert not found or is_e164(found)


@given(st.from_regex(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True))
def test_what_we_write_we_read_again(number: str) -> None:
    for form in ("+e164", "e164", "national"):
        assert read_number(write_number(number, form, "1"), "1") == number
