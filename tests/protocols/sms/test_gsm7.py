"""The alphabet and the other data codings, as 3GPP TS 23.038 prints them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.sms import gsm7
from protocols.sms.encoding import Encoding, choose

SORTED_CHARACTERS = "".join(sorted(gsm7.CHARACTERS))


def test_the_alphabet_has_127_characters_and_ten_more_behind_the_escape() -> None:
    """TS 23.038 §6.2.1: 128 codes of which one is the escape, and 10 in the extension table."""
    assert len(gsm7.DEFAULT_ALPHABET) == 128
    assert len(gsm7.CHARACTERS) == 127 + 10


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("hello", b"hello"),
        ("@", b"\x00"),
        ("$_", b"\x02\x11"),
        ("£¥", b"\x01\x03"),
        ("§", b"\x5f"),
        ("¿à", b"\x60\x7f"),
        ("ÄÖÑÜ", b"\x5b\x5c\x5d\x5e"),
        ("Δ_ΦΓΛΩΠΨΣΘΞ", b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a"),
        ("€", b"\x1b\x65"),
        ("[x]", b"\x1b\x3cx\x1b\x3e"),
        ("\f", b"\x1b\x0a"),
        ("\r\n", b"\x0d\x0a"),
    ],
)
def test_characters_have_the_codes_of_the_standard(text: str, octets: bytes) -> None:
    """Samples from every region of the table go both ways."""
    assert gsm7.encode(text) == octets
    assert gsm7.decode(octets, 0) == text


@pytest.mark.parametrize("char", ["`", "\x1b", "\t", "ç", "í", "’", "Я", "👗", "\x00", "\ud800"])
def test_what_the_alphabet_lacks_is_refused_without_showing_the_text(char: str) -> None:
    """A character outside raises an error that names its code point only."""
    assert not gsm7.is_encodable("secret" + char)
    assert choose("secret" + char) is Encoding.UCS2
    with pytest.raises(LocalProtocolError, match=rf"U\+{ord(char):04X}") as caught:
        gsm7.encode("secret" + char)
    assert "secret" not in str(caught.value)


@settings(deadline=None)
@given(st.text(SORTED_CHARACTERS))
def test_every_text_of_the_alphabet_survives(text: str) -> None:
    """Encoding and decoding again gives the same text."""
    assert gsm7.is_encodable(text)
    assert gsm7.decode(gsm7.encode(text), 0) == text


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=0x17F) | st.sampled_from("€ΔΦ’")))
def test_is_encodable_agrees_with_encode(text: str) -> None:
    """The quick answer and the real attempt never differ."""
    try:
        gsm7.encode(text)
        encodes = True
    except LocalProtocolError:
        encodes = False
    assert gsm7.is_encodable(text) is encodes


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"a\x1b", "a "),
        (b"\x1b\x1bA", " A"),
        (b"a\x1bAb", "aAb"),
        (b"\x1b\x1b\x65", " e"),
        (b"a\x80\xffb", "a\ufffd\ufffdb"),
        (b"\x1b\xe9", "\ufffd"),
    ],
)
def test_odd_escapes_show_as_the_standard_asks(octets: bytes, text: str) -> None:
    """Undefined extension: the base character; escape alone: a space; beyond 7 bits: U+FFFD."""
    assert gsm7.decode(octets, 0) == text


@pytest.mark.parametrize(
    ("octets", "data_coding", "text"),
    [
        (b"plain @", 0x01, "plain @"),
        (b"tab\t[$5]\r\n\x00", 0x01, "tab\t[$5]\r\n"),
        (b"me\x00sample \x025 \x1be", 0x01, "me@sample $5 €"),
        (b"caf\xe9", 0x03, "café"),
        (b"\xbf\xe0\xd8\xd2\xd5\xe2", 0x06, "Привет"),
        (b"\xf9\xec\xe5\xed", 0x07, "שלום"),
        ("안녕".encode("euc_kr"), 0x0E, "안녕"),
        ("gr\xfc\xdfe".encode(), 0x04, "grüße"),
        (b"gr\xfc\xdfe", 0x04, "grüße"),
        ("👗 ok".encode("utf-16-be"), 0x08, "👗 ok"),
        (b"\xfe\xff\x00S", 0x08, "S"),
        (b"\xff\xfeS\x00", 0x08, "S"),
        (b"\x00S\x00\x00", 0x08, "S"),
        (b"\xd8\x3d\x00A", 0x08, "\ufffdA"),
        (b"\x00A\x00", 0x08, "A\ufffd"),
        (b"\x00\x41", 0xE0, "A"),
        (b"\x00", 0xF0, "@"),
        (b"\xe9", 0xF4, "é"),
        (b"\x00", 0xC8, "@"),
        (b"\x00", 0x7B, "@"),
    ],
)
def test_each_data_coding_is_read_in_its_own_way(
    octets: bytes, data_coding: int, text: str
) -> None:
    """SMPP v3.4 §5.2.19 and the groups of TS 23.038 §4."""
    assert gsm7.decode(octets, data_coding) == text


def test_lone_surrogates_never_reach_the_wire() -> None:
    """Pairs written as two surrogates are joined, single ones become U+FFFD."""
    assert gsm7.encode_ucs2("\ud83d\udc57") == "👗".encode("utf-16-be")
    assert gsm7.encode_ucs2("a\ud800b") == "a\ufffdb".encode("utf-16-be")
