"""What a telephone would play, as a file that browsers play.

`protocols.audio` does the same for samples. This does it without numpy: a server that only passes
speech on would otherwise stand still for some milliseconds when the first preview is listened to.
"""

from __future__ import annotations

import struct
from typing import Final

from tts.engine import PHONE_RATE

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM: Final = 1


def ulaw_wav(octets: bytes) -> bytes:
    """A WAV file of 16-bit PCM, one channel, 8 kHz, of μ-law (ITU-T G.711 table 2a)."""
    samples = bytearray(2 * len(octets))
    samples[0::2] = octets.translate(_LOW)
    samples[1::2] = octets.translate(_HIGH)
    size = len(samples)
    form = (b"fmt ", 16, _PCM, 1, PHONE_RATE, 2 * PHONE_RATE, 2, 16)
    return _HEADER.pack(b"RIFF", 36 + size, b"WAVE", *form, b"data", size) + samples


def _sample(octet: int) -> int:
    code = ~octet & 0xFF
    magnitude = (((code & 0xF) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_LOW: Final = bytes(_sample(octet) & 0xFF for octet in range(256))
_HIGH: Final = bytes(_sample(octet) >> 8 & 0xFF for octet in range(256))
