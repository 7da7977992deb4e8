"""Pico, in a worker process. It holds the interpreter while it speaks, and its text is markup."""

from __future__ import annotations

import re
from typing import Final

from py_nanotts import NanoTTS

from tts.engine import MAX_AUDIO_S, TooLong
from tts.guard import guarded, plain
from tts.speakers import Answer, Handler
from tts.wire import Head

RATE: Final = 16_000

_DIGITS: Final = {
    "en": "zero one two three four five six seven eight nine",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
}
_RUNS: Final = {
    language: re.compile(r"\b(?:{0})(?:[ ,.]+(?:{0})\b){{2,}}".format("|".join(words.split())))
    for language, words in _DIGITS.items()
}
"""Three digits and more, one after another: phone numbers, orders, codes."""


def load(speed: float, digit_speed: float, volume: float) -> Handler:
    """A handler of {"text", "voice"}; answers with {"rate"} and 16-bit samples.

    Digits that follow each other are spoken at `digit_speed`: nothing else in a sentence tells what
    one of them was that got lost.
    """

    def render(text: str, voice: str) -> bytes:
        spoken: bytes = NanoTTS().speak(
            _marked(text, voice, speed, digit_speed), voice=voice, speed=speed, volume=volume
        )
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


def _marked(text: str, voice: str, speed: float, digit_speed: float) -> str:
    """The only markup that Pico ever has, of a text that cannot hold any. The end of an element is
    not the speed before it but Pico's own, so that ours is told again."""
    if (runs := _RUNS.get(voice[:2])) is None:
        return text
    slow, fast = (f'<speed level="{each * 100:.0f}">' for each in (digit_speed, speed))
    return runs.sub(rf"{slow}\g<0></speed>{fast}", text)
