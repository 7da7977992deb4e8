"""Audio that came over a network, decoded in a worker process: it is a stranger's, the decoder C.

No resampling here: miniaudio's folds what lies above the new band into it.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import miniaudio
import numpy as np
from numpy.typing import NDArray

from protocols.audio import wav
from tts.engine import MAX_AUDIO_S, RATES, EngineError, TooLong
from tts.speakers import Answer, Handler
from tts.wire import Head

MAX_PARTS: Final = 64


def load() -> Handler:
    """A handler of {"format", "rate", "parts"}: the parts' lengths, which are decoded one by one
    and joined. `rate` says what raw PCM has; the others say it themselves."""
    return _decode


def _decode(head: Head, body: bytes) -> Answer:
    decoder = {"wav": _wav, "mp3": _mp3, "pcm": _pcm}[head["format"]]
    decoded, offset = [], 0
    if len(head["parts"]) > MAX_PARTS:
        raise EngineError("its audio comes in too many parts", is_temporary=False)
    for size in head["parts"]:
        decoded.append(decoder(body[offset : offset + size], head["rate"]))
        offset += size
    rates = {rate for _, rate in decoded}
    if len(rates) != 1 or (rate := rates.pop()) not in RATES:
        raise EngineError("its audio has a rate that is not spoken at")
    samples = sum(len(part) for part, _ in decoded)
    if samples > MAX_AUDIO_S * rate:
        raise TooLong
    if not samples:
        raise EngineError("its audio is empty")
    return {"rate": rate}, b"".join(chain(part.astype("<i2").tobytes() for part, _ in decoded))


def _wav(data: bytes, _: int) -> tuple[NDArray[np.int16], int]:
    try:
        read = wav.read(data, max_samples=int(MAX_AUDIO_S * RATES[-1]))
    except wav.WavError as error:
        raise EngineError(f"its audio is broken: {error}") from None
    return read.samples, read.rate


def _mp3(data: bytes, _: int) -> tuple[NDArray[np.int16], int]:
    try:
        read = miniaudio.mp3_read_s16(data)
    except miniaudio.DecodeError:
        raise EngineError("its audio is no MP3") from None
    samples = np.frombuffer(read.samples, np.int16)
    if read.nchannels > 1:
        samples = samples.reshape(-1, read.nchannels).mean(axis=1).astype(np.int16)
    return samples, read.sample_rate


def _pcm(data: bytes, rate: int) -> tuple[NDArray[np.int16], int]:
    return np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.int16), rate
