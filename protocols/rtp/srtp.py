"""SRTP (RFC 3711) with the two suites of RFC 4568 that telephony uses; libsrtp does the work."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pylibsrtp import Error, Policy, Session

from protocols.errors import LocalProtocolError
from protocols.rtp.packet import HEADER, MAX_PACKET_BYTES, RtpError
from protocols.rtp.parameters import SrtpKeys

KEY_BYTES: Final = 30
"""A master key of 16 octets and a salt of 14."""
AES_CM_128_HMAC_SHA1_80: Final = "AES_CM_128_HMAC_SHA1_80"
AES_CM_128_HMAC_SHA1_32: Final = "AES_CM_128_HMAC_SHA1_32"
SUITES: Final = {
    AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
REPLAY_WINDOW: Final = 128
"""Packets. RFC 3711 section 3.3.2 asks for 64 at least."""
MAX_STREAMS: Final = 16
"""SSRCs of one peer whose counting is kept; the one unheard for longest makes way."""


_STRIDE: Final = 0x4000
"""A step of the numbers that is surely a step forward."""
_BEHIND: Final = 0x1000
"""So far behind the last packet a counting is resumed: none of the next is taken for a copy."""
_RESUMABLE: Final = range(1 << 16, 1 << 22)
"""Highest numbers that have wrapped, and that a telephone call can have reached: 23 hours."""


class SrtpContext:
    """The two ways of one leg. What does not prove genuine, or comes twice, raises RtpError.

    How often the numbers have wrapped is part of the cipher. A new key must not reset it (RFC 3711
    section 3.3.1), but many peers begin anew with it; after such a change the first packet that
    proves genuine either way decides.
    """

    __slots__ = (
        "_keys", "_last", "_receiving", "_resumed", "_rolled", "_sending", "_streams",
    )  # fmt: skip

    def __init__(self, keys: SrtpKeys, before: SrtpContext | None = None) -> None:
        """A way whose key is that of `before` goes on where that was, its counting included. Raises
        LocalProtocolError for keys that fit no suite."""
        if keys.suite not in SUITES or {len(keys.send), len(keys.receive)} != {KEY_BYTES}:
            raise LocalProtocolError(f"no keys for the suite {keys.suite!r}")
        profile = SUITES[keys.suite]
        old = before._keys if before is not None and before._keys.suite == keys.suite else None
        self._keys: SrtpKeys = keys
        self._sending: Session
        self._receiving: Session
        self._streams: dict[int, int] = {}
        """The highest number of each SSRC, wraps included; -1 when only its RTCP came."""
        self._last = -1
        self._rolled: tuple[int, int] | None = None
        self._resumed: Session | None = None
        if before is not None and old is not None and old.send == keys.send:
            self._sending = before._sending
        else:
            self._sending = Session(_policy(keys.send, Policy.SSRC_ANY_OUTBOUND, profile))
        if before is not None and old is not None and old.receive == keys.receive:
            self._receiving, self._streams = before._receiving, before._streams
            self._last, self._rolled = before._last, before._rolled
        else:
            self._receiving = Session(_policy(keys.receive, Policy.SSRC_ANY_INBOUND, profile))
            self._rolled = before._rolling() if before is not None else None

    @property
    def streams(self) -> int:
        """SSRCs of the peer that are kept."""
        return len(self._streams)

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet made secret."""
        try:
            return self._sending.protect(packet)
        except Error as error:
            raise LocalProtocolError(f"SRTP cannot send: {error}") from None

    def unprotect(self, data: bytes) -> bytes:
        """The RTP packet in a datagram."""
        if len(data) > MAX_PACKET_BYTES:
            raise RtpError("the packet is longer than any of ours")
        try:
            packet = self._receiving.unprotect(data)
        except Error as error:
            packet = self._resume(data)
            if not packet:
                raise RtpError(f"SRTP: {error}") from None
        self._rolled = self._resumed = None
        self._count(packet)
        return packet

    def _resume(self, data: bytes) -> bytes:
        """The packet, if it goes on with the wraps that were counted under the key before."""
        if self._rolled is None or int.from_bytes(data[8:12], "big") != self._rolled[0]:
            return b""
        if self._resumed is None:
            self._resumed = _resumed(self._keys, *self._rolled)
        with suppress(Error):
            packet = self._resumed.unprotect(data)
            self._receiving = self._resumed
            self._streams = dict((self._rolled,))
            return packet
        return b""

    def _rolling(self) -> tuple[int, int] | None:
        """The stream that was heard last and its highest number, if that has wrapped."""
        index = self._streams.get(self._last, -1)
        return (self._last, index) if index in _RESUMABLE else self._rolled

    def _count(self, packet: bytes) -> None:
        ssrc = int.from_bytes(packet[8:12], "big")
        if ssrc != self._last:
            self._keep(ssrc)
        index, sequence = self._streams[ssrc], int.from_bytes(packet[2:4], "big")
        step = sequence - index & 0xFFFF
        if index < 0:
            self._streams[ssrc] = sequence
        elif step < 0x8000:
            self._streams[ssrc] = index + step

    def protect_rtcp(self, packet: bytes) -> bytes:
        """An RTCP compound made secret."""
        try:
            return self._sending.protect_rtcp(packet)
        except Error as error:
            raise LocalProtocolError(f"SRTCP cannot send: {error}") from None

    def unprotect_rtcp(self, data: bytes) -> bytes:
        """The RTCP compound in a datagram."""
        if len(data) > MAX_PACKET_BYTES:
            raise RtpError("the packet is longer than any of ours")
        try:
            packet = self._receiving.unprotect_rtcp(data)
        except Error as error:
            raise RtpError(f"SRTCP: {error}") from None
        self._keep(int.from_bytes(packet[4:8], "big"))
        return packet

    def _keep(self, ssrc: int) -> None:
        """The library makes a stream for every SSRC, and searches them one by one."""
        self._last = ssrc
        self._streams[ssrc] = self._streams.pop(ssrc, -1)
        if len(self._streams) > MAX_STREAMS:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            with suppress(Error):
                self._receiving.remove_stream(oldest)


def _policy(key: bytes, direction: int, profile: int) -> Policy:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = REPLAY_WINDOW
    return policy


def _resumed(keys: SrtpKeys, ssrc: int, index: int) -> Session:
    """A way that receives with a fresh key but goes on counting from `index`. The library lets
    nobody set its counters, so it is shown packets that the peer could have sent."""
    profile = SUITES[keys.suite]
    receiving = Session(_policy(keys.receive, Policy.SSRC_ANY_INBOUND, profile))
    forging = Session(_policy(keys.receive, Policy.SSRC_ANY_OUTBOUND, profile))
    end = index - _BEHIND
    for number in (*range(0, end, _STRIDE), end):
        receiving.unprotect(forging.protect(HEADER.pack(0x80, 0, number & 0xFFFF, 0, ssrc)))
    return receiving
