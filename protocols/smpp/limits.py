"""What a session allows its peer: sizes and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.smpp.pdu import MAX_PDU_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us hold. Greatest length of a PDU; requests taken and not yet answered
    by `respond`, beyond which the peer gets ESME_RTHROTTLED for a submit_sm and ESME_RMSGQFUL for a
    deliver_sm."""

    pdu_bytes: int = MAX_PDU_BYTES
    unanswered: int = 1_000


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers of section 7.2, in seconds."""

    session_init_s: float = 5.0
    """SMSC role: from the connection to the accepted bind."""
    response_s: float = 30.0
    """From a bind, submit_sm or deliver_sm to its response. When it runs out the session is closed,
    so that no late answer comes on a living session. A shorter time makes doubles of what a slow
    carrier has in hand: a dead one is found by enquire_link."""
    enquire_s: float = 30.0
    """Silence of the peer before we send enquire_link."""
    control_response_s: float = 10.0
    """From an enquire_link or unbind to its response."""


DEFAULT_LIMITS: Final = Limits()
DEFAULT_TIMERS: Final = Timers()
