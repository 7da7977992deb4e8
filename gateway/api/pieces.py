"""Long bodies, sent a piece at a time."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

PIECE_BYTES: Final = 65_536
SENDING_S: Final = 300.0
"""How long it may take to send a body: a connection of 64 kbit/s has two megabytes in that time."""


class Recorded(Protocol):
    """Speech to be listened to. `wav`: a whole file, in memory once for all who are sent it."""

    @property
    def wav(self) -> bytes: ...


class Pieces(Payload):
    """Some octets of a recording, of which no more is copied than its reader can take at once: many
    may be sent the same, and each may be slow.
    """

    def __init__(
        self, recording: Recorded, start: int, end: int, transport: asyncio.Transport | None
    ) -> None:
        """`transport` is cut off where the reader is too slow."""
        super().__init__(recording)
        self._recording = recording
        self._start, self._end = start, end
        self._size = end - start
        self._transport = transport

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the octets. Raises ConnectionError where the reader takes too long."""
        wav = self._recording.wav
        try:
            async with asyncio.timeout(SENDING_S):
                for at in range(self._start, self._end, PIECE_BYTES):
                    await writer.write(wav[at : min(at + PIECE_BYTES, self._end)])
                    await writer.drain()
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
            raise ConnectionResetError("the reader takes too long") from None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The octets as text."""
        return self._recording.wav[self._start : self._end].decode(encoding, errors)
