"""Audio in memory, and the tables that turn one law into the other."""

from __future__ import annotations

from typing import Final

import numpy as np

from protocols.audio.g711 import Law, decode, encode
from protocols.rtp.parameters import FRAME_BYTES, RATE

_OCTETS: Final = bytes(range(256))
ULAW_TO_ALAW: Final = encode(decode(_OCTETS, Law.ULAW), Law.ALAW)
ALAW_TO_ULAW: Final = encode(decode(_OCTETS, Law.ALAW), Law.ULAW)
"""For bytes.translate."""
SILENT_FRAME: Final = bytes([Law.ULAW.silence]) * FRAME_BYTES

FADES: Final = tuple(
    encode((decode(_OCTETS, Law.ULAW) * gain).astype(np.int16), Law.ULAW)
    for gain in (0.8, 0.5, 0.2)
)
"""Tables that make μ-law quieter, for the frames that stand in for lost ones."""
_QUIET: Final = 200
LOUD: Final = bytes(
    octet
    for octet, sample in zip(_OCTETS, decode(_OCTETS, Law.ULAW).tolist(), strict=True)
    if abs(sample) > _QUIET
)
"""The μ-law octets that are no background; `frame.translate(None, LOUD)` shortens a loud frame."""


def transcode(data: bytes, source: Law, target: Law) -> bytes:
    """The same audio in another law."""
    if source is target:
        return data
    return data.translate(ULAW_TO_ALAW if source is Law.ULAW else ALAW_TO_ULAW)


class Clip:
    """G.711 audio that any number of calls may play at once; the other law is made when first asked
    for and kept."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes, law: Law = Law.ULAW) -> None:
        self._data = {law: data}

    def octets(self, law: Law) -> bytes:
        """The audio in a law."""
        data = self._data.get(law)
        if data is None:
            other, known = next(iter(self._data.items()))
            data = self._data[law] = transcode(known, other, law)
        return data

    @property
    def seconds(self) -> float:
        return len(next(iter(self._data.values()))) / RATE
