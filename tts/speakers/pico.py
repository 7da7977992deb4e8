"""Pico, in a worker process. It holds the interpreter while it speaks, and its text is markup."""

from __future__ import annotations

from typing import Final

from py_nanotts import NanoTTS

from tts.engine import MAX_AUDIO_S, TooLong
from tts.guard import guarded, plain
from tts.speakers import Answer, Handler
from tts.wire import Head

RATE: Final = 16_000


def load(speed: float, volume: float) -> Handler:
    """A handler of {"text", "voice"}; answers with {"rate"} and 16-bit samples."""

    def render(text: str, voice: str) -> bytes:
        spoken: bytes = NanoTTS().speak(text, voice=voice, speed=speed, volume=volume)
        return spoken

    def speak(head: Head, _: bytes) -> Answer:
        text, voice = guarded(head["text"]), head["voice"]
        try:
            audio = render(text, voice)
        except RuntimeError:
            audio = render(plain(text), voice)
        if len(audio) > MAX_AUDIO_S * RATE * 2:
            raise TooLong
        return {"rate": RATE}, audio

    return speak
