"""Audio from engines elsewhere: decoded in a worker process, never here."""

from __future__ import annotations

from typing import Final, Literal

from tts.confine import Limits
from tts.engine import Pcm
from tts.pool import Body, WorkerPool
from tts.wire import Head

AudioFormat = Literal["wav", "mp3", "pcm"]

MAX_ENCODED_BYTES: Final = 12 << 20
"""What two minutes at 48 kHz may take, and a little."""


class Decoder:
    """Decodes for all engines elsewhere together."""

    def __init__(self, *, workers: int = 1, queue: int = 64, timeout_s: float = 10.0) -> None:
        self._pool = WorkerPool(
            "decode", {}, workers=workers, queue=queue, timeout_s=timeout_s, limits=Limits()
        )

    async def decode(self, parts: Body, audio_format: AudioFormat, rate: int = 24_000) -> Pcm:
        """What the parts hold, one after the other. `rate` is that of raw PCM.

        Raises EngineError for what is broken, silent on what it is, empty or too long.
        """
        return await self._pool.speech(_head(parts, audio_format, rate), parts)

    async def telephone(
        self, parts: Body, audio_format: AudioFormat, law: str, rate: int = 24_000
    ) -> bytes:
        """The same as octets of G.711, fit for the telephone."""
        head = _head(parts, audio_format, rate)
        return await self._pool.telephone(head, parts, law=law)

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


def _head(parts: Body, audio_format: AudioFormat, rate: int) -> Head:
    return {"format": audio_format, "rate": rate, "parts": [len(part) for part in parts]}
