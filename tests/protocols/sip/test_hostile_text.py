"""What peers can write to hold us up or to make us believe something: it costs no more than its
length, and raises nothing but the protocol error."""

from __future__ import annotations

import pytest

from protocols.sip.errors import SipError
from protocols.sip.fields import Via
from protocols.sip.framing import StreamFramer
from protocols.sip.limits import Limits
from protocols.sip.message import Response
from protocols.sip.parser import parse
from protocols.sip.uri import Uri

VAST = 400_000
"""So long that work which grows with the square of it would not end while a test waits."""
ROOMY = Limits(message_bytes=10 * VAST, header_bytes=10 * VAST)
HEAD = (
    b"OPTIONS sip:b@h.example SIP/2.0\r\nVia: SIP/2.0/TCP h.example;branch=z9hG4bKx\r\n"
    b"From: <sip:a@h.example>;tag=1\r\nTo: <sip:b@h.example>\r\nCall-ID: one@h.example\r\n"
    b"CSeq: 1 OPTIONS\r\nSubject: a\r\n b\r\nContent-Length: 0\r\n"
)


@pytest.mark.parametrize("blank", [b" ", b"\t", b" \t"])
def test_a_long_run_of_blanks_costs_no_more_than_its_length(blank: bytes) -> None:
    """Neither where lines are folded nor where a stream is cut into messages."""
    data = HEAD + b"Organization: a" + blank * VAST + b"z\r\n\r\n"
    assert StreamFramer(ROOMY).receive_data(data) == [data]
    parsed = parse(data, ROOMY, is_stream=True)
    assert parsed.headers.get("Subject") == "a b"


@pytest.mark.parametrize("digits", ["1", "-", "1-", "(1)"])
def test_a_long_telephone_number_costs_no_more_than_its_length(digits: str) -> None:
    """Whether it is one or is spoilt by its last character."""
    with pytest.raises(SipError):
        Uri.parse(f"tel:{digits * VAST}x")
    if "1" in digits:
        assert Uri.parse(f"tel:{digits * VAST}").number == "1" * VAST


def test_lines_that_are_folded_twice_are_joined_once() -> None:
    """A continuation may be blank (RFC 3261 section 7.3.1)."""
    data = HEAD + b"Organization: a \r\n \r\n\t \r\n b\r\n\r\n"
    assert parse(data).headers.get("Organization") == "a b"
    assert StreamFramer().receive_data(data) == [data]


@pytest.mark.parametrize(
    "params",
    [
        "rport=\u00b2;received=192.0.2.9",
        "rport=\u0665\u0660\u0666\u0660;received=192.0.2.9",
        "rport=5060;received=evil.example.com",
        "rport=5060",
    ],
)
def test_a_public_address_that_is_none_is_not_believed(params: str) -> None:
    """The peer echoes our Via with what it saw: only an address and a port count."""
    assert Via.parse(f"SIP/2.0/UDP h.example;branch=z9hG4bKa;{params}").public_address is None


@pytest.mark.parametrize("received", ["2001:db8::9:255", "[2001:DB8::9:255]"])
def test_a_public_ipv6_address_may_have_brackets(received: str) -> None:
    """RFC 5118 section 4.5: both forms are in use."""
    via = Via.parse(f"SIP/2.0/UDP [2001:db8::9:1];received={received};rport=5060;branch=z9hG4bKa")
    assert via.public_address == ("2001:db8::9:255", 5060)


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: a\r\\\x00\nExpires: 5",
        b"Subject: a\\\x00\r\\\x01\nExpires: 5",
        b"Exp\\\x01ires: 5",
        b"Subject: a\r\n\\\x01\\\x02\r\nExpires: 5",
    ],
)
def test_an_escaped_control_character_makes_no_line_and_no_name(line: bytes) -> None:
    """What is taken out of quoted strings must not leave another message behind than others saw."""
    with pytest.raises(SipError) as fault:
        parse(HEAD + line + b"\r\n\r\n")
    assert fault.value.status_hint == 0


def test_an_escaped_control_character_in_a_name_does_no_harm() -> None:
    """RFC 4475 section 3.1.1.2: legal there, and of no use."""
    parsed = parse(HEAD + b'Contact: "a\\\x00b\\\x7fc" <sip:a@h.example>\r\n\r\n')
    assert parsed.contacts[0].display == "a b c"


@pytest.mark.parametrize(
    ("octets", "phrase"),
    [
        (b"Acc\xe8s refus\xe9", "Acc\ufffds refus\ufffd"),
        ("Acc\u00e8s refus\u00e9".encode(), "Acc\u00e8s refus\u00e9"),
        ("a\u202eb\u0085c".encode(), "abc"),
        (b"a\\\x00b", "a b"),
    ],
)
def test_a_reason_phrase_can_be_shown_and_stored(octets: bytes, phrase: str) -> None:
    """Operators and rows get it: text that prints, whatever octets it came in."""
    start = b"SIP/2.0 403 " + octets
    response = parse(HEAD.replace(b"OPTIONS sip:b@h.example SIP/2.0", start) + b"\r\n")
    assert isinstance(response, Response)
    assert response.phrase == phrase
