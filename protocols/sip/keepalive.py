"""Life signs of a connection (RFC 5626 sections 3.5.1 and 4.4.1), and its deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

PONG_S: Final = 10.0
"""How long a pong may take, from a peer that sends them."""


class Care(Enum):
    """What a connection needs now."""

    NOTHING = "nothing"
    PING = "a ping"
    CLOSE = "to be closed"


@dataclass(frozen=True, slots=True)
class Patience:
    """Deadlines in seconds."""

    first_s: float = 10.0
    """Until a caller's first whole message."""
    message_s: float = 20.0
    """For the rest of a message that has begun."""
    idle_s: float = 3_600.0
    """Without any message or ping."""
    answer_s: float = 32.0
    """After a request, until anything comes at all: 64*T1, when its sender gives up. A connection
    that was cut without a word may take bytes for much longer."""


class KeepAliver:
    """Watches one connection. Whether a peer answers pings is learned: before its first pong none
    is missed, since peers that do not know them ignore empty lines."""

    def __init__(
        self, now: float, *, ping_s: float, is_caller: bool, patience: Patience | None = None
    ) -> None:
        """`ping_s` 0: no pings, which are the part of who opened the connection. `is_caller`: the
        peer opened it, and has to say something."""
        self._patience = patience or Patience()
        self._ping_s = ping_s
        self._heard_at = now
        self._sent_at = now
        self._partial_since: float | None = None
        self._first_by = now + self._patience.first_s if is_caller else None
        self._pong_by: float | None = None
        self._answer_by: float | None = None
        self._has_ponged = False
        self._pinged_at: float | None = None
        self.why = ""
        """Why it is to be closed."""

    def heard(self, now: float, *, is_pong: bool = False) -> None:
        """A whole message, a ping or a pong came."""
        self._heard_at = now
        self._partial_since = None
        self._first_by = None
        self._answer_by = None
        if is_pong:
            asked_at = self._pinged_at
            self._has_ponged |= asked_at is not None and now <= asked_at + PONG_S
            self._pong_by = None

    def rest(self, now: float, *, has_rest: bool) -> None:
        """Whether the beginning of a message lies there."""
        if not has_rest:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = now

    def sent(self, now: float) -> None:
        """Something was sent: the next ping has time."""
        self._sent_at = now

    def carried(self, message: bytes, now: float) -> None:
        """A message was sent. To a request something has to come back; an ACK has no answer, and
        OPTIONS is dropped unread by some who live."""
        if self._answer_by is None and not message.startswith((b"SIP/", b"ACK ", b"OPTIONS ")):
            self._answer_by = now + self._patience.answer_s

    def due(self) -> float:
        """When to `check` next."""
        moments = [self._heard_at + self._patience.idle_s]
        if self._ping_s:
            moments.append(self._sent_at + self._ping_s)
        if self._partial_since is not None:
            moments.append(self._partial_since + self._patience.message_s)
        deadlines = self._first_by, self._pong_by, self._answer_by
        moments += [each for each in deadlines if each is not None]
        return min(moments)

    def check(self, now: float) -> Care:
        """What is due."""
        self.why = self._overdue(now)
        if self.why:
            return Care.CLOSE
        if self._ping_s and now >= self._sent_at + self._ping_s:
            self._sent_at = self._pinged_at = now
            if self._has_ponged and self._pong_by is None:
                self._pong_by = now + PONG_S
            return Care.PING
        return Care.NOTHING

    def _overdue(self, now: float) -> str:
        if self._pong_by is not None and now >= self._pong_by:
            return "pings are not answered any more"
        if self._first_by is not None and now >= self._first_by:
            return "nothing was said"
        if self._answer_by is not None and now >= self._answer_by:
            return "requests are not answered"
        partial = self._partial_since
        if partial is not None and now >= partial + self._patience.message_s:
            return "a message was not finished"
        if now >= self._heard_at + self._patience.idle_s:
            return "nothing was said for long"
        return ""
