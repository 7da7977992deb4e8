"""WAV files: what an engine answers with, and what a person downloads to hear.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE), Microsoft
"Multiple Channel Audio Data and WAVE Files" (WAVE_FORMAT_EXTENSIBLE). A file that was written as
it was made has no true sizes in its headers (0 or 0xFFFFFFFF): its samples go on to the end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.audio import g711
from protocols.audio.g711 import Law
from protocols.errors import RemoteProtocolError

WAVE_FORMAT_PCM: Final = 0x0001
WAVE_FORMAT_IEEE_FLOAT: Final = 0x0003
WAVE_FORMAT_ALAW: Final = 0x0006
WAVE_FORMAT_MULAW: Final = 0x0007
WAVE_FORMAT_EXTENSIBLE: Final = 0xFFFE

MAX_SAMPLES: Final = 48_000 * 600
MAX_CHANNELS: Final = 8
MAX_CHUNKS: Final = 64
RATES: Final = range(4_000, 192_001)

_TAGS: Final = {Law.ULAW: WAVE_FORMAT_MULAW, Law.ALAW: WAVE_FORMAT_ALAW}
_LAWS: Final = {tag: law for law, tag in _TAGS.items()}
_FORMAT: Final = struct.Struct("<HHIIHH")


class WavError(RemoteProtocolError):
    """Not a WAV file, or one that is broken, too long or of an unknown kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Wav:
    """What a file holds, as one channel of 16-bit samples."""

    samples: NDArray[np.int16]
    rate: int


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    rate: int
    bits: int


def read(data: bytes, *, max_samples: int = MAX_SAMPLES) -> Wav:
    """Read a file of PCM with 8, 16, 24 or 32 bits, float, μ-law or A-law; channels are mixed.

    Raises WavError for anything else, and for more than `max_samples` samples of a channel.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("not a WAV file")
    form: _Format | None = None
    offset = 12
    for _ in range(MAX_CHUNKS):
        if offset + 8 > len(data):
            break
        name = data[offset : offset + 4]
        size = int.from_bytes(data[offset + 4 : offset + 8], "little")
        offset += 8
        if name == b"fmt ":
            form = _read_format(data[offset : offset + size])
        elif name == b"data":
            if form is None:
                raise WavError("the samples come before their format")
            end = offset + size if size else len(data)
            return _read_samples(memoryview(data)[offset:end], form, max_samples)
        offset += size + size % 2
    raise WavError("the file has no samples")


def _read_format(chunk: bytes) -> _Format:
    if len(chunk) < _FORMAT.size:
        raise WavError("the format is cut short")
    tag, channels, rate, _, _, bits = _FORMAT.unpack_from(chunk)
    if tag == WAVE_FORMAT_EXTENSIBLE:
        if len(chunk) < 26:
            raise WavError("the extended format is cut short")
        tag = int.from_bytes(chunk[24:26], "little")
    if not 1 <= channels <= MAX_CHANNELS:
        raise WavError(f"the file has {channels} channels")
    if rate not in RATES:
        raise WavError(f"the file has {rate} samples a second")
    return _Format(tag, channels, rate, bits)


def _read_samples(data: memoryview, form: _Format, max_samples: int) -> Wav:
    frame_bytes = form.channels * form.bits // 8
    frames = len(data) // frame_bytes if frame_bytes else 0
    if frames > max_samples:
        raise WavError(f"the file has more than {max_samples} samples")
    samples = _to_int16(data[: frames * frame_bytes], form)
    if form.channels > 1:
        mixed = samples.reshape(-1, form.channels).mean(axis=1)
        samples = mixed.astype(np.int16)
    return Wav(samples, form.rate)


def _to_int16(data: memoryview, form: _Format) -> NDArray[np.int16]:
    kind = (form.tag, form.bits)
    if kind == (WAVE_FORMAT_PCM, 8):
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    if kind == (WAVE_FORMAT_PCM, 16):
        return np.frombuffer(data, "<i2").astype(np.int16)
    if kind == (WAVE_FORMAT_PCM, 24):
        octets = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return np.ascontiguousarray(octets[:, 1:]).view("<i2").ravel().astype(np.int16)
    if kind == (WAVE_FORMAT_PCM, 32):
        return (np.frombuffer(data, "<i4") >> 16).astype(np.int16)
    if form.tag == WAVE_FORMAT_IEEE_FLOAT and form.bits in {32, 64}:
        floats = np.nan_to_num(np.frombuffer(data, f"<f{form.bits // 8}").astype(np.float64))
        return (np.clip(floats, -1, 1) * 32767).astype(np.int16)
    if form.tag in _LAWS and form.bits == 8:
        return g711.decode(bytes(data), _LAWS[form.tag])
    raise WavError(f"the format {form.tag:#06x} with {form.bits} bits is unknown")


def write(samples: NDArray[np.int16], rate: int) -> bytes:
    """A file of 16-bit PCM, one channel."""
    form = _FORMAT.pack(WAVE_FORMAT_PCM, 1, rate, rate * 2, 2, 16)
    return _riff((b"fmt ", form), (b"data", np.ascontiguousarray(samples, "<i2").tobytes()))


def write_g711(data: bytes, law: Law, rate: int = g711.RATE) -> bytes:
    """A file of G.711 octets as they go over the telephone, one channel."""
    form = _FORMAT.pack(_TAGS[law], 1, rate, rate, 1, 8) + b"\0\0"
    return _riff((b"fmt ", form), (b"fact", struct.pack("<I", len(data))), (b"data", data))


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body
