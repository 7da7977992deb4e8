"""Session descriptions as bytes (RFC 8866) and their keys (RFC 4568)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError, ProtocolError
from protocols.sip.sdp import (
    MAX_BYTES,
    MAX_FORMATS,
    MAX_LINES,
    MAX_MEDIA,
    Attribute,
    Description,
    Media,
    Origin,
    SdpError,
    build,
    parse,
)
from protocols.sip.sdp_crypto import Crypto
from protocols.sip.sdp_crypto import build as build_crypto
from protocols.sip.sdp_crypto import parse as parse_crypto

SAMPLE = b"""v=0\r
o=trunk 7 3 IN IP4 192.0.2.10\r
s=Sample call\r
i=ignored\r
c=IN IP4 192.0.2.10\r
b=AS:64\r
t=0 0\r
a=sendonly\r
m=audio 4000/2 RTP/AVP 0 101\r
c=IN IP4 192.0.2.11/127\r
a=rtpmap:101 telephone-event/8000\r
a=rtcp-mux\r
m=video 0 RTP/AVP 34\r
"""
ORIGIN = Origin("-", 1, 0, "192.0.2.1")
KEY = bytes(range(30))
INLINE = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"


def test_reads_what_counts() -> None:
    """Origin, places, media and attributes are read, each where it belongs."""
    found = parse(SAMPLE)
    assert found.origin == Origin("trunk", 7, 3, "192.0.2.10")
    assert found.name == "Sample call"
    assert found.address == "192.0.2.10"
    assert found.attributes == (Attribute("sendonly"),)
    audio, video = found.media
    assert (audio.kind, audio.port, audio.protocol) == ("audio", 4000, "RTP/AVP")
    assert audio.formats == ("0", "101")
    assert audio.address == "192.0.2.11"
    assert audio.values("rtpmap") == ["101 telephone-event/8000"]
    assert audio.values("rtcp-mux") == [""]
    assert (video.kind, video.port) == ("video", 0)


def test_takes_lines_that_end_in_lf() -> None:
    """Old peers send LF alone; the RFC asks to take it."""
    assert parse(SAMPLE.replace(b"\r\n", b"\n")) == parse(SAMPLE)


def test_keeps_other_alphabets() -> None:
    """A session name in UTF-8 or latin-1 is no reason to refuse a call."""
    assert parse(SAMPLE.replace(b"Sample call", b"caf\xe9")).name == "caf\xe9"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=0\r\n", b""),
        (b"v=0", b"v=1"),
        (b"o=trunk 7 3 IN IP4 192.0.2.10\r\n", b""),
        (b"o=trunk 7", b"o=trunk x"),
        (b"o=trunk 7", b"o=trunk 99999999999999999999"),
        (b"o=trunk 7 3", b"o=trunk 7"),
        (b"c=IN IP4 192.0.2.10", b"c=IN IP4"),
        (b"c=IN IP4 192.0.2.10", b"c=ATM NSAP x"),
        (b"m=audio 4000/2", b"m=audio 65536"),
        (b"m=audio 4000/2", b"m=audio -1"),
        (b"m=audio 4000/2", b"m=audio \xb2"),
        (b"m=audio 4000/2 RTP/AVP 0 101", b"m=audio 4000 RTP/AVP"),
        (b"m=audio", b"m=au\xaddio"),
        (b"s=Sample call", b"s=Sample\rcall"),
        (b"s=Sample call", b"s=Sample\0call"),
        (b"s=Sample call", b"no line"),
        (b"s=Sample call", b"S=Sample"),
        (b"s=Sample call", b""),
        (b"s=Sample call", b"s=" + b"x" * 1023),
    ],
)
def test_refuses_what_is_malformed(old: bytes, new: bytes) -> None:
    """A description that breaks the grammar where it matters is refused with 400."""
    with pytest.raises(SdpError) as caught:
        parse(SAMPLE.replace(old, new))
    assert caught.value.status_hint == 400


def test_has_limits() -> None:
    """Octets, lines, media and formats are bounded."""
    head = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
    formats = b" ".join([b"0"] * (MAX_FORMATS + 1))
    for body in (
        head + b"a=x\r\n" * MAX_LINES,
        head + b"a=" + b"x" * 1000 + b"\r\n" + (b"a=" + b"x" * 1000 + b"\r\n") * 9,
        head + b"m=audio 1 RTP/AVP 0\r\n" * (MAX_MEDIA + 1),
        head + b"m=audio 1 RTP/AVP " + formats,
        b"",
        b"v=0\r\n" + b"\n" * MAX_BYTES,
    ):
        with pytest.raises(SdpError):
            parse(body)


def test_writes_what_it_reads() -> None:
    """A description survives writing and reading."""
    media = Media(
        "audio", 4000, "RTP/AVP", ("0", "101"), "2001:db8::1", (Attribute("ptime", "20"),)
    )
    ours = Description(ORIGIN, "192.0.2.1", (media,), (Attribute("sendrecv"),), "Sample")
    assert parse(build(ours)) == ours
    assert build(ours).startswith(b"v=0\r\no=- 1 0 IN IP4 192.0.2.1\r\ns=Sample\r\nc=IN IP4 ")


@pytest.mark.parametrize(
    "description",
    [
        Description(Origin("a b", 1, 0, "192.0.2.1")),
        Description(Origin("", 1, 0, "192.0.2.1")),
        Description(Origin("-", 1, 0, "192.0.2.1\r\na=x")),
        Description(Origin("-", 1, 0, "host.example.com")),
        Description(ORIGIN, "192.0.2.1 x"),
        Description(ORIGIN, name="a\r\nm=audio 1 RTP/AVP 0"),
        Description(ORIGIN, name="\N{SNOWFLAKE}"),
        Description(ORIGIN, attributes=(Attribute("x", "1\n2"),)),
        Description(ORIGIN, attributes=(Attribute("x", ""),)),
        Description(ORIGIN, attributes=(Attribute("x:y"),)),
        Description(ORIGIN, media=(Media("audio", 70000, "RTP/AVP", ("0",)),)),
        Description(ORIGIN, media=(Media("audio", 4000, "RTP/AVP", ()),)),
        Description(ORIGIN, media=(Media("audio", 4000, "RTP/AVP", ("0 1",)),)),
        Description(ORIGIN, media=(Media("audio\n", 4000, "RTP/AVP", ("0",)),)),
    ],
)
def test_writes_no_line_that_was_not_meant(description: Description) -> None:
    """What would break out of its place is our own fault, and is not written."""
    with pytest.raises(LocalProtocolError):
        build(description)


LINES = st.lists(
    st.one_of(
        st.sampled_from(SAMPLE.split(b"\r\n")),
        st.sampled_from([b"m=audio 1 RTP/SAVP 8", b"a=ptime:0", b"c=IN IP6 ::1", b"a=", b"a=:"]),
        st.binary(max_size=40),
    ),
    max_size=20,
)


@given(LINES)
def test_nothing_but_its_error_escapes(lines: list[bytes]) -> None:
    """Whatever a peer sends is read or refused with the protocol's error."""
    with suppress(ProtocolError):
        parse(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + b"\r\n".join(lines))


