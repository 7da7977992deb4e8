"""What two sides agreed on for one audio stream: the outcome of SDP, the input of a leg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from protocols.audio.g711 import Law

RATE: Final = 8000
"""The RTP clock of every payload type here, in ticks a second."""
FRAME_S: Final = 0.02
FRAME_BYTES: Final = 160
"""A frame: 20 ms of G.711."""

Address: TypeAlias = tuple[str, int]
"""An IP address as text, and a port."""


class Direction(Enum):
    """The direction of a stream, seen from us (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def is_sending(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def is_receiving(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def reversed(self) -> Direction:
        """The same direction seen from the other side."""
        return _REVERSED.get(self, self)

    @classmethod
    def of(cls, is_sending: bool, is_receiving: bool) -> Direction:
        """The direction that sends and receives as told."""
        if is_sending:
            return cls.SENDRECV if is_receiving else cls.SENDONLY
        return cls.RECVONLY if is_receiving else cls.INACTIVE


_REVERSED: Final = {
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
}


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """The agreed suite of RFC 4568 and the master key and salt of each way, 30 octets each."""

    suite: str
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MediaParameters:
    """One audio stream as agreed. Payload types of `send` kind are the peer's numbers, those of
    `receive` kind ours: the two may differ (RFC 3264 section 5.1)."""

    remote: Address | None
    """Where the peer wants its media; None when it named no place (the hold of RFC 2543)."""
    law: Law
    payload_type: int
    receive_types: Mapping[int, Law]
    rtcp: Address | None = None
    """Where the peer wants RTCP; None with `is_rtcp_mux`, or when it wants none."""
    dtmf_payload_type: int | None = None
    dtmf_receive_types: frozenset[int] = frozenset()
    ptime_ms: int = 20
    direction: Direction = Direction.SENDRECV
    is_rtcp_mux: bool = False
    keys: SrtpKeys | None = None

    @property
    def is_sending(self) -> bool:
        """Whether our media may go to the peer."""
        return self.remote is not None and self.direction.is_sending

    @property
    def is_receiving(self) -> bool:
        """Whether the peer's media is to be expected."""
        return self.direction.is_receiving
