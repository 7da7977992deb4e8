"""What a call on a trunk tells whoever made or took it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from protocols.rtp.events import MediaEvent
from protocols.rtp.leg import LegStatistics
from protocols.sip.events import EndCause
from protocols.sip.fields import Reason


@dataclass(frozen=True, slots=True)
class Ringing:
    """The other side is at it: 180 rings, 181 to 183 say other things on the way."""

    code: int


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """Sound comes before the answer: a tone, an announcement."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call stands, both sides are heard."""


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """How a transfer that we asked for goes; `code` 200 with `is_final`: it was made. `code` 0: the
    other side tells no more."""

    code: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The call is over; the last event. `code` and `phrase` are those of a refusal."""

    cause: EndCause
    code: int = 0
    phrase: str = ""
    talked_s: float = 0.0
    """Since the answer; 0 without one."""
    statistics: LegStatistics | None = None
    retry_after_s: float | None = None
    reasons: tuple[Reason, ...] = ()
    problem: str = ""
    """What was wrong on our side or with what the peer sent, in words."""

    @property
    def was_answered(self) -> bool:
        return self.talked_s > 0


CallEvent: TypeAlias = Ringing | EarlyMedia | Answered | TransferProgress | MediaEvent | CallEnd
