"""From an engine's audio to what a telephone carries well.

Resampled to 8 kHz without aliases, cleared of what lies below the telephone's band, lifted where
consonants are if the engine needs it, brought to one level, freed of silence at its ends and given
a fixed one. What is measured is measured after the high-pass: what the listener's phone does not
play must not decide how loud the rest is.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from protocols.audio.g711 import RATE
from tts.engine import EngineError, Pcm

LOW_EDGE_HZ: Final = 300.0
LEVEL_DBFS: Final = -18.0
KNEE_DBFS: Final = -6.0
CEILING_DBFS: Final = -3.0
FLOOR_DBFS: Final = -50.0
"""What is quieter is silence at the ends."""
SILENT_DBFS: Final = -60.0
"""An engine whose active level is lower did not speak."""
LEAD_S: Final = 0.2
TRAIL_S: Final = 0.3

_FRAME: Final = RATE // 50
_ACTIVE_BELOW_LOUDEST_DB: Final = 30.0
_TAPS: Final = 256
_BLOCK: Final = 2048

Floats = NDArray[np.float32]


def to_phone(pcm: Pcm, pre_emphasis: float = 0.0) -> NDArray[np.int16]:
    """The samples to be played at 8 kHz. Takes about 2 ms for 18 s: not for the event loop.
    Whoever changes what comes out raises PHONE_AUDIO_VERSION.

    Raises EngineError for silence, of which an engine must be told that it does not speak.
    """
    floats = pcm.samples.astype(np.float32) * np.float32(1 / 32768)
    if pcm.rate != RATE:
        floats = soxr.resample(floats, pcm.rate, RATE, quality="HQ")
    shaped = _filtered(floats, _kernel(pre_emphasis))
    level = active_level(shaped)
    if level < _amplitude(SILENT_DBFS):
        raise EngineError("the engine's audio is silent")
    shaped *= _amplitude(LEVEL_DBFS) / level
    return _padded(_limited(shaped))


def active_level(samples: Floats) -> float:
    """The level while someone speaks: RMS of the 20 ms frames within 30 dB of the loudest."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    powers = np.einsum("ij,ij->i", frames, frames) / _FRAME
    if not len(powers) or powers.max() == 0:
        return 0.0
    active = powers[powers > powers.max() * 10 ** (-_ACTIVE_BELOW_LOUDEST_DB / 10)]
    return math.sqrt(float(active.mean()))


def _amplitude(level_dbfs: float) -> float:
    return float(10 ** (level_dbfs / 20))


def _limited(samples: Floats) -> Floats:
    """Bend what is over the knee below the ceiling, without an edge that would be heard."""
    knee, ceiling = _amplitude(KNEE_DBFS), _amplitude(CEILING_DBFS)
    sizes = np.abs(samples)
    (loud,) = np.nonzero(sizes > knee)
    bent = knee + (ceiling - knee) * np.tanh((sizes[loud] - knee) / (ceiling - knee))
    samples[loud] = np.copysign(bent, samples[loud])
    return samples


def _padded(samples: Floats) -> NDArray[np.int16]:
    """Cut the silence at the ends, and put as much there as a call needs."""
    (heard,) = np.nonzero(np.abs(samples) > _amplitude(FLOOR_DBFS))
    spoken = samples[heard[0] : heard[-1] + 1]
    lead, trail = int(LEAD_S * RATE), int(TRAIL_S * RATE)
    padded = np.zeros(lead + len(spoken) + trail, np.int16)
    padded[lead : lead + len(spoken)] = np.rint(spoken * 32767)
    return padded


def _filtered(samples: Floats, kernel: Floats) -> Floats:
    """Convolve by overlap-add: all blocks in one transform."""
    step = _BLOCK - len(kernel) + 1
    rows = -(-len(samples) // step)
    blocks = np.zeros((rows, step), np.float32)
    blocks.reshape(-1)[: len(samples)] = samples
    spectra = np.fft.rfft(blocks, _BLOCK, axis=1)
    spectra *= np.fft.rfft(kernel, _BLOCK)
    convolved = np.fft.irfft(spectra, _BLOCK, axis=1).astype(np.float32, copy=False)
    blocks[:] = convolved[:, :step]
    blocks[1:, : _BLOCK - step] += convolved[:-1, step:]
    return blocks.reshape(-1)[: len(samples)]


@lru_cache(maxsize=16)
def _kernel(pre_emphasis: float) -> Floats:
    """The response of a Butterworth high-pass of the fourth order, times 1 - pre_emphasis·z⁻¹.

    Its tail beyond 32 ms is 150 dB down, so that a filter with feedback, which numpy cannot run
    fast, becomes one without. No delay and no ringing before a sound, unlike a symmetric one.
    """
    response = [1.0] + [0.0] * (_TAPS - 2)
    for quality in (0.541196, 1.306563):
        response = _high_pass(response, quality)
    return np.convolve(response, [1.0, -pre_emphasis]).astype(np.float32)


def _high_pass(samples: list[float], quality: float) -> list[float]:
    """One section of the second order, by the bilinear transform."""
    turn = 2 * math.pi * LOW_EDGE_HZ / RATE
    alpha = math.sin(turn) / (2 * quality)
    gain = (1 + math.cos(turn)) / 2 / (1 + alpha)
    back1, back2 = 2 * math.cos(turn) / (1 + alpha), -(1 - alpha) / (1 + alpha)
    in1 = in2 = out1 = out2 = 0.0
    filtered = []
    for value in samples:
        out = gain * (value - 2 * in1 + in2) + back1 * out1 + back2 * out2
        in1, in2, out1, out2 = value, in1, out, out1
        filtered.append(out)
    return filtered
