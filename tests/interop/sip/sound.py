"""Tones, and which tone something is."""

from __future__ import annotations

import numpy as np

from protocols.audio.g711 import Law, decode, encode
from protocols.rtp.clip import Clip

RATE = 8000
OURS_HZ = 1000
BARESIP_HZ = 440


def tone(seconds: float, hertz: int = OURS_HZ) -> Clip:
    """A tone to play."""
    times = np.arange(int(RATE * seconds)) / RATE
    return Clip(encode((8000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16), Law.ULAW))


def loudest_of_ulaw(data: bytes | bytearray) -> int:
    """The loudest tone of μ-law, to 10 Hz; 0 for silence."""
    return loudest(decode(bytes(data), Law.ULAW))


def loudest_of_pcm(data: bytes) -> int:
    """The same of samples of 16 bits."""
    return loudest(np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2"))


def loudest(samples: np.ndarray) -> int:
    """The same of samples."""
    if len(samples) < RATE // 10 or np.abs(samples).max() < 1000:
        return 0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return int(round(float(spectrum.argmax()) * RATE / len(samples), -1))
