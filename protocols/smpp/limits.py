"""What a session allows its peer: sizes and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.smpp.pdu import MAX_PDU_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us hold."""

    pdu_bytes: int = MAX_PDU_BYTES
    """Greatest length of a PDU."""
    unanswered: int = 1_000
    """Requests taken and not yet answered by the owner, beyond which an ESME gets ESME_RTHROTTLED
    and an SMSC ESME_RMSGQFUL."""
    pause_at: int | None = None
    """Unanswered requests at which the connection stops reading, until half of them are answered;
    well below `unanswered`, since what has been read already still comes. None: it goes on
    reading."""


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers of section 7.2, in seconds."""

    session_init_s: float = 5.0
    """SMSC role: from the connection to the accepted bind. An ESME that listens: from the
    connection to the outbind."""
    response_s: float = 30.0
    """From a request to its response. When it runs out the session is closed, so that no late
    answer comes on a living session. A shorter time makes doubles of what a slow carrier has in
    hand: a dead one is found by enquire_link."""
    enquire_s: float = 30.0
    """Silence of the peer before we send enquire_link."""
    control_response_s: float = 10.0
    """From an enquire_link or unbind to its response."""
    inactivity_s: float | None = None
    """Time without a message either way before we unbind; enquire_link does not count. None:
    never."""


DEFAULT_LIMITS: Final = Limits()
DEFAULT_TIMERS: Final = Timers()
