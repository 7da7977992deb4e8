"""G.711: the two laws of 8 kHz telephone audio, by table.

Sources: ITU-T G.711 tables 1a to 2b, RFC 3551 §4.5.14 (PCMU, PCMA). Both laws are defined on short
samples, μ-law on 14 bits and A-law on 13; samples of 16 bits lose their lowest bits first, as
every common implementation has it, so that the octets are the same as theirs for all inputs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 8000
"""Samples, and so octets, a second."""

_BIAS: Final = 33
_CLIP: Final = 8159
_SEGMENTS: Final = 8


class Law(StrEnum):
    """How a sample becomes an octet."""

    ULAW = "ulaw"
    """North America and Japan."""
    ALAW = "alaw"
    """Elsewhere."""

    @property
    def payload_type(self) -> int:
        """The static RTP payload type (RFC 3551 §6)."""
        return 0 if self is Law.ULAW else 8

    @property
    def silence(self) -> int:
        """The octet of the sample 0."""
        return 0xFF if self is Law.ULAW else 0xD5


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    """The octets of 16-bit samples, one each."""
    unsigned = np.ascontiguousarray(samples, np.int16).view(np.uint16)
    return _ENCODING[law].take(unsigned, mode="wrap").tobytes()


def decode(data: bytes, law: Law) -> NDArray[np.int16]:
    """The 16-bit samples of octets, one each."""
    return _DECODING[law][np.frombuffer(data, np.uint8)]


def _segment(magnitudes: NDArray[np.int32], first_end: int) -> NDArray[np.int32]:
    """The segment of each magnitude, whose ends double from `first_end`; 8 is beyond the last."""
    ends = [((first_end + 1) << n) - 1 for n in range(_SEGMENTS)]
    return np.searchsorted(ends, magnitudes, side="left").astype(np.int32)


def _encode_ulaw(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    short = samples >> 2
    magnitudes = np.minimum(np.abs(short), _CLIP) + _BIAS
    segments = _segment(magnitudes, 0x3F)
    codes = segments << 4 | magnitudes >> (segments + 1) & 0xF
    codes = np.where(segments >= _SEGMENTS, 0x7F, codes)
    return (codes ^ np.where(short < 0, 0x7F, 0xFF)).astype(np.uint8)


def _decode_ulaw(octets: NDArray[np.int32]) -> NDArray[np.int16]:
    codes = ~octets & 0xFF
    magnitudes = (((codes & 0xF) << 3) + 0x84 << (codes >> 4 & 7)) - 0x84
    return np.where(codes & 0x80, -magnitudes, magnitudes).astype(np.int16)


def _encode_alaw(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    short = samples >> 3
    magnitudes = np.where(short < 0, -short - 1, short)
    segments = _segment(magnitudes, 0x1F)
    codes = segments << 4 | magnitudes >> np.maximum(segments, 1) & 0xF
    codes = np.where(segments >= _SEGMENTS, 0x7F, codes)
    return (codes ^ np.where(short < 0, 0x55, 0xD5)).astype(np.uint8)


def _decode_alaw(octets: NDArray[np.int32]) -> NDArray[np.int16]:
    codes = octets ^ 0x55
    segments = codes >> 4 & 7
    magnitudes = ((codes & 0xF) << 4) + 8
    magnitudes = np.where(segments, magnitudes + 0x100 << np.maximum(segments - 1, 0), magnitudes)
    return np.where(codes & 0x80, magnitudes, -magnitudes).astype(np.int16)


_SAMPLES: Final = np.arange(0x10000, dtype=np.uint16).view(np.int16).astype(np.int32)
_OCTETS: Final = np.arange(0x100, dtype=np.int32)
_ENCODING: Final = {Law.ULAW: _encode_ulaw(_SAMPLES), Law.ALAW: _encode_alaw(_SAMPLES)}
_DECODING: Final = {Law.ULAW: _decode_ulaw(_OCTETS), Law.ALAW: _decode_alaw(_OCTETS)}
