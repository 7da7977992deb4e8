"""Two legs on a simulated wire and clock."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from random import Random
from typing import Any

from protocols.audio.g711 import Law
from protocols.rtp import dtmf
from protocols.rtp.events import MediaEvent
from protocols.rtp.incoming import LegLimits
from protocols.rtp.leg import Leg
from protocols.rtp.packet import RtpPacket, build, parse
from protocols.rtp.parameters import Address, MediaParameters, SrtpKeys

NETWORKS = (ip_network("192.0.2.0/24"),)
OURS: Address = ("192.0.2.1", 4000)
PEER: Address = ("192.0.2.2", 5000)
STRANGER: Address = ("198.51.100.1", 5000)
TICK_S = 0.005
AUDIO = bytes(n % 251 for n in range(1600))

PARAMETERS = MediaParameters(
    remote=PEER,
    law=Law.ULAW,
    payload_type=0,
    receive_types={0: Law.ULAW, 8: Law.ALAW},
    rtcp=(PEER[0], PEER[1] + 1),
    dtmf_payload_type=101,
    dtmf_receive_types=frozenset({101}),
)


def voice(n: int, mark: int = 7, ssrc: int = 9, payload_type: int = 0) -> bytes:
    """Packet `n` of a peer that speaks."""
    payload = bytes([mark]) * 160
    return build(RtpPacket(payload_type, n & 0xFFFF, n * 160 & 0xFFFFFFFF, ssrc, payload, n == 0))


def key(digit: str, n: int, timestamp: int, *, is_end: bool = False, ssrc: int = 9) -> bytes:
    """A packet of a key that is pressed."""
    event = dtmf.TelephoneEvent(dtmf.DIGITS.index(digit), is_end, 10, 160)
    return build(RtpPacket(101, n, timestamp, ssrc, dtmf.build(event)))


class Bench:
    """A leg, what it sent and told, and its clock."""

    def __init__(self, seed: int = 1, limits: LegLimits | None = None, **changes: Any) -> None:
        self.sent: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.events: list[MediaEvent] = []
        self.frames: list[bytes] = []
        self.tick = 0
        self.leg = Leg(
            *OURS,
            NETWORKS,
            self.events.append,
            transmit=self.sent.append,
            transmit_rtcp=self.rtcp.append,
            limits=limits or LegLimits(),
            random=Random(seed),  # noqa: S311
            epoch_s=2_208_988_800.0 + 1.8e9,
        )
        self.leg.start(replace(PARAMETERS, **changes), self.now)

    @property
    def now(self) -> float:
        return self.tick * TICK_S

    @property
    def packets(self) -> list[RtpPacket]:
        return [parse(each) for each in self.sent]

    def run(self, frames: int, ticks: int = 4) -> None:
        """Let so many packet times of `ticks` ticks pass."""
        for _ in range(frames):
            self.leg.turn(self.tick)
            self.leg.pull()
            self.leg.check(self.now)
            self.tick += ticks

    def listen(self) -> None:
        self.leg.add_tap(self.frames.append)

    def hear(self, data: bytes, source: Address = PEER) -> None:
        self.leg.receive(data, source, self.now)


def keys(suite: str) -> tuple[SrtpKeys, SrtpKeys]:
    """The keys of a call of this suite: ours and the peer's."""
    one, two = bytes(range(30)), bytes(range(30, 60))
    return SrtpKeys(suite, send=one, receive=two), SrtpKeys(suite, send=two, receive=one)
