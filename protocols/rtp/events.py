"""What a leg tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from protocols.rtp.parameters import Address


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The first packet of the peer was taken; only `source` is heard from now on. Comes again after
    a re-INVITE that moved the peer's media, or a hold during which it moved."""

    source: Address


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """The peer pressed a key: 0-9, *, #, A-D. Each press is told once, when it begins."""

    digit: str


@dataclass(frozen=True, slots=True)
class DigitsSent:
    """The last of the digits that waited has left, or will not: the peer takes none any more."""


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    """A clip has left, or was stopped; `token` is what `play` was given."""

    token: object
    is_complete: bool
    played_s: float


@dataclass(frozen=True, slots=True)
class MediaLost:
    """Neither media nor reports came for `silent_s` although some should."""

    silent_s: float


@dataclass(frozen=True, slots=True)
class MediaResumed:
    """After `MediaLost`: packets come again, or a new agreement made the wait void."""


@dataclass(frozen=True, slots=True)
class SourceStopped:
    """The peer said by RTCP BYE that its stream ended. A hint only: SIP ends a call."""


MediaEvent: TypeAlias = (
    MediaStarted
    | DigitReceived
    | DigitsSent
    | PlaybackEnded
    | MediaLost
    | MediaResumed
    | SourceStopped
)
