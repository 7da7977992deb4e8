"""Ladder diagrams: who said what, and nothing that is nobody's business."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.voice.ladder import CHARS_MAX, MESSAGES_MAX, Ladders, masked
from protocols.sip.flow import Hop, Transport

HOP = Hop(Transport.UDP, "192.0.2.1", 5060)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "m=audio 40000 RTP/SAVP 8 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:S3cretKey\r\n"
    "a=sendonly\r\n"
)


def message(
    start: str, *, call_id: str = "1", method: str = "INVITE", more: str = "", body: str = ""
) -> bytes:
    return (
        f"{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "From: <sip:+12125550100@example.com>;tag=1\r\nTo: <sip:+12125550123@example.com>\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{more}\r\n{body}"
    ).encode()


INVITE = message(
    "INVITE sip:+12125550123@example.com SIP/2.0",
    more='Authorization: Digest username="sample", response="c0ffee"\r\n',
    body=SDP,
)


def drawn(ladders: Ladders, calls: int = 10) -> str:
    return "\n".join(ladders.lines(calls))


def test_a_call_is_drawn_message_by_message() -> None:
    """With the time since it began, the way each went, and what the sound was to be."""
    ladders = Ladders(5)
    ladders.note(True, INVITE, HOP, 100.0)
    ladders.note(False, message("SIP/2.0 180 Ringing"), HOP, 100.25)
    ladders.note(True, message("BYE sip:x@example.com SIP/2.0", method="BYE"), HOP, 101.5)
    text = drawn(ladders)
    lines = text.split("\n")
    assert "out: +1212***00 calls +1212***23" in lines[0]
    assert "192.0.2.1:5060 UDP" in lines[1]
    assert "0.000 |-" in lines[2]
    assert "INVITE" in lines[2]
    assert "sound PCMA/PCMU encrypted sendonly at 192.0.2.9:40000, with credentials" in lines[2]
    assert "0.250 |<" in lines[3]
    assert "180 Ringing" in lines[3]
    assert "1.500 |-" in lines[4]


def test_no_number_key_or_credential_is_kept() -> None:
    ladders = Ladders(5)
    refusal = message(
        "SIP/2.0 404 +12125550123 is unknown",
        more='Reason: Q.850;cause=1;text="12125550123"\r\nWarning: 399 h "2125550123"\r\n',
    )
    ladders.note(True, INVITE, HOP, 0.0)
    ladders.note(False, refusal, HOP, 0.0)
    text = drawn(ladders)
    assert "404" in text
    for secret in ("5550123", "S3cretKey", "c0ffee", "sample"):
        assert secret not in text


def test_addresses_of_any_length_are_read_in_their_time() -> None:
    """A stranger's header that begins an address again and again holds nobody up."""
    ladders = Ladders(5)
    endless = b"sip:" * 100_000
    ladders.note(False, INVITE.replace(b"To: <sip:", b"To: <" + endless), HOP, 100.0)
    ladders.note(False, INVITE.replace(b"3@", b"3:a-password@"), HOP, 100.0)
    text = drawn(ladders)
    assert "INVITE" in text
    assert "a-password" not in text


def test_copies_are_marked() -> None:
    ladders = Ladders(5)
    ladders.note(True, INVITE, HOP, 0.0)
    ladders.note(True, INVITE, HOP, 0.5)
    assert drawn(ladders).split("\n")[-1].endswith("again")


def test_memory_is_bounded() -> None:
    """Of calls, of messages in a call, of characters in a line."""
    ladders = Ladders(2)
    for number in range(5):
        ladders.note(True, message("INVITE sip:a SIP/2.0", call_id=str(number)), HOP, float(number))
    assert len(ladders) == 2
    for number in range(MESSAGES_MAX + 7):
        ladders.note(False, message(f"SIP/2.0 183 {number}", call_id="4"), HOP, 9.0)
    assert "8 more messages were not kept" in drawn(ladders)
    assert all(len(line) <= CHARS_MAX for line in ladders.lines(9))


def test_only_calls_are_drawn_and_only_those_whose_beginning_was_seen() -> None:
    ladders = Ladders(5)
    ladders.note(True, message("OPTIONS sip:a SIP/2.0", method="OPTIONS"), HOP, 0.0)
    ladders.note(False, message("BYE sip:a SIP/2.0", method="BYE"), HOP, 0.0)
    assert len(ladders) == 0


@given(st.binary(max_size=300), st.booleans())
def test_nothing_that_a_peer_sends_raises_or_prints_controls(data: bytes, is_sent: bool) -> None:
    ladders = Ladders(5)
    ladders.note(True, INVITE, HOP, 0.0)
    ladders.note(is_sent, INVITE.replace(b"INVITE sip:+12125550123", data, 1), HOP, 0.0)
    ladders.note(is_sent, b"SIP/2.0 " + data + INVITE[INVITE.index(b"\r\n") :], HOP, 0.0)
    assert all(line.isprintable() for line in ladders.lines(9))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("486 Busy Here", "486 Busy Here"),
        ("192.0.2.1:45734 does not answer", "192.0.2.1:45734 does not answer"),
        ("404 +12125550123 is unknown", "404 +1212***23 is unknown"),
        ("call (212) 555-0123", "call (212) ***23"),
        ("5551234", "***"),
        ("a\r\nb", "a??b"),
    ],
)
def test_phone_numbers_in_words_of_a_peer_are_masked(text: str, shown: str) -> None:
    """They go to logs and to the store."""
    assert masked(text) == shown


def test_a_name_without_end_is_cut() -> None:
    """Operators are told in lines that a notice of the database holds."""
    ladders = Ladders(5)
    ladders.note(False, INVITE.replace(b"+12125550100", b"x" * 60_000), HOP, 100.0)
    assert max(map(len, ladders.lines(1))) <= 2 * CHARS_MAX
