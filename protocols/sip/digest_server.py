"""Digest authentication, the server side (RFC 7616 section 3.3, RFC 8760)."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from struct import error as StructError
from typing import Final

from protocols.sip.digest import STRENGTH, base_algorithm, digest_response
from protocols.sip.errors import SipError
from protocols.sip.flow import Randomness
from protocols.sip.grammar import parse_auth_params, quote
from protocols.sip.message import Request
from protocols.sip.uri import Uri

_NONCE: Final = Struct(">Q16s16s")  # issued (ms), salt, MAC
_NC_WINDOW: Final = 64
_MAX_NONCES: Final = 4_096
_NEEDED: Final = ("username", "realm", "nonce", "uri", "response")


class Verdict(Enum):
    OK = "ok"
    MISSING = "no credentials"
    STALE = "right credentials, but the nonce is too old or its count was used"
    WRONG = "wrong credentials"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `verify` found; `username` only with OK."""

    verdict: Verdict
    username: str = ""


class DigestServer:
    """Challenges, and checks the answers.

    Nonces carry their time and a MAC, so that none needs to be remembered before it was answered
    rightly. An unknown user costs the same work and gets the same answer as a wrong password.
    """

    def __init__(
        self,
        realm: str,
        password_of: Callable[[str], str | None],
        secret: bytes,
        rng: Randomness,
        *,
        algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
        nonce_s: float = 300.0,
    ) -> None:
        self._realm = realm
        self._password_of = password_of
        self._secret = secret
        self._rng = rng
        self._algorithms = algorithms
        self._nonce_s = nonce_s
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()  # nonce → highest nc, seen

    def challenges(self, now: float, *, is_stale: bool = False) -> list[str]:
        """The values of WWW-Authenticate, one for each algorithm, preferred first (RFC 8760)."""
        nonce = self._nonce(now)
        stale = ", stale=true" if is_stale else ""
        return [
            f"Digest realm={quote(self._realm)}, nonce={quote(nonce)}, "
            f'algorithm={algorithm}, qop="auth"{stale}'
            for algorithm in self._algorithms
        ]

    def verify(self, request: Request, now: float) -> Outcome:
        """Check the Authorization of a request. Raises SipError for one that cannot be read."""
        for value in request.headers.get_all("Authorization"):
            scheme, _, rest = value.partition(" ")
            if scheme.lower() != "digest":
                continue
            params = parse_auth_params(rest)
            if params.get("realm") == self._realm:
                return self._verify(params, request, now)
        return Outcome(Verdict.MISSING)

    def _verify(self, params: dict[str, str], request: Request, now: float) -> Outcome:
        if any(name not in params for name in _NEEDED):
            raise SipError("credentials lack a field")
        algorithm = base_algorithm(params.get("algorithm", "MD5").upper())
        if algorithm not in STRENGTH or algorithm not in self._algorithms:
            return Outcome(Verdict.WRONG)
        if params.get("qop") != "auth" or "cnonce" not in params:
            return Outcome(Verdict.WRONG)
        if Uri.parse(params["uri"]) != request.uri:
            raise SipError("credentials are for another URI")
        count = _count(params.get("nc", ""))
        username = params["username"]
        password = self._password_of(username)
        known = password if password is not None else self._rng.token()
        expected = digest_response(params, username, known, request.method)
        given = params["response"].lower().encode("utf-8", "surrogateescape")
        is_right = hmac.compare_digest(expected.encode(), given)
        if not is_right or password is None:
            return Outcome(Verdict.WRONG)
        if not self._is_fresh(params["nonce"], count, now):
            return Outcome(Verdict.STALE)
        return Outcome(Verdict.OK, username)

    def _nonce(self, now: float) -> str:
        issued, salt = int(now * 1000), self._rng.token().encode()[:16].ljust(16, b"-")
        mac = self._mac(issued, salt)
        return urlsafe_b64encode(_NONCE.pack(issued, salt, mac)).decode()

    def _mac(self, issued: int, salt: bytes) -> bytes:
        return hmac.digest(self._secret, b"%d:" % issued + salt, "sha256")[:16]

    def _is_fresh(self, nonce: str, count: int, now: float) -> bool:
        try:
            issued, salt, mac = _NONCE.unpack(urlsafe_b64decode(nonce))
        except (ValueError, StructError):  # binascii.Error is a ValueError
            return False
        if not hmac.compare_digest(mac, self._mac(issued, salt)):
            return False
        if not 0 <= now - issued / 1000 + 0.001 <= self._nonce_s:
            return False
        return self._is_new(nonce, count)

    def _is_new(self, nonce: str, count: int) -> bool:
        """Whether this nonce count was not used before: a window of 64 allows for requests that
        overtake one another."""
        highest, seen = self._counts.get(nonce, (0, 0))
        if count > highest:
            shifted = seen << (count - highest) if count - highest < _NC_WINDOW else 0
            seen, highest = (shifted | 1) & (1 << _NC_WINDOW) - 1, count
        else:
            bit = highest - count
            if bit >= _NC_WINDOW or seen >> bit & 1:
                return False
            seen |= 1 << bit
        self._counts[nonce] = highest, seen
        self._counts.move_to_end(nonce)
        if len(self._counts) > _MAX_NONCES:
            self._counts.popitem(last=False)
        return True


def _count(text: str) -> int:
    try:
        count = int(text, 16) if len(text) == 8 and text.isalnum() else 0
    except ValueError:
        count = 0
    if not count:
        raise SipError("malformed nonce count")
    return count