# Keys ---------------------------------------------------------------------------------------------


def test_reads_and_writes_keys() -> None:
    """A line survives writing and reading; a long lifetime and a window hint change nothing."""
    ours = Crypto(1, "AES_CM_128_HMAC_SHA1_80", KEY)
    assert parse_crypto(build_crypto(ours)) == ours
    assert parse_crypto(f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^31 WSH=128") == ours
    assert parse_crypto(f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|1048576") == ours


def test_keys_never_show() -> None:
    """A key is in no text that could reach a log."""
    assert "x01" not in repr(Crypto(1, "AES_CM_128_HMAC_SHA1_80", KEY))


@pytest.mark.parametrize(
    "value",
    [
        f"1 AES_256_CM_HMAC_SHA1_80 {INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^20|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^10",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE};{INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE} UNENCRYPTED_SRTP",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE} KDR=1",
        "1 AES_CM_128_HMAC_SHA1_80 other:AAEC",
    ],
)
def test_leaves_out_keys_that_are_not_for_us(value: str) -> None:
    """Another suite, an MKI, several keys, a short lifetime and changed packets are not taken."""
    assert parse_crypto(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x AES_CM_128_HMAC_SHA1_80 " + INLINE,
        "1 AES_CM_128_HMAC_SHA1_80",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAEC",
        "1 AES_CM_128_HMAC_SHA1_80 inline:*" + INLINE[8:],
        "1 AES_CM_128_HMAC_SHA1_80 inline:\xe9" + INLINE[8:],
        "1234567890 AES_CM_128_HMAC_SHA1_80 " + INLINE,
    ],
)
def test_refuses_malformed_keys(value: str) -> None:
    """A line outside the grammar, or a key of another length, is an error."""
    with pytest.raises(SdpError):
        parse_crypto(value)


@pytest.mark.parametrize("blank", ["  ", "\t", " \t "])
def test_parts_of_a_key_line_may_stand_apart(blank: str) -> None:
    """RFC 4568 section 9.1: one blank or more, and tabs are blanks."""
    line = f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^31 WSH=64".replace(" ", blank)
    found = parse_crypto(line)
    assert found is not None and (found.tag, found.key) == (1, KEY)
    assert parse_crypto(f"{line}{blank}KDR=1") is None


@given(st.text(st.characters(max_codepoint=255), max_size=120))
def test_key_lines_raise_only_their_error(text: str) -> None:
    """Whatever stands in the line is read, left out or refused."""
    for value in (text, f"1 AES_CM_128_HMAC_SHA1_80 inline:{text}"):
        with suppress(SdpError):
            parse_crypto(value)
