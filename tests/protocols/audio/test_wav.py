"""WAV files: what is read and written, and what is refused."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.audio.g711 import Law, decode, encode
from protocols.audio.wav import Wav, WavError, read, write, write_g711
from protocols.errors import RemoteProtocolError

SAMPLES = np.array([0, 1, -1, 1000, -1000, 32767, -32768], np.int16)


def file(
    tag: int, bits: int, data: bytes, *, channels: int = 1, rate: int = 8000, size: int = -1
) -> bytes:
    """A file with one format and one data chunk; `size`: what the headers claim."""
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    length = struct.pack("<I", len(data) if size < 0 else size)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + length + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_written_files_are_read_by_others() -> None:
    """Python's own reader sees what was written."""
    with wave.open(io.BytesIO(write(SAMPLES, 16_000))) as theirs:
        assert (theirs.getnchannels(), theirs.getsampwidth()) == (1, 2)
        assert theirs.getframerate() == 16_000
        assert theirs.readframes(100) == SAMPLES.tobytes()


def test_files_of_others_are_read() -> None:
    """What Python's own writer writes is read."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as theirs:
        theirs.setparams((1, 2, 22_050, 0, "NONE", ""))
        theirs.writeframes(SAMPLES.tobytes())
    ours = read(buffer.getvalue())
    assert ours.rate == 22_050
    assert ours.samples.tolist() == SAMPLES.tolist()


@pytest.mark.parametrize("law", Law)
def test_g711_survives(law: Law) -> None:
    """A file of G.711 octets is read as the samples that they stand for."""
    octets = encode(SAMPLES, law)
    ours = read(write_g711(octets, law))
    assert ours.rate == 8000
    assert ours.samples.tolist() == decode(octets, law).tolist()


@pytest.mark.parametrize(
    ("tag", "bits", "data", "expected"),
    [
        (1, 8, bytes([0, 128, 255]), [-32768, 0, 32512]),
        (1, 24, b"\x00\x00\x80\xff\xff\x7f", [-32768, 32767]),
        (1, 32, struct.pack("<2i", -(2**31), 2**31 - 1), [-32768, 32767]),
        (3, 32, struct.pack("<4f", -1.0, 0.0, 2.0, float("nan")), [-32767, 0, 32767, 0]),
        (3, 64, struct.pack("<2d", 0.5, float("-inf")), [16383, -32767]),
    ],
)
def test_formats(tag: int, bits: int, data: bytes, expected: list[int]) -> None:
    """Every common format becomes 16-bit samples."""
    assert read(file(tag, bits, data)).samples.tolist() == expected


def test_channels_are_mixed() -> None:
    """Two channels become their mean."""
    data = struct.pack("<4h", 100, 300, -100, -300)
    assert read(file(1, 16, data, channels=2)).samples.tolist() == [200, -200]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_streamed_files(size: int) -> None:
    """A file whose length was not known when it began goes on to its end."""
    assert read(file(1, 16, SAMPLES.tobytes(), size=size)).samples.tolist() == SAMPLES.tolist()


def test_half_a_sample_is_dropped() -> None:
    """A file that was cut within a sample is read up to it."""
    assert read(file(1, 16, SAMPLES.tobytes()[:-1])).samples.tolist() == SAMPLES.tolist()[:-1]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a WAV file"),
        (b"ID3" + b"\0" * 40, "not a WAV file"),
        (write(SAMPLES, 8000)[:30], "cut short"),
        (write(SAMPLES, 8000)[:40], "no samples"),
        (file(0x55, 16, b"\0\0"), "unknown"),
        (file(1, 12, b"\0\0"), "unknown"),
        (file(1, 0, b"\0\0"), "unknown"),
        (file(1, 16, b"\0\0", channels=0), "0 channels"),
        (file(1, 16, b"\0\0", channels=200), "200 channels"),
        (file(1, 16, b"\0\0", rate=1), "1 samples a second"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "before their format"),
    ],
)
def test_refused(data: bytes, why: str) -> None:
    """What cannot be read is refused with the reason."""
    with pytest.raises(WavError, match=why):
        read(data)


def test_long_files_are_refused() -> None:
    """A file of more samples than asked for is not read."""
    with pytest.raises(WavError, match="more than 6 samples"):
        read(write(SAMPLES, 8000), max_samples=6)


def read_or_refuse(data: bytes) -> Wav | None:
    try:
        return read(data)
    except RemoteProtocolError:
        return None


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are read or refused."""
    read_or_refuse(data)
    read_or_refuse(b"RIFF\0\0\0\0WAVE" + data)


@given(
    st.binary(min_size=16, max_size=40),
    st.binary(max_size=99),
    st.integers(0, 0xFFFFFFFF),
)
def test_any_format(form: bytes, data: bytes, size: int) -> None:
    """Any format chunk before any data is read or refused."""
    body = b"fmt " + struct.pack("<I", len(form)) + form + b"\0" * (len(form) % 2)
    read_or_refuse(b"RIFF\0\0\0\0WAVE" + body + b"data" + struct.pack("<I", size) + data)


def test_every_cut() -> None:
    """A file that is cut anywhere is read or refused."""
    whole = write_g711(encode(SAMPLES, Law.ULAW), Law.ULAW)
    for end in range(len(whole)):
        read_or_refuse(whole[:end])
