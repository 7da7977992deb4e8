"""Pico: small, quick, six voices, needs nothing but itself. The default."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tts.confine import Limits
from tts.engine import Pcm, Voice
from tts.pool import WorkerPool

_VOICES: Final = (
    ("en-US", "en", "American English"),
    ("en-GB", "en", "British English"),
    ("es-ES", "es", "Spanish"),
    ("fr-FR", "fr", "French"),
    ("de-DE", "de", "German"),
    ("it-IT", "it", "Italian"),
)


class PicoEngine:
    """SVOX Pico. Spoken a little slower than its default, numbers digit by digit slower still, and
    at half its volume, at which it does not clip. `workers`: processes, 0 for one a processor but
    one."""

    name = "pico"
    is_remote = False
    pre_emphasis = 0.7
    voices = tuple(Voice("pico", *each) for each in _VOICES)

    def __init__(
        self,
        *,
        workers: int = 0,
        queue: int = 256,
        timeout_s: float = 10.0,
        speed: float = 0.9,
        digit_speed: float = 0.8,
        volume: float = 0.5,
    ) -> None:
        self.fingerprint = f"{_version()},{speed:g},{digit_speed:g},{volume:g}"
        options = {"speed": speed, "digit_speed": digit_speed, "volume": volume}
        self._pool = WorkerPool(
            "pico", options, workers=workers, queue=queue, timeout_s=timeout_s, limits=Limits()
        )

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        """Speak, in a worker process."""
        return await self._pool.speech({"text": text, "voice": voice.id})

    async def telephone(self, text: str, voice: Voice, law: str) -> bytes:
        """Speak as a telephone carries it, in a worker process."""
        asked = {"text": text, "voice": voice.id}
        return await self._pool.telephone(asked, law=law, pre_emphasis=self.pre_emphasis)

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


def _version() -> str:
    try:
        return version("py-nanotts")
    except PackageNotFoundError:  # the worker will say so
        return "none"
