"""Passwords of ESMEs: made here, shown once, and stored as scrypt (RFC 7914).

SMPP carries at most 8 characters in a bind (v3.4 section 5.2.2), so a password is made of random
letters and digits: 47 bits. The hash is slow enough that a stolen table is no list of passwords,
and fast enough that checking one costs about ten milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

LENGTH = 8
_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))
_COST, _BLOCK, _LANES = 4096, 8, 1
_SALT_BYTES = 16
_HASH_BYTES = 32


def make_password() -> str:
    """A new password: 8 characters that nobody takes for one another."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def hash_password(password: str) -> str:
    """What is stored: `scrypt:4096:8:1:` and salt and hash in hexadecimal."""
    salt = secrets.token_bytes(_SALT_BYTES)
    found = _scrypt(password, salt, _COST, _BLOCK, _LANES)
    return f"scrypt:{_COST}:{_BLOCK}:{_LANES}:{salt.hex()}:{found.hex()}"


def check_password(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored; none is where what is stored is no hash.
    Slow on purpose: not for the event loop."""
    try:
        _, cost, block, lanes, salt, wanted = stored.split(":")
        found = _scrypt(password, bytes.fromhex(salt), int(cost), int(block), int(lanes))
        return hmac.compare_digest(found, bytes.fromhex(wanted))
    except ValueError:
        return False


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    secret = password.encode("utf-8", "surrogateescape")
    memory = 128 * cost * block * 2
    return hashlib.scrypt(
        secret, salt=salt, n=cost, r=block, p=lanes, maxmem=memory, dklen=_HASH_BYTES
    )
