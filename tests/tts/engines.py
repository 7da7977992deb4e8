"""Engines that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from tts.engine import Pcm, Voice


def beep(duration_s: float = 0.5, rate: int = 16_000) -> Pcm:
    """Half a second of a tone."""
    times = np.arange(int(duration_s * rate)) / rate
    return Pcm((8_000 * np.sin(2 * np.pi * 700 * times)).astype(np.int16), rate)


class Parrot:
    """Beeps, remembers what it was given, and raises what it is told to."""

    pre_emphasis = 0.0

    def __init__(
        self, name: str = "parrot", *, is_remote: bool = False, languages: Sequence[str] = ("en",)
    ) -> None:
        self.name = name
        self.is_remote = is_remote
        self.fingerprint = "1"
        self.voices = tuple(
            Voice(name, f"{language}-{number}", language)
            for language in languages
            for number in (1, 2)
        )
        self.said: list[tuple[str, str]] = []
        self.error: BaseException | None = None
        self.answer: Pcm = beep()
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.is_closed = False

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        self.said.append((voice.id, text))
        self.begun.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.answer

    async def close(self) -> None:
        self.is_closed = True
