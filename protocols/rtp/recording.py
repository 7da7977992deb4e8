"""What a caller says, on its way into a WAV file."""

from __future__ import annotations

import struct
from io import FileIO
from pathlib import Path
from typing import Final

from protocols.audio.wav import WAVE_FORMAT_MULAW
from protocols.rtp.parameters import FRAME_BYTES, FRAME_S, RATE

CHUNK_FRAMES: Final = 100
"""Frames that are handed to the disk together: two seconds."""
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
HEADER_BYTES: Final = _HEADER.size


def wav_header(size: int) -> bytes:
    """The head of a WAV file of so many octets of μ-law, an even number as whole frames have."""
    return _HEADER.pack(
        b"RIFF", size + HEADER_BYTES - 8, b"WAVE",
        b"fmt ", 18, WAVE_FORMAT_MULAW, 1, RATE, RATE, 1, 8, 0,
        b"fact", 4, size,
        b"data", size,
    )  # fmt: skip


class FrameBuffer:
    """A listener of a leg that gathers frames up to a limit; `take` gives what is due to the
    disk."""

    __slots__ = ("_frames", "_left", "octets")

    def __init__(self, max_s: float) -> None:
        self.octets = 0
        """All that was gathered so far."""
        self._frames: list[bytes] = []
        self._left = max(int(max_s / FRAME_S), 0)

    @property
    def is_full(self) -> bool:
        return self._left == 0

    @property
    def is_chunk_due(self) -> bool:
        return len(self._frames) >= CHUNK_FRAMES

    @property
    def seconds(self) -> float:
        return self.octets / RATE

    def __call__(self, frame: bytes) -> None:
        if self._left:
            self._left -= 1
            self._frames.append(frame)
            self.octets += FRAME_BYTES

    def take(self) -> bytes:
        """All that waits; it is then forgotten here."""
        data = b"".join(self._frames)
        self._frames.clear()
        return data


class WavWriter:
    """The file of a recording. For one thread, which is not the loop's: every call waits for the
    disk. What goes wrong is kept in `error`; nothing more is written then. Nothing is buffered
    here: octets that a full disk refused would come again with every later step."""

    __slots__ = ("_file", "_path", "error")

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._path = path
        self._file: FileIO | None = None

    def append(self, data: bytes) -> None:
        """Add μ-law; the first call makes the file."""
        if self.error is None:
            try:
                if self._file is None:
                    self._file = self._path.open("wb", buffering=0)
                    _write(self._file, wav_header(0))
                _write(self._file, data)
            except OSError as error:
                self.error = error

    def finish(self, rest: bytes) -> None:
        """Add the last of it, and the true sizes at the head. After an error too: what is there
        can be heard."""
        self.append(rest)
        if self._file is None:
            return
        try:
            with self._file as file:
                frames = max(file.tell() - HEADER_BYTES, 0) // FRAME_BYTES
                file.truncate(HEADER_BYTES + frames * FRAME_BYTES)
                file.seek(0)
                _write(file, wav_header(frames * FRAME_BYTES))
        except OSError as error:
            self.error = self.error or error


def _write(file: FileIO, data: bytes) -> None:
    """Write all of it: a disk that becomes full takes a part at first, and raises only then."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
