"""The sound of a call from one description to the next."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from gateway.voice.call_sound import CallSound
from protocols.rtp.latch import Network
from protocols.rtp.leg import Leg
from protocols.rtp.parameters import MediaParameters
from protocols.rtp.ports import PortPool
from protocols.rtp.transport import MediaEngine
from protocols.sip.sdp_audio import AudioPolicy

HOST = "127.0.0.1"
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Engine(MediaEngine):
    """An engine that tells what it was last told to do."""

    told: MediaParameters

    def start(self, leg: Leg, parameters: MediaParameters) -> None:
        self.told = parameters
        super().start(leg, parameters)


class Host:
    """A trunk on loopback."""

    def __init__(self) -> None:
        self.media = Engine(HOST, PortPool(20_000, 39_999))
        self.policy = AudioPolicy(LOOPBACK)
        self.media_networks: Sequence[Network] = LOOPBACK
        self.media_address = HOST


def sound(port: int) -> bytes:
    """A far end's description; port 0 takes its audio back (RFC 3264 section 8.2)."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0"]
    return "\r\n".join([*lines, f"m=audio {port} RTP/AVP 0", ""]).encode()


async def test_audio_that_the_peer_takes_back_is_neither_sent_nor_awaited() -> None:
    """Its port may be another's by then; an offer with audio brings it back."""
    host = Host()
    made = CallSound(host, lambda event: None)
    for port, flows in ((39_998, True), (0, False), (39_998, True)):
        made.answer(sound(port))
        assert (host.media.told.is_sending, host.media.told.is_receiving) == (flows, flows)
        assert (made.leg.rtcp_destination is not None) is flows
    made.close()
    host.media.close()


async def test_audio_that_the_peer_refuses_later_is_not_sent() -> None:
    """By its answer to an offer of ours within the call."""
    host = Host()
    made = CallSound(host, lambda event: None)
    for port, flows in ((39_998, True), (0, False)):
        made.offer()
        assert made.agree(sound(port), is_final=True) is flows
        assert host.media.told.is_sending is flows
        made.withdraw()
    made.close()
    host.media.close()
