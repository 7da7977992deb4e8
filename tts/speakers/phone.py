"""Telephone audio of what a worker has spoken or decoded, before it leaves the worker."""

from __future__ import annotations

import numpy as np

from protocols.audio import g711
from protocols.audio.g711 import Law
from tts.engine import Pcm
from tts.phone_audio import to_phone
from tts.speakers import Answer


def telephone(audio: bytes, rate: int, *, law: str, pre_emphasis: float) -> Answer:
    """{"law"} and octets of G.711, of 16-bit samples. Raises EngineError for silence."""
    pcm = Pcm(np.frombuffer(audio, "<i2"), rate)
    return {"law": law}, g711.encode(to_phone(pcm, pre_emphasis), Law(law))
