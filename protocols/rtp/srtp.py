"""SRTP (RFC 3711) with the two suites of RFC 4568 that telephony uses; libsrtp does the work."""

from __future__ import annotations

from typing import Final

from pylibsrtp import Error, Policy, Session

from protocols.errors import LocalProtocolError
from protocols.rtp.packet import MAX_PACKET_BYTES, RtpError
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


class SrtpContext:
    """The two ways of one leg. What does not prove genuine, or comes twice, raises RtpError."""

    __slots__ = ("_keys", "_last", "_receiving", "_sending", "_streams")

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
        self._streams: dict[int, None] = {}
        self._last = -1
        if before is not None and old is not None and old.send == keys.send:
            self._sending = before._sending
        else:
            self._sending = Session(_policy(keys.send, Policy.SSRC_ANY_OUTBOUND, profile))
        if before is not None and old is not None and old.receive == keys.receive:
            self._receiving, self._streams = before._receiving, before._streams
        else:
            self._receiving = Session(_policy(keys.receive, Policy.SSRC_ANY_INBOUND, profile))

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
            raise RtpError(f"SRTP: {error}") from None
        self._keep(int.from_bytes(packet[8:12], "big"))
        return packet

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
        if ssrc == self._last:
            return
        self._last = ssrc
        self._streams.pop(ssrc, None)
        self._streams[ssrc] = None
        if len(self._streams) > MAX_STREAMS:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            self._receiving.remove_stream(oldest)


def _policy(key: bytes, direction: int, profile: int) -> Policy:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = REPLAY_WINDOW
    return policy
