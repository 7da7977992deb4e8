"""RTP packets (RFC 3550 section 5.1) and the telling apart of RTP and RTCP (RFC 5761)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from protocols.errors import LocalProtocolError, RemoteProtocolError

VERSION: Final = 2
HEADER: Final = struct.Struct("!BBHII")
HEADER_BYTES: Final = 12
MAX_PACKET_BYTES: Final = 1500
"""The longest packet taken; G.711 of 60 ms with SRTP needs 502."""
MAX_CSRCS: Final = 15
COMFORT_NOISE: Final = 13
"""The static payload type of RFC 3389."""

_EXTENSION: Final = struct.Struct("!HH")
_RTCP_TYPES: Final = range(192, 224)
"""Second octets that mean RTCP where both share a port (RFC 5761 section 4)."""


class RtpError(RemoteProtocolError):
    """A datagram that is no RTP or RTCP."""


@dataclass(slots=True)
class RtpPacket:
    """One packet. The extension is its 16-bit profile number and whole 32-bit words."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    is_marked: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP. Meaningless for less than two octets."""
    return len(data) > 1 and data[1] in _RTCP_TYPES


def parse(data: bytes) -> RtpPacket:
    """Read a packet; padding is taken off. Raises RtpError."""
    size = len(data)
    if size < HEADER_BYTES:
        raise RtpError("the packet is shorter than its header")
    if size > MAX_PACKET_BYTES:
        raise RtpError("the packet is longer than any of ours")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first >> 6 != VERSION:
        raise RtpError(f"version {first >> 6} is unknown")
    start = HEADER_BYTES
    end = size
    csrcs: tuple[int, ...] = ()
    extension = None
    if first != 0x80:
        if count := first & 0xF:
            start += 4 * count
            if start > size:
                raise RtpError("the list of sources is cut short")
            csrcs = struct.unpack_from(f"!{count}I", data, HEADER_BYTES)
        if first & 0x10:
            extension, start = _extension(data, start)
        if first & 0x20:
            padding = data[-1]
            if not 0 < padding <= size - start:
                raise RtpError("the padding is longer than the payload")
            end = size - padding
    return RtpPacket(
        second & 0x7F, sequence, timestamp, ssrc, data[start:end], second > 0x7F, csrcs, extension
    )


def _extension(data: bytes, start: int) -> tuple[tuple[int, bytes], int]:
    if start + 4 > len(data):
        raise RtpError("the extension is cut short")
    profile, words = _EXTENSION.unpack_from(data, start)
    end = start + 4 + 4 * words
    if end > len(data):
        raise RtpError("the extension is cut short")
    return (profile, data[start + 4 : end]), end


def build(packet: RtpPacket, *, padding: int = 0) -> bytes:
    """Write a packet, with `padding` octets more. Raises LocalProtocolError for fields out of
    range."""
    extension = packet.extension
    if len(packet.csrcs) > MAX_CSRCS or not 0 <= padding <= 255:
        raise LocalProtocolError("too many sources or too much padding")
    if extension is not None and len(extension[1]) % 4:
        raise LocalProtocolError("an extension is made of whole words")
    first = VERSION << 6 | len(packet.csrcs)
    first |= 0x10 if extension is not None else 0
    first |= 0x20 if padding else 0
    try:
        head = HEADER.pack(
            first,
            packet.payload_type | (0x80 if packet.is_marked else 0),
            packet.sequence,
            packet.timestamp,
            packet.ssrc,
        )
        head += struct.pack(f"!{len(packet.csrcs)}I", *packet.csrcs)
        if extension is not None:
            head += _EXTENSION.pack(extension[0], len(extension[1]) // 4) + extension[1]
    except struct.error as error:
        raise LocalProtocolError(f"a field is out of range: {error}") from None
    if packet.payload_type > 0x7F:
        raise LocalProtocolError("a payload type has 7 bits")
    tail = bytes(padding - 1) + bytes([padding]) if padding else b""
    return head + packet.payload + tail
