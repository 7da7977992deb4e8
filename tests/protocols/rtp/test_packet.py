"""RTP and RTCP packets as bytes (RFC 3550)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.rtp import dtmf, rtcp
from protocols.rtp.packet import MAX_PACKET_BYTES, RtpError, RtpPacket, build, is_rtcp, parse
from protocols.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReceptionReport,
    SenderReport,
    SourceDescription,
)

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
WORDS = st.integers(0, 5).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
PACKETS = st.builds(
    RtpPacket,
    st.integers(0, 127),
    U16,
    U32,
    U32,
    st.binary(max_size=200),
    st.booleans(),
    st.lists(U32, max_size=15).map(tuple),
    st.none() | st.tuples(U16, WORDS),
)
BLOCKS = st.lists(
    st.builds(
        ReceptionReport,
        U32,
        st.integers(0, 255),
        st.integers(-0x800000, 0x7FFFFF),
        U32,
        U32,
        U32,
        U32,
    ),
    max_size=3,
).map(tuple)
U64 = st.integers(0, (1 << 64) - 1)
REPORTS = st.one_of(
    st.builds(SenderReport, U32, U64, U32, U32, U32, BLOCKS), st.builds(ReceiverReport, U32, BLOCKS)
)


def test_reads_a_packet() -> None:
    """Every field is where the RFC has it."""
    data = bytes.fromhex("80 80 0102 00000304 00000506") + b"\xff" * 160
    assert parse(data) == RtpPacket(0, 0x102, 0x304, 0x506, b"\xff" * 160, is_marked=True)


@given(PACKETS, st.integers(0, 255))
def test_a_packet_survives_the_wire(packet: RtpPacket, padding: int) -> None:
    """Sources, extension, marker and padding included."""
    assert parse(build(packet, padding=padding)) == packet


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(11), "shorter"),
        (b"\x80" + bytes(MAX_PACKET_BYTES), "longer"),
        (bytes(12), "version 0"),
        (b"\x81" + bytes(11), "sources"),
        (b"\x90" + bytes(11), "extension"),
        (b"\x90" + bytes(11) + b"\0\0\0\1", "extension"),
        (b"\xa0" + bytes(12), "padding"),
        (b"\xa0" + bytes(11) + b"\x02", "padding"),
    ],
)
def test_refuses_what_is_cut_or_foreign(data: bytes, words: str) -> None:
    """Each malformation has its reason."""
    with pytest.raises(RtpError, match=words):
        parse(data)


@given(st.binary(max_size=100))
def test_parsers_raise_only_their_error(data: bytes) -> None:
    """Any datagram is read or refused by RTP, RTCP and telephone events."""
    for data_ in (data, b"\x80" + data, b"\x90" + data, b"\xb1" + data, b"\x81\xc8\x00" + data,
                  b"\x80\xc9\x00\x01" + bytes(4) + b"\x82\xca" + data):  # fmt: skip
        for reader in (parse, rtcp.parse, dtmf.parse):
            with suppress(RtpError):
                reader(data_)


@pytest.mark.parametrize(
    ("packet", "padding"),
    [
        (RtpPacket(128, 0, 0, 0, b""), 0),
        (RtpPacket(0, 0x10000, 0, 0, b""), 0),
        (RtpPacket(0, 0, 0, 0, b"", extension=(0, b"abc")), 0),
        (RtpPacket(0, 0, 0, 0, b"", csrcs=(0,) * 16), 0),
        (RtpPacket(0, 0, 0, 0, b""), 256),
    ],
)
def test_writes_only_what_fits(packet: RtpPacket, padding: int) -> None:
    """A field out of range is our mistake."""
    with pytest.raises(LocalProtocolError):
        build(packet, padding=padding)


def test_knows_rtcp_on_a_shared_port() -> None:
    """192 to 223 in the second octet (RFC 5761); a marked PCMU is none of them."""
    assert is_rtcp(b"\x80\xc8") and is_rtcp(b"\x81\xdf")
    assert not any(is_rtcp(each) for each in (b"\x80\x80", b"\x80\x00", b"\x80\xe5", b"\x80", b""))


@given(REPORTS, st.text(max_size=60), st.lists(U32, min_size=1, max_size=4).map(tuple))
def test_a_compound_survives_the_wire(
    report: SenderReport | ReceiverReport, cname: str, gone: tuple[int, ...]
) -> None:
    """Reports, CNAME and BYE; negative loss included."""
    packets = [report, SourceDescription(report.ssrc, cname), Bye(gone)]
    assert rtcp.parse(rtcp.build(*packets)) == packets


def test_unknown_parts_of_a_compound_are_skipped() -> None:
    """APP and feedback packets between known ones do no harm."""
    head = rtcp.build(ReceiverReport(1))
    app = bytes.fromhex("80cc0002 00000001 61626364")
    assert rtcp.parse(head + app + rtcp.build(Bye((1,)))) == [ReceiverReport(1), Bye((1,))]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(8),
        rtcp.build(Bye((1,))),
        rtcp.build(ReceiverReport(1))[:-1],
        rtcp.build(ReceiverReport(1)) + bytes(4),
        b"\x81" + rtcp.build(ReceiverReport(1))[1:],
        b"\xa0" + rtcp.build(ReceiverReport(1))[1:],
        b"\x80\xc8\x00\x01" + bytes(4),
        rtcp.build(ReceiverReport(1)) + b"\x82\xcb\x00\x01" + bytes(4),
        rtcp.build(ReceiverReport(1)) + b"\xa0\xcb\x00\x01\0\0\0\x03",
        rtcp.build(ReceiverReport(1)) + b"\x81\xca\x00\x02" + bytes(4) + b"\x01\xff\0\0",
        rtcp.build(ReceiverReport(1)) + b"\x80\xcb\x00\x05",
    ],
)
def test_a_bad_compound_is_refused_whole(data: bytes) -> None:
    """As the checks of appendix A.2 want it."""
    with pytest.raises(RtpError):
        rtcp.parse(data)
