"""The sound of one call: its ports, and what both sides agreed on."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from protocols.errors import LocalProtocolError
from protocols.rtp.events import MediaEvent
from protocols.rtp.latch import Network
from protocols.rtp.leg import Leg, LegStatistics
from protocols.rtp.parameters import Direction, MediaParameters
from protocols.rtp.transport import MediaEngine
from protocols.sip.errors import SipError
from protocols.sip.fields import Body
from protocols.sip.sdp_audio import AudioPolicy
from protocols.sip.sdp_offer import Negotiation

SDP: Final = "application/sdp"


class SoundHost(Protocol):
    """What a trunk allows, and where its sound is."""

    media: MediaEngine

    @property
    def policy(self) -> AudioPolicy: ...

    @property
    def media_networks(self) -> Sequence[Network]: ...

    @property
    def media_address(self) -> str: ...


class CallSound:
    """Ports and negotiation, from the first description to the last."""

    def __init__(self, host: SoundHost, on_media: Callable[[MediaEvent], None]) -> None:
        """Raises PortsExhaustedError, OSError."""
        self._media = host.media
        self.leg: Leg = host.media.open(host.media_networks, on_media)
        self.problem = ""
        """Why the last agreement did not come about."""
        self._negotiation = Negotiation(
            host.policy,
            address=host.media_address,
            port=self.leg.port,
            session_id=secrets.randbits(31),
        )

    @property
    def parameters(self) -> MediaParameters | None:
        return self._negotiation.parameters

    def offer(self) -> Body:
        """Our offer."""
        return Body(SDP, self._negotiation.offer())

    def answer(self, offer: bytes) -> Body:
        """Our answer to the peer's offer. Raises SipError when there is nothing to agree on, and
        LocalProtocolError, OSError."""
        before = self._negotiation.parameters
        answer, parameters = self._negotiation.answer(offer)
        if parameters is not None:
            self._media.start(self.leg, parameters)
        elif before is not None:
            self._media.start(self.leg, _ended(before))
        return Body(SDP, answer)

    def agree(self, answer: bytes, *, is_final: bool) -> bool:
        """Take the peer's answer to our offer; whether sound flows now."""
        before = self._negotiation.parameters
        try:
            parameters = self._negotiation.take_answer(answer)
            if parameters is None:
                self.problem = "the other side takes no sound"
                if before is not None:
                    self._media.start(self.leg, _ended(before))
                return False
            if is_final:
                self._negotiation.confirm()
            self._media.start(self.leg, parameters)
        except (SipError, LocalProtocolError, OSError) as fault:
            self.problem = str(fault)
            return False
        self.problem = ""
        return True

    def withdraw(self) -> None:
        """Our offer came to nothing."""
        self._negotiation.withdraw()

    def close(self) -> LegStatistics:
        """Give the ports back."""
        return self._media.close_leg(self.leg)


def _ended(stream: MediaParameters) -> MediaParameters:
    """The stream once the other side has taken it back: its port may be another's by now."""
    return replace(stream, direction=Direction.INACTIVE, remote=None, rtcp=None)
