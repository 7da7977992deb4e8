"""Messages out of a byte stream: TCP and TLS (RFC 3261 section 18.3, RFC 5626 section 4.4.1)."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from protocols.sip.errors import SipError
from protocols.sip.grammar import unfold
from protocols.sip.limits import DEFAULT_LIMITS, Limits

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"

_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:[ \t]*+([0-9]{1,10})[ \t]*+(?=\r\n)", re.I
)
_ANY_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*+:", re.I)


class KeepAlive(Enum):
    """Between two messages: a ping is to be answered with PONG."""

    PING = "ping"
    PONG = "pong"


class StreamFramer:
    """Cuts what a connection brings into whole messages."""

    __slots__ = ("_buffer", "_limit", "_searched", "_size")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limit = limits.message_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._size = 0  # of the message under way, once its head is there

    @property
    def has_rest(self) -> bool:
        """Whether the beginning of something has come whose end has not."""
        return bool(self._buffer)

    def receive_data(self, data: bytes) -> list[bytes | KeepAlive]:
        """Take bytes in any pieces. Raises SipError when the framing is lost: no or no single
        Content-Length, or a message over the limit; the connection is then of no use."""
        self._buffer += data
        found: list[bytes | KeepAlive] = []
        while self._buffer:
            item = self._next()
            if item is None:
                break
            found.append(item)
        return found

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if not self._size:
            if buffer[:1] == b"\r":
                return self._keep_alive()
            end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
            self._searched = len(buffer)
            if end < 0 and len(buffer) > self._limit or end > self._limit:
                raise SipError("the message is too large", 513)
            if end < 0:
                return None
            self._size = end + 4 + self._content_length(bytes(buffer[: end + 2]))
            if self._size > self._limit:
                raise SipError("the message is too large", 513)
        if len(buffer) < self._size:
            return None
        message = bytes(buffer[: self._size])
        del buffer[: self._size]
        self._size = self._searched = 0
        return message

    def _keep_alive(self) -> KeepAlive | None:
        """CRLF CRLF is a ping; a single CRLF is a pong, once something else follows it or nothing
        does: a ping in two pieces then looks like two pongs, and is asked again."""
        buffer = self._buffer
        if len(buffer) == 1 or buffer[:4] in (b"\r\n\r",):
            return None
        if buffer[1:2] != b"\n":
            raise SipError("a line end out of place", 0)
        is_ping = buffer[:4] == PING
        del buffer[: 4 if is_ping else 2]
        return KeepAlive.PING if is_ping else KeepAlive.PONG

    @staticmethod
    def _content_length(head: bytes) -> int:
        head = unfold(head)
        lengths = _LENGTH.findall(head)
        if len(lengths) != 1 or len(_ANY_LENGTH.findall(head)) != 1:
            raise SipError("a message on a stream needs one Content-Length", 400)
        return int(lengths[0])
