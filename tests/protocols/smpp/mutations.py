"""Stored PDUs of every kind, broken by chance, the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.protocols.smpp.corpus import MALFORMED, WELL_FORMED

SEED = 20261123


def mutated(count: int, seed: int = SEED) -> Iterator[bytes]:
    """PDUs with sound framing whose header and body are anything: octets changed, cut, doubled, put
    in or left out, now and then under another command_id."""
    rng = random.Random(seed)  # noqa: S311
    stored = list((WELL_FORMED | MALFORMED).values())
    commands = sorted({octets[4:8] for octets in stored})
    for number in range(count):
        octets = bytearray(stored[number % len(stored)])
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(16, max(17, len(octets)))
            match rng.randrange(6):
                case 0:
                    octets[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    octets[at : at + 1] = bytes([rng.choice((0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF))])
                case 2:
                    del octets[at:]
                case 3:
                    octets[at:at] = rng.randbytes(rng.randint(1, 60))
                case 4:
                    octets += octets[at:]
                case 5:
                    octets[4:8] = rng.choice(commands)
        octets[:4] = len(octets).to_bytes(4, "big")
        yield bytes(octets)
