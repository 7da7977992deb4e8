"""G.711: the same octets as every other implementation."""

from __future__ import annotations

import hashlib
import importlib
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

from protocols.audio.g711 import Law, decode, encode

ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)
ALL_OCTETS = bytes(range(256))


def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("audioop")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 has no audioop")
@pytest.mark.parametrize("law", Law)
def test_equals_audioop(law: Law) -> None:
    """Every sample and every octet is coded as Python's own module does it."""
    theirs = audioop()
    assert encode(ALL_SAMPLES, law) == getattr(theirs, f"lin2{law}")(ALL_SAMPLES.tobytes(), 2)
    samples = decode(ALL_OCTETS, law)
    assert samples.tobytes() == getattr(theirs, f"{law}2lin")(ALL_OCTETS, 2)


@pytest.mark.parametrize(
    ("law", "encoded", "decoded"),
    [
        (
            Law.ULAW,
            "81d633c9e6972a18c74a58720b96cb8ca0bdd096d4060b646dd708c3b846019a",
            "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
        ),
        (
            Law.ALAW,
            "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b",
            "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
        ),
    ],
)
def test_tables(law: Law, encoded: str, decoded: str) -> None:
    """The tables are those that were compared with audioop."""
    assert hashlib.sha256(encode(ALL_SAMPLES, law)).hexdigest() == encoded
    samples = decode(ALL_OCTETS, law).astype("<i2")
    assert hashlib.sha256(samples.tobytes()).hexdigest() == decoded


@pytest.mark.parametrize("law", Law)
def test_octets_survive(law: Law) -> None:
    """An octet that is decoded and encoded again is the same, but for the second zero of μ-law."""
    again = encode(decode(ALL_OCTETS, law), law)
    changed = [octet for octet in ALL_OCTETS if again[octet] != octet]
    assert changed == ([0x7F] if law is Law.ULAW else [])


@pytest.mark.parametrize("law", Law)
def test_silence(law: Law) -> None:
    """Silence is the octet of the sample 0."""
    assert encode(np.zeros(3, np.int16), law) == bytes([law.silence] * 3)


def test_payload_types() -> None:
    """PCMU is payload type 0 and PCMA 8."""
    assert (Law.ULAW.payload_type, Law.ALAW.payload_type) == (0, 8)


@pytest.mark.parametrize("law", Law)
def test_any_view_can_be_encoded(law: Law) -> None:
    """Every second sample of an array is as good as an array."""
    assert encode(ALL_SAMPLES[::2], law) == encode(ALL_SAMPLES, law)[::2]
