"""Files to listen to, made without numpy."""

from __future__ import annotations

import numpy as np

from protocols.audio import wav
from protocols.audio.g711 import RATE, Law, decode
from tts.listening import ulaw_wav


def test_a_file_is_what_the_telephone_plays() -> None:
    """Octet for octet what the tables of the telephone give, in a file as players want it."""
    octets = bytes(range(256))
    assert ulaw_wav(octets) == wav.write(decode(octets, Law.ULAW), RATE)
    heard = wav.read(ulaw_wav(octets * 3))
    assert heard.rate == RATE
    assert np.array_equal(heard.samples, decode(octets * 3, Law.ULAW))


def test_a_file_of_nothing() -> None:
    """Has a header and no samples."""
    assert ulaw_wav(b"") == wav.write(np.zeros(0, np.int16), RATE)
