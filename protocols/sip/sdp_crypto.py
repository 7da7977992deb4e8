"""Keys for SRTP in a description (RFC 4568): `a=crypto` lines."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import Final

from protocols.rtp.srtp import AES_CM_128_HMAC_SHA1_32, AES_CM_128_HMAC_SHA1_80, KEY_BYTES
from protocols.sip.sdp import SdpError

SUITES: Final = (AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32)
"""What we take, best first."""
MIN_LIFETIME: Final = 1 << 20
"""Packets; at fifty a second more than five hours. We never change keys within a call."""

_LINE: Final = re.compile(
    r"(\d{1,9})[ \t]++([A-Za-z0-9_]{1,64})[ \t]++(\S{1,512})((?:[ \t]++\S{1,128}){0,8})", re.A
)
_LIFETIME: Final = re.compile(r"2\^\d{1,2}|\d{1,15}", re.A)
_HARMLESS: Final = ("WSH=",)
"""Session parameters that ask nothing of the other side."""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One offered or chosen suite with the key of its sender."""

    tag: int
    suite: str
    key: bytes = field(repr=False)


def parse(value: str) -> Crypto | None:
    """Read the value of `a=crypto`; None for what is well formed but not for us: another suite, an
    MKI, several keys, a short lifetime, session parameters that change the packets. Raises SdpError
    for what is malformed."""
    match = _LINE.fullmatch(value.strip())
    if match is None:
        raise SdpError("a crypto line is malformed")
    tag, suite, parameters, session = match.groups()
    if suite not in SUITES or ";" in parameters:
        return None
    if any(not each.startswith(_HARMLESS) for each in session.split()):
        return None
    method, _, info = parameters.partition(":")
    if method.lower() != "inline":
        return None
    encoded, *rest = info.split("|")
    key = _key(encoded)
    if not all(map(_is_long_enough, rest)):
        return None
    return Crypto(int(tag), suite, key)


def _key(encoded: str) -> bytes:
    try:
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (Base64Error, ValueError):
        raise SdpError("a key is no base64") from None
    if len(key) != KEY_BYTES:
        raise SdpError(f"a key has {len(key)} octets, not {KEY_BYTES}")
    return key


def _is_long_enough(part: str) -> bool:
    """Whether a part behind the key is a lifetime of use, and no MKI."""
    if _LIFETIME.fullmatch(part) is None:
        return False
    lifetime = 1 << int(part[2:]) if part.startswith("2^") else int(part)
    return lifetime >= MIN_LIFETIME


def build(crypto: Crypto) -> str:
    """The value of `a=crypto`."""
    return f"{crypto.tag} {crypto.suite} inline:{b64encode(crypto.key).decode()}"
