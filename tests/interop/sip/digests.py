"""Digests worked out by hand (RFC 7616 section 3.4), apart from the product's own code."""

from __future__ import annotations

import hashlib
import re

from tests.interop.sip.sipp import Said

REALM = "sipp.example.com"
USER = "gateway"
PASSWORD = "open sesame"
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def challenge(algorithm: str, nonce: str, *, is_stale: bool = False) -> str:
    """The value of WWW-Authenticate or Proxy-Authenticate."""
    stale = ", stale=true" if is_stale else ""
    return f'Digest realm="{REALM}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{stale}'


def is_right(said: Said, header: str, algorithm: str, nonce: str, count: int = 1) -> bool:
    """Whether a request proves that its sender knows the password, with the nonce of ours."""
    value = said.header(header)
    pairs = re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', value)
    given: dict[str, str] = {name.lower(): text.strip('"') for name, text in pairs}
    assert given["realm"] == REALM and given["username"] == USER and given["nonce"] == nonce
    assert given["algorithm"] == algorithm and given["qop"] == "auth"
    assert given["nc"] == f"{count:08x}"
    method, uri, _ = said.line.split()
    assert given["uri"] == uri
    secret = _hash(algorithm, f"{USER}:{REALM}:{PASSWORD}")
    what = _hash(algorithm, f"{method}:{uri}")
    parts = (secret, nonce, given["nc"], given["cnonce"], "auth", what)
    return given["response"] == _hash(algorithm, ":".join(parts))


def _hash(algorithm: str, text: str) -> str:
    return hashlib.new(_HASHES[algorithm], text.encode()).hexdigest()
